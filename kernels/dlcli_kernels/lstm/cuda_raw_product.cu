// The gradient of the recurrent weights: dw[j, u] = Σ dz[n, t, j] · h[n, before t, u] over all n and t, as one
// product by the loop of gemm.cuh. Operands are read where they lie: the h before a step is a row of `out`
// or of h0, and steps past a row's length count as zeros.
//
// Compiled per tile, as matmul is, and for COPY_WIDTH 1, or 4 where H is a multiple of it.
#include "gemm.cuh"
#include "gemm_split.cuh"

using Tiles = Tiling<TILE_M, TILE_N, TILE_K, THREAD_M, THREAD_N, TILE_STAGES, TILE_SLICES>;

// All steps of all sequences in a row: k = n · steps + t.
struct Steps {
    const int* lengths;  // or null
    int sequences, steps;
    bool reverse;
    struct At { int n, t, end; bool live; };
    __device__ __forceinline__ At at(int k) const {
        int n = steps ? k / steps : 0, t = k - n * steps;
        if (n >= sequences || !steps) return {0, 0, 0, false};
        int end = lengths ? min(lengths[n], steps) : steps;
        return {n, t, end, t < end};
    }
};

// A row of floats for each step.
struct RowsOfSteps {
    static constexpr bool DEEP = false;
    static constexpr int WIDTH = COPY_WIDTH;
    struct Row { int r; };
    struct Depth { const float* begin; bool live; };
    int rows;
    Steps steps;
    __device__ __forceinline__ Row row(int r) const { return {r}; }
    __device__ __forceinline__ Place at(Row r, const Depth& d) const { return {d.begin + r.r, d.live && r.r < rows}; }
};

struct GateGradients : RowsOfSteps {
    const float* dz;
    __device__ __forceinline__ GateGradients(const float* dz, int rows, Steps steps)
        : RowsOfSteps{rows, steps}, dz(dz) {}
    __device__ __forceinline__ Depth depth(int k) const {
        Steps::At at = steps.at(k);
        return {dz + (size_t)(at.live ? k : 0) * rows, at.live};
    }
};

struct StatesBefore : RowsOfSteps {
    const float *out, *h0;
    __device__ __forceinline__ StatesBefore(const float* out, const float* h0, int rows, Steps steps)
        : RowsOfSteps{rows, steps}, out(out), h0(h0) {}
    __device__ __forceinline__ Depth depth(int k) const {
        Steps::At at = steps.at(k);
        int before = steps.reverse ? at.t + 1 : at.t - 1;
        if (before >= 0 && before < at.end) return {out + ((size_t)at.n * steps.steps + before) * rows, at.live};
        return {h0 + (size_t)at.n * rows, at.live};
    }
};

extern "C" {

// With several layers of blocks (gridDim.y), layer s sums k_part steps and writes to dw + s · 4H · H.
__global__ void __launch_bounds__(Tiles::THREADS, BLOCKS)
    lstm_wgrad(float* __restrict__ dw, const float* __restrict__ dz, const float* __restrict__ out,
               const float* __restrict__ h0, const int* __restrict__ lengths, int sequences, int steps, int units,
               int reverse, int k_part) {
    __shared__ __align__(16) float shared[Tiles::SHARED];
    int m = 4 * units, k_begin = blockIdx.y * k_part, k_end = min(sequences * steps, k_begin + k_part);
    Steps all{lengths, sequences, steps, reverse != 0};
    int2 tile = grouped_tile(blockIdx.x, ceil_div(m, TILE_M), ceil_div(units, TILE_N));
    int m0 = tile.x * TILE_M, n0 = tile.y * TILE_N;
    float acc[THREAD_M][THREAD_N] = {};
    gemm<Tiles>(acc, shared, GateGradients(dz, m, all), StatesBefore(out, h0, units, all), m0, n0, k_begin, k_end);
    float* to = dw + (size_t)blockIdx.y * m * units;
    gemm_each<Tiles>(acc, m0, n0, [&](int row, int col, float4 v) {
        if (row >= m || col >= units) return;
        float* at = to + (size_t)row * units + col;
        if (units % 4 == 0) {
            store4(at, v);
            return;
        }
        at[0] = v.x;
        if (col + 1 < units) at[1] = v.y;
        if (col + 2 < units) at[2] = v.z;
        if (col + 3 < units) at[3] = v.w;
    });
}

__global__ void __launch_bounds__(256)
    lstm_wgrad_sum(float* __restrict__ dw, const float* __restrict__ parts, int count, int units, int splits) {
    sum_parts(dw, parts, nullptr, count, units, splits, ACT_NONE);
}
}
