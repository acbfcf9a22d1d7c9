// The gradients of a convolution as products whose operands are read in place: see conv_gemm.cuh.
//
// COPY_WIDTH: floats that operands are copied by where rows are neighbours in memory, 4 or 1.
#include "conv_gemm.cuh"

// tap_step: from one tap that counts to the next, stride / gcd(stride, dilation), rows and columns.
extern "C" __global__ void __launch_bounds__(Tiles::THREADS, BLOCKS)
    conv_dgrad(float* __restrict__ dx, const float* __restrict__ dout, const float* __restrict__ w, Geometry g,
               int tap_step_r, int tap_step_s) {
    __shared__ __align__(16) float strips[Tiles::SHARED];
    OfX of(g, tap_step_r, tap_step_s);
    int2 tile = grouped_tile(blockIdx.x, ceil_div(of.most_rows(g), TILE_M), ceil_div(g.Cg, TILE_N));
    int m0 = tile.x * TILE_M, n0 = tile.y * TILE_N;
    if (m0 >= of.rows.count) return;
    auto a = of.patches<float, 1>(dout, g);
    auto b = of.filters<float, COPY_WIDTH>(w, g);
    float acc[THREAD_M][THREAD_N];
    clear(acc);
    Range range = part_of(of.terms, TILE_K);
    gemm<Tiles>(acc, strips, a, b, m0, n0, range.begin, range.end);
    float* part = dx + (size_t)blockIdx.y * g.N * g.H * g.W * g.C + of.group * g.Cg;
    bool aligned = g.Cg % 4 == 0 && g.C % 4 == 0;
    gemm_each<Tiles>(acc, m0, n0, [&](int m, int n, float4 v) {
        if (m < of.rows.count) store_row(part + (size_t)of.pixel(m, g) * g.C, n, g.Cg, aligned, v);
    });
}

extern "C" __global__ void __launch_bounds__(Tiles::THREADS, BLOCKS)
    conv_wgrad(float* __restrict__ dw, const float* __restrict__ dout, const float* __restrict__ x, Geometry g) {
    __shared__ __align__(16) float strips[Tiles::SHARED];
    int group = blockIdx.z, elements = g.R * g.S * g.Cg, pixels = g.N * g.P * g.Q;
    int2 tile = grouped_tile(blockIdx.x, ceil_div(g.Kg, TILE_M), ceil_div(elements, TILE_N));
    MapByChannel<float, COPY_WIDTH> a{dout + group * g.Kg, g.Kg, g.K, pixels};
    PatchesByTap<float, COPY_WIDTH> b{x + group * g.Cg, g};
    float acc[THREAD_M][THREAD_N];
    clear(acc);
    Range range = part_of(pixels, TILE_K);
    gemm<Tiles>(acc, strips, a, b, tile.x * TILE_M, tile.y * TILE_N, range.begin, range.end);
    float* part = dw + ((size_t)blockIdx.y * g.K + group * g.Kg) * elements;
    gemm_each<Tiles>(acc, tile.x * TILE_M, tile.y * TILE_N, [&](int k, int i, float4 v) {
        if (k < g.Kg) store_row(part + (size_t)k * elements, i, elements, elements % 4 == 0, v);
    });
}
