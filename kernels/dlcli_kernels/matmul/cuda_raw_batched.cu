// Many products in float32 by the loop of gemm.cuh: a block to a tile of 64 × 64 results of one pair. Compiled
// per form of the operands, as cuda_raw_warptile.cu is: A_WIDTH and B_WIDTH are 0 where k is contiguous, else
// 1: the pairs of a batch need not begin on 16 bytes, so that floats are copied one at a time.
#include "gemm.cuh"

#ifndef A_WIDTH
#define A_WIDTH 0
#endif
#ifndef B_WIDTH
#define B_WIDTH 1
#endif

template <int WIDTH> using View = typename MatrixOf<WIDTH == 0, float, 1>::type;
using Tiles = Tiling<64, 64, 16, 8, 4>;

extern "C" __global__ void __launch_bounds__(Tiles::THREADS)
    bmm(float* __restrict__ out, const float* __restrict__ a, const float* __restrict__ b, int m, int n, int k) {
    __shared__ __align__(16) float shared[Tiles::SHARED];
    int across = ceil_div(n, Tiles::BN), tiles = ceil_div(m, Tiles::BM) * across;
    int pair = blockIdx.x / tiles, tile = blockIdx.x % tiles;
    View<A_WIDTH> a_view{a + (size_t)pair * m * k, m, k};
    View<B_WIDTH> b_view{b + (size_t)pair * n * k, n, k};
    float* to = out + (size_t)pair * m * n;
    int m0 = tile / across * Tiles::BM, n0 = tile % across * Tiles::BN;
    float acc[Tiles::TM][Tiles::TN] = {};
    gemm<Tiles>(acc, shared, a_view, b_view, m0, n0, 0, k);
    gemm_each<Tiles>(acc, m0, n0, [&](int row, int col, float4 v) {
        if (row >= m || col >= n) return;
        float values[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
        for (int i = 0; i < 4; i++)
            if (col + i < n) to[(size_t)row * n + col + i] = values[i];
    });
}
