// One step of a GRU and its gradient, each in one kernel: a thread has all gates of WIDTH units.
//
// Bound by memory: 12 floats per unit are read or written forwards (zx, zh, h twice, the gates with q), 13
// backwards. Compiled for WIDTH 1, and for 4 where H is a multiple of it: 128-bit accesses.
#include "gru.cuh"
#include "wide.cuh"

// Element `unit` of part `part` in a row of parts · H.
__device__ __forceinline__ size_t of_part(int row, int parts, int part, int unit, int units) {
    return ((size_t)row * parts + part) * units + unit;
}

extern "C" {

// n: N · H / WIDTH. gates may be null.
__global__ void __launch_bounds__(256)
    gru_cell(float* __restrict__ h_next, float* __restrict__ gates, const float* __restrict__ zx,
             const float* __restrict__ zh, const float* __restrict__ h, int n, int units) {
    for (int at = blockIdx.x * blockDim.x + threadIdx.x; at < n; at += gridDim.x * blockDim.x) {
        int row = at / (units / WIDTH), unit = (at - row * (units / WIDTH)) * WIDTH;
        float x[3][WIDTH], r[3][WIDTH], state[WIDTH], made[4][WIDTH];
        load_wide<WIDTH>(state, h + (size_t)at * WIDTH);
#pragma unroll
        for (int k = 0; k < 3; k++) {
            load_wide<WIDTH>(x[k], zx + of_part(row, 3, k, unit, units));
            load_wide<WIDTH>(r[k], zh + of_part(row, 3, k, unit, units));
        }
#pragma unroll
        for (int j = 0; j < WIDTH; j++) {
            GruGates a = gru_gates(x[0][j] + r[0][j], x[1][j] + r[1][j], x[2][j], r[2][j]);
            state[j] = gru_next(a, state[j]);
            made[0][j] = a.r, made[1][j] = a.z, made[2][j] = a.n, made[3][j] = a.q;
        }
        store_wide<WIDTH>(h_next + (size_t)at * WIDTH, state);
        if (!gates) continue;
#pragma unroll
        for (int k = 0; k < 4; k++) store_wide<WIDTH>(gates + of_part(row, 4, k, unit, units), made[k]);
    }
}

__global__ void __launch_bounds__(256)
    gru_cell_grad(float* __restrict__ dzx, float* __restrict__ dzh, float* __restrict__ dh,
                  const float* __restrict__ dh_next, const float* __restrict__ gates, const float* __restrict__ h,
                  int n, int units) {
    for (int at = blockIdx.x * blockDim.x + threadIdx.x; at < n; at += gridDim.x * blockDim.x) {
        int row = at / (units / WIDTH), unit = (at - row * (units / WIDTH)) * WIDTH;
        float a[4][WIDTH], before[WIDTH], d[WIDTH], made[4][WIDTH];
        load_wide<WIDTH>(before, h + (size_t)at * WIDTH), load_wide<WIDTH>(d, dh_next + (size_t)at * WIDTH);
#pragma unroll
        for (int k = 0; k < 4; k++) load_wide<WIDTH>(a[k], gates + of_part(row, 4, k, unit, units));
#pragma unroll
        for (int j = 0; j < WIDTH; j++) {
            GruGradients g = gru_grad({a[0][j], a[1][j], a[2][j], a[3][j]}, before[j], d[j]);
            made[0][j] = g.r, made[1][j] = g.z, made[2][j] = g.n, made[3][j] = g.q;
        }
#pragma unroll
        for (int k = 0; k < 3; k++) {
            store_wide<WIDTH>(dzx + of_part(row, 3, k, unit, units), made[k]);
            store_wide<WIDTH>(dzh + of_part(row, 3, k, unit, units), made[k < 2 ? k : 3]);
        }
        store_wide<WIDTH>(dh + (size_t)at * WIDTH, d);
    }
}
}
