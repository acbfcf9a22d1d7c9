// Products in float32 by the loop of gemm.cuh. Compiled per tile (TILE_M, TILE_N, THREAD_M, THREAD_N,
// TILE_K, TILE_STAGES, TILE_SLICES, and BLOCKS to a multiprocessor, which limits registers), per activation (ACT: the whole
// table of activations behind each of 64 results would be most of the code), and per form of the operands:
// A_WIDTH and B_WIDTH are 0 where k is contiguous, else the floats that are copied at once (4 where rows
// are aligned, 1 where not).
#include "gemm.cuh"
#include "gemm_split.cuh"

template <int WIDTH> using View = typename MatrixOf<WIDTH == 0, float, larger(WIDTH, 1)>::type;
using Tiles = Tiling<TILE_M, TILE_N, TILE_K, THREAD_M, THREAD_N, TILE_STAGES, TILE_SLICES>;

// Four neighbours in a row of the result, with bias and activation; in 128 bits where rows are aligned.
__device__ __forceinline__ void store_row(float* out, const float* bias, int m, int n, int row, int col, float4 v) {
    if (row >= m || col >= n) return;
    float* to = out + (size_t)row * n + col;
    float values[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
    for (int i = 0; i < 4; i++)
        values[i] = activate(bias && col + i < n ? values[i] + bias[col + i] : values[i], ACT);
    if (n % 4 == 0) {
        store4(to, make_float4(values[0], values[1], values[2], values[3]));
        return;
    }
#pragma unroll
    for (int i = 0; i < 4; i++)
        if (col + i < n) to[i] = values[i];
}

// out = act(A · B + bias). With several layers of blocks (gridDim.y), layer s sums over its own k_part
// values of k and writes to out + s · m · n: parts for matmul_sum, without bias and activation.
extern "C" __global__ void __launch_bounds__(Tiles::THREADS, BLOCKS)
    matmul_warptile(float* __restrict__ out, const float* __restrict__ a, const float* __restrict__ b,
                    const float* __restrict__ bias, int m, int n, int k, int k_part) {
    __shared__ __align__(16) float shared[Tiles::SHARED];
    View<A_WIDTH> a_view{a, m, k};
    View<B_WIDTH> b_view{b, n, k};
    int2 tile = grouped_tile(blockIdx.x, ceil_div(m, TILE_M), ceil_div(n, TILE_N));
    int m0 = tile.x * TILE_M, n0 = tile.y * TILE_N, k_begin = blockIdx.y * k_part;
    float acc[THREAD_M][THREAD_N] = {};
    gemm<Tiles>(acc, shared, a_view, b_view, m0, n0, k_begin, min(k, k_begin + k_part));
    float* to = out + (size_t)blockIdx.y * m * n;
    gemm_each<Tiles>(acc, m0, n0, [&](int row, int col, float4 v) { store_row(to, bias, m, n, row, col, v); });
}

// out = act(the sum of the parts + bias).
extern "C" __global__ void __launch_bounds__(256)
    matmul_sum(float* __restrict__ out, const float* __restrict__ parts, const float* __restrict__ bias, int count,
               int n, int splits) {
    sum_parts(out, parts, bias, count, n, splits, ACT);
}
