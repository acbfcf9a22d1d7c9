// Gradients of the weights of a recurrent layer as one product over all steps of all sequences, by the loop of
// gemm.cuh: dw[j, u] = Σ d[n, t, j] · s[n, t, u]. Operands are read where they lie: d is the gradient of the
// gates, in one array or in two (a GRU's); s is the h before each step, a row of `out` or of h0, or what came into
// the step. Steps past a row's length count as zeros.
//
// Compiled per tile, as matmul is, and for COPY_WIDTH 1, or 4 where rows of both are multiples of it.
#include "gemm.cuh"
#include "gemm_split.cuh"
#include "recurrent.cuh"

using Tiles = Tiling<TILE_M, TILE_N, TILE_K, THREAD_M, THREAD_N, TILE_STAGES, TILE_SLICES>;

// All steps in a row: k = n · steps + t.
struct Steps {
    Sequences all;
    struct At { int n, t, end; bool live; };
    __device__ __forceinline__ At at(int k) const {
        int n = all.steps ? k / all.steps : 0, t = k - n * all.steps;
        if (n >= all.count || !all.steps) return {0, 0, 0, false};
        int end = all.end(n);
        return {n, t, end, t < end};
    }
};

// Row j is element j of dz (N, T, pitch) or, from `own` on, element j − own of dq (N, T, rows − own).
struct GateGradients {
    static constexpr bool DEEP = false;
    static constexpr int WIDTH = COPY_WIDTH;
    struct Row { const float* begin; int pitch; bool inside; };
    struct Depth { int k; bool live; };
    const float *dz, *dq;  // dq may be null: own is then `rows`
    int rows, own, pitch;
    Steps steps;
    __device__ __forceinline__ Row row(int r) const {
        return r < own ? Row{dz + r, pitch, true} : Row{dq + (r - own), rows - own, r < rows};
    }
    __device__ __forceinline__ Depth depth(int k) const { return {k, steps.at(k).live}; }
    __device__ __forceinline__ Place at(const Row& r, const Depth& d) const {
        return {r.begin + (size_t)(d.live ? d.k : 0) * r.pitch, d.live && r.inside};
    }
};

// Row u is element u of `states` (N, T, rows) a step before (shift −1 or, backwards in time, 1), or of `first`
// (N, rows) where there is none; with shift 0 of the step itself.
struct StatesOfSteps {
    static constexpr bool DEEP = false;
    static constexpr int WIDTH = COPY_WIDTH;
    struct Row { int r; };
    struct Depth { const float* begin; bool live; };
    const float *states, *first;
    int rows, shift;
    Steps steps;
    __device__ __forceinline__ Row row(int r) const { return {r}; }
    __device__ __forceinline__ Depth depth(int k) const {
        Steps::At at = steps.at(k);
        int t = at.t + shift;
        if (t >= 0 && t < at.end) return {states + ((size_t)at.n * steps.all.steps + t) * rows, at.live};
        return {first + (size_t)at.n * rows, at.live};
    }
    __device__ __forceinline__ Place at(Row r, const Depth& d) const { return {d.begin + r.r, d.live && r.r < rows}; }
};

extern "C" {

// dw (rows, columns). dq, first and lengths may be null. With several layers of blocks (gridDim.y), layer s sums
// k_part steps and writes to dw + s · rows · columns.
__global__ void __launch_bounds__(Tiles::THREADS, BLOCKS)
    recurrent_wgrad(float* __restrict__ dw, const float* __restrict__ dz, const float* __restrict__ dq,
                    const float* __restrict__ states, const float* __restrict__ first,
                    const int* __restrict__ lengths, int sequences, int steps, int rows, int own, int pitch,
                    int columns, int shift, int k_part) {
    __shared__ __align__(16) float shared[Tiles::SHARED];
    int k_begin = blockIdx.y * k_part, k_end = min(sequences * steps, k_begin + k_part);
    Steps all{{lengths, sequences, steps, 0, false}};
    int2 tile = grouped_tile(blockIdx.x, ceil_div(rows, TILE_M), ceil_div(columns, TILE_N));
    int m0 = tile.x * TILE_M, n0 = tile.y * TILE_N;
    float acc[THREAD_M][THREAD_N] = {};
    GateGradients gradients{dz, dq, rows, own, pitch, all};
    StatesOfSteps before{states, first, columns, shift, all};
    gemm<Tiles>(acc, shared, gradients, before, m0, n0, k_begin, k_end);
    float* to = dw + (size_t)blockIdx.y * rows * columns;
    gemm_each<Tiles>(acc, m0, n0, [&](int row, int col, float4 v) {
        if (row >= rows || col >= columns) return;
        float* at = to + (size_t)row * columns + col;
        if (columns % 4 == 0) {
            store4(at, v);
            return;
        }
        at[0] = v.x;
        if (col + 1 < columns) at[1] = v.y;
        if (col + 2 < columns) at[2] = v.z;
        if (col + 3 < columns) at[3] = v.w;
    });
}

__global__ void __launch_bounds__(256)
    recurrent_wgrad_sum(float* __restrict__ dw, const float* __restrict__ parts, int count, int columns, int splits) {
    sum_parts(dw, parts, nullptr, count, columns, splits, ACT_NONE);
}
}
