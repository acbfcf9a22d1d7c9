// Convolution as a product on tensor cores, operands rounded to tf32, with bias, activation and pooling
// behind it: the loop of gemm_mma.cuh over the views of conv_views.cuh.
//
// ACT: the activation.
#include "activation.cuh"
#include "conv_mma.cuh"

__device__ __forceinline__ float activated(float z, const float* b, int k) {
    return activate(b ? z + b[k] : z, ACT);
}

extern "C" __global__ void __launch_bounds__(Tiles::THREADS, 2)
    conv_forward(float* __restrict__ out, const float* __restrict__ x, const float* __restrict__ w,
                 const float* __restrict__ b, Geometry g) {
    extern __shared__ __align__(16) float strips[];
    int pixels = g.N * g.P * g.Q, first_k = blockIdx.z * g.Kg;
    int2 tile = grouped_tile(blockIdx.x, ceil_div(pixels, TILE), ceil_div(g.Kg, TILE));
    auto patches = patches_of<float, A_WIDTH>(x, g);
    Range range = part_of(patches.terms, Tiles::BK);
    float acc[PIECES_M][PIECES_N][4] = {};
    gemm_mma<Tiles>(acc, strips, patches, filters_of<float, B_WIDTH>(w, g), tile.x * TILE, tile.y * TILE, range.begin,
                    range.end);
    float* part = out + (size_t)blockIdx.y * pixels * g.K + first_k;
    bool aligned = g.Kg % 2 == 0 && g.K % 2 == 0, last = gridDim.y == 1;
    gemm_mma_each<Tiles>(acc, tile.x * TILE, tile.y * TILE, [&](int m, int n, float v, float u) {
        if (m >= pixels || n >= g.Kg) return;
        if (last) {
            v = activated(v, b, first_k + n);
            u = activated(u, b, min(first_k + n + 1, g.K - 1));  // beyond the edge any value will do
        }
        store_two(part + (size_t)m * g.K, n, g.Kg, aligned, v, u);
    });
}

struct Best { float value; int place; };

// The larger; of equal ones the first; NaN is larger than everything.
__device__ __forceinline__ Best better(Best a, Best b) {
    bool same = a.value == b.value || (a.value != a.value && b.value != b.value);
    bool second = same ? b.place < a.place : b.value > a.value || b.value != b.value;
    if (a.value != a.value && !same) second = false;
    return second ? b : a;
}

// Windows of four: their rows are in four lanes, four apart, which exchange what they have.
extern "C" __global__ void __launch_bounds__(Tiles::THREADS, 2)
    conv_forward_pool(float* __restrict__ out, uint8_t* __restrict__ argmax, const float* __restrict__ x,
                      const float* __restrict__ w, const float* __restrict__ b, Geometry g) {
    extern __shared__ __align__(16) float strips[];
    int windows = g.N * g.rows * g.columns, first_k = blockIdx.z * g.Kg, mine = threadIdx.x / 4 % 4;
    int2 tile = grouped_tile(blockIdx.x, ceil_div(4 * windows, TILE), ceil_div(g.Kg, TILE));
    auto patches = patches_of<float, A_WIDTH>(x, g);
    Range range = part_of(patches.terms, Tiles::BK);
    float acc[PIECES_M][PIECES_N][4] = {};
    gemm_mma<Tiles>(acc, strips, patches, filters_of<float, B_WIDTH>(w, g), tile.x * TILE, tile.y * TILE, range.begin,
                    range.end);
    gemm_mma_each<Tiles>(acc, tile.x * TILE, tile.y * TILE, [&](int m, int n, float v, float u) {
        Best best[2] = {{v, mine}, {u, mine}};
#pragma unroll
        for (int e = 0; e < 2; e++)
#pragma unroll
            for (int apart = 4; apart <= 8; apart *= 2) {
                Best other{__shfl_xor_sync(0xffffffffu, best[e].value, apart),
                           __shfl_xor_sync(0xffffffffu, best[e].place, apart)};
                best[e] = better(best[e], other);
            }
        int k = n + mine, window = m / 4;  // the first lane stores v's channel, the second u's
        if (mine >= 2 || window >= windows || k >= g.Kg) return;
        Best own = mine ? best[1] : best[0];
        size_t at = (size_t)window * g.K + first_k + k;
        out[at] = activated(own.value, b, first_k + k);
        if (argmax) argmax[at] = static_cast<uint8_t>(own.place);
    });
}
