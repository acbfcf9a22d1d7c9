// Convolution as a product whose operands are read in place, with bias, activation and pooling behind it:
// see conv_gemm.cuh.
//
// ACT: the activation; a constant, since the whole table behind each of 64 results would be most of the code.
#include "activation.cuh"
#include "conv_gemm.cuh"

__device__ __forceinline__ float activated(float z, const float* b, int k) {
    return activate(b ? z + b[k] : z, ACT);
}

// The sums of a tile of the map, rows being pixels in order or, with g.ph · g.pw > 1, windows of four:
// a thread has four neighbouring rows, so that it has whole windows.
__device__ __forceinline__ void sums_forward(float (&acc)[THREAD_M][THREAD_N], const float* x, const float* w,
                                             const Geometry& g, int m0, int n0) {
    __shared__ __align__(16) float strips[Tiles::SHARED];
    auto a = patches_of<float, 1>(x, g);
    auto b = filters_of<float, 1>(w, g);
    clear(acc);
    Range range = part_of(a.terms, TILE_K);
    gemm<Tiles>(acc, strips, a, b, m0, n0, range.begin, range.end);
}

extern "C" __global__ void __launch_bounds__(Tiles::THREADS, BLOCKS)
    conv_forward(float* __restrict__ out, const float* __restrict__ x, const float* __restrict__ w,
                 const float* __restrict__ b, Geometry g) {
    int pixels = g.N * g.P * g.Q, first_k = blockIdx.z * g.Kg;
    int2 tile = grouped_tile(blockIdx.x, ceil_div(pixels, TILE_M), ceil_div(g.Kg, TILE_N));
    float acc[THREAD_M][THREAD_N];
    sums_forward(acc, x, w, g, tile.x * TILE_M, tile.y * TILE_N);
    float* part = out + (size_t)blockIdx.y * pixels * g.K + first_k;
    bool aligned = g.Kg % 4 == 0 && g.K % 4 == 0, last = gridDim.y == 1;
    gemm_each<Tiles>(acc, tile.x * TILE_M, tile.y * TILE_N, [&](int m, int n, float4 v) {
        if (m >= pixels) return;
        if (last) {
            int k = first_k + n, edge = g.K - 1;  // beyond the edge any value will do
            v.x = activated(v.x, b, min(k, edge));
            v.y = activated(v.y, b, min(k + 1, edge));
            v.z = activated(v.z, b, min(k + 2, edge));
            v.w = activated(v.w, b, min(k + 3, edge));
        }
        store_row(part + (size_t)m * g.K, n, g.Kg, aligned, v);
    });
}

// Windows of four: the maximum of four rows, its place, then bias and activation, all in registers. The
// first of equal maxima is kept, and NaN is larger than everything.
extern "C" __global__ void __launch_bounds__(Tiles::THREADS, BLOCKS)
    conv_forward_pool(float* __restrict__ out, uint8_t* __restrict__ argmax, const float* __restrict__ x,
                      const float* __restrict__ w, const float* __restrict__ b, Geometry g) {
    int windows = g.N * g.rows * g.columns, first_k = blockIdx.z * g.Kg;
    int2 tile = grouped_tile(blockIdx.x, ceil_div(4 * windows, TILE_M), ceil_div(g.Kg, TILE_N));
    float acc[THREAD_M][THREAD_N];
    sums_forward(acc, x, w, g, tile.x * TILE_M, tile.y * TILE_N);
    Mine<Tiles> mine;
    if (mine.slice) return;
#pragma unroll
    for (int i = 0; i < THREAD_M; i += 4) {
        int window = (tile.x * TILE_M + mine.row + i / 4 * 16) / 4;
        if (window >= windows) continue;
#pragma unroll
        for (int j = 0; j < THREAD_N; j++) {
            int n = tile.y * TILE_N + mine.col + j % 4 + j / 4 * 32, place = 0;
            float best = acc[i][j];
#pragma unroll
            for (int u = 1; u < 4; u++) {
                float z = acc[i + u][j];
                if (z > best || (z != z && best == best)) best = z, place = u;
            }
            if (n >= g.Kg) continue;
            size_t at = (size_t)window * g.K + first_k + n;
            out[at] = activated(best, b, first_k + n);
            if (argmax) argmax[at] = static_cast<uint8_t>(place);
        }
    }
}
