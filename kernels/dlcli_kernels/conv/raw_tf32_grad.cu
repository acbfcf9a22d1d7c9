// The gradients of a convolution as products on tensor cores, operands rounded to tf32: see conv_mma.cuh.
#include "conv_mma.cuh"

// tap_step: from one tap that counts to the next, stride / gcd(stride, dilation), rows and columns.
extern "C" __global__ void __launch_bounds__(Tiles::THREADS, 2)
    conv_dgrad(float* __restrict__ dx, const float* __restrict__ dout, const float* __restrict__ w, Geometry g,
               int tap_step_r, int tap_step_s) {
    extern __shared__ __align__(16) float strips[];
    OfX of(g, tap_step_r, tap_step_s);
    int2 tile = grouped_tile(blockIdx.x, ceil_div(of.most_rows(g), TILE), ceil_div(g.Cg, TILE));
    int m0 = tile.x * TILE, n0 = tile.y * TILE;
    if (m0 >= of.rows.count) return;
    Range range = part_of(of.terms, Tiles::BK);
    float acc[PIECES_M][PIECES_N][4] = {};
    gemm_mma<Tiles>(acc, strips, of.patches<float, A_WIDTH>(dout, g), of.filters<float, B_WIDTH>(w, g), m0, n0,
                    range.begin, range.end);
    float* part = dx + (size_t)blockIdx.y * g.N * g.H * g.W * g.C + of.group * g.Cg;
    bool aligned = g.Cg % 2 == 0 && g.C % 2 == 0;
    gemm_mma_each<Tiles>(acc, m0, n0, [&](int m, int n, float x, float y) {
        if (m < of.rows.count) store_two(part + (size_t)of.pixel(m, g) * g.C, n, g.Cg, aligned, x, y);
    });
}

extern "C" __global__ void __launch_bounds__(Tiles::THREADS, 2)
    conv_wgrad(float* __restrict__ dw, const float* __restrict__ dout, const float* __restrict__ x, Geometry g) {
    extern __shared__ __align__(16) float strips[];
    int group = blockIdx.z, elements = g.R * g.S * g.Cg, pixels = g.N * g.P * g.Q;
    int2 tile = grouped_tile(blockIdx.x, ceil_div(g.Kg, TILE), ceil_div(elements, TILE));
    MapByChannel<float, A_WIDTH> map{dout + group * g.Kg, g.Kg, g.K, pixels};
    PatchesByTap<float, B_WIDTH> patches{x + group * g.Cg, g};
    Range range = part_of(pixels, Tiles::BK);
    float acc[PIECES_M][PIECES_N][4] = {};
    gemm_mma<Tiles>(acc, strips, map, patches, tile.x * TILE, tile.y * TILE, range.begin, range.end);
    float* part = dw + ((size_t)blockIdx.y * g.K + group * g.Kg) * elements;
    gemm_mma_each<Tiles>(acc, tile.x * TILE, tile.y * TILE, [&](int k, int i, float u, float v) {
        if (k < g.Kg) store_two(part + (size_t)k * elements, i, elements, elements % 2 == 0, u, v);
    });
}
