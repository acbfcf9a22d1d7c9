// Products on tensor cores by the loop of gemm_mma.cuh. Compiled per ELEMENT (float, which is rounded to
// tf32, or bfloat16), per TILE (of which four warps make a quarter each), per activation (ACT), and per form
// of the operands (A_DEEP: k is contiguous; COPIED: elements that are copied at once).
#include "activation.cuh"
#include "gemm_mma.cuh"

using Element = ELEMENT;
using Tiles = MmaTiling<Element, TILE, TILE, TILE / 2, TILE / 2>;
using AView = MatrixOf<A_DEEP, Element, COPIED>::type;
using BView = MatrixOf<B_DEEP, Element, COPIED>::type;

__device__ __forceinline__ float widen(float v) { return v; }
__device__ __forceinline__ float widen(bfloat16 v) { return to_float(v); }
__device__ __forceinline__ void put(float* to, float x) { *to = x; }
__device__ __forceinline__ void put(bfloat16* to, float x) { *to = to_bfloat16(x); }
__device__ __forceinline__ void put_two(float* to, float x, float y) {
    *reinterpret_cast<float2*>(to) = make_float2(x, y);
}
__device__ __forceinline__ void put_two(bfloat16* to, float x, float y) {
    *reinterpret_cast<uint32_t*>(to) = pack_bfloat16(x, y);
}

template <class E>
__device__ __forceinline__ void store_two(E* out, const E* bias, int m, int n, int row, int col, float x, float y) {
    if (row >= m || col >= n) return;
    bool both = col + 1 < n;
    if (bias) {
        x += widen(bias[col]);
        if (both) y += widen(bias[col + 1]);
    }
    x = activate(x, ACT), y = activate(y, ACT);
    E* to = out + (size_t)row * n + col;
    if (n % 2 == 0) {
        put_two(to, x, y);
    } else {
        put(to, x);
        if (both) put(to + 1, y);
    }
}

// out = act(A · B + bias). With `parts`, layer s of the blocks (gridDim.y) sums over its own k_part values
// of k and writes to parts + s · m · n, without bias and activation, for matmul_sum.
extern "C" __global__ void __launch_bounds__(Tiles::THREADS, 2)
    matmul_mma(Element* __restrict__ out, float* __restrict__ parts, const Element* __restrict__ a,
               const Element* __restrict__ b, const Element* __restrict__ bias, int m, int n, int k, int k_part) {
    extern __shared__ __align__(16) unsigned char memory[];
    int2 tile = grouped_tile(blockIdx.x, ceil_div(m, TILE), ceil_div(n, TILE));
    int m0 = tile.x * TILE, n0 = tile.y * TILE, k_begin = blockIdx.y * k_part;
    float acc[TILE / 32][TILE / 16][4] = {};
    gemm_mma<Tiles>(acc, reinterpret_cast<Element*>(memory), AView{a, m, k}, BView{b, n, k}, m0, n0, k_begin,
                    min(k, k_begin + k_part));
    if (parts) {
        float* part = parts + (size_t)blockIdx.y * m * n;
        gemm_mma_each<Tiles>(acc, m0, n0, [&](int row, int col, float x, float y) {
            if (row < m && col < n) part[(size_t)row * n + col] = x;
            if (row < m && col + 1 < n) part[(size_t)row * n + col + 1] = y;
        });
    } else {
        gemm_mma_each<Tiles>(acc, m0, n0, [&](int row, int col, float x, float y) {
            store_two(out, bias, m, n, row, col, x, y);
        });
    }
}

// out = act(the sum of the parts, in their order, + bias), a thread per element.
extern "C" __global__ void __launch_bounds__(256)
    matmul_sum(Element* __restrict__ out, const float* __restrict__ parts, const Element* __restrict__ bias, int count,
               int n, int splits) {
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += gridDim.x * blockDim.x) {
        float sum = parts[i];
        for (int s = 1; s < splits; s++) sum += parts[(size_t)s * count + i];
        put(out + i, activate(bias ? sum + widen(bias[i % n]) : sum, ACT));
    }
}
