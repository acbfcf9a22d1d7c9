// One step of an LSTM and its gradient, each in one kernel: a thread has all four gates of WIDTH units.
//
// Bound by memory: 14 floats per unit are read or written forwards (two halves of z, c, h, the cell, the
// gates), 14 backwards. Compiled for WIDTH 1, and for 4 where H is a multiple of it: 128-bit accesses.
#include "lstm.cuh"
#include "wide.cuh"

// Element `unit` of gate `gate` in a row of 4H.
__device__ __forceinline__ size_t of_gate(int row, int gate, int unit, int units) {
    return ((size_t)row * 4 + gate) * units + unit;
}

extern "C" {

// n: N · H / WIDTH. gates may be null.
__global__ void __launch_bounds__(256)
    lstm_cell(float* __restrict__ h, float* __restrict__ c_next, float* __restrict__ gates,
              const float* __restrict__ zx, const float* __restrict__ zh, const float* __restrict__ c, int n,
              int units) {
    for (int at = blockIdx.x * blockDim.x + threadIdx.x; at < n; at += gridDim.x * blockDim.x) {
        int row = at / (units / WIDTH), unit = (at - row * (units / WIDTH)) * WIDTH;
        float z[4][WIDTH], cell[WIDTH], out[WIDTH];
        load_wide<WIDTH>(cell, c + (size_t)at * WIDTH);
#pragma unroll
        for (int k = 0; k < 4; k++) {
            float other[WIDTH];
            load_wide<WIDTH>(z[k], zx + of_gate(row, k, unit, units));
            load_wide<WIDTH>(other, zh + of_gate(row, k, unit, units));
#pragma unroll
            for (int j = 0; j < WIDTH; j++) z[k][j] += other[j];
        }
#pragma unroll
        for (int j = 0; j < WIDTH; j++) {
            Gates a = gates_of(z[0][j], z[1][j], z[2][j], z[3][j]);
            cell[j] = next_cell(a, cell[j]), out[j] = next_h(a, cell[j]);
            z[0][j] = a.i, z[1][j] = a.f, z[2][j] = a.g, z[3][j] = a.o;
        }
        store_wide<WIDTH>(h + (size_t)at * WIDTH, out);
        store_wide<WIDTH>(c_next + (size_t)at * WIDTH, cell);
        if (!gates) continue;
#pragma unroll
        for (int k = 0; k < 4; k++) store_wide<WIDTH>(gates + of_gate(row, k, unit, units), z[k]);
    }
}

// An absent dh or dc_next is zero.
__global__ void __launch_bounds__(256)
    lstm_cell_grad(float* __restrict__ dz, float* __restrict__ dc, const float* __restrict__ dh,
                   const float* __restrict__ dc_next, const float* __restrict__ gates, const float* __restrict__ c,
                   const float* __restrict__ c_next, int n, int units) {
    for (int at = blockIdx.x * blockDim.x + threadIdx.x; at < n; at += gridDim.x * blockDim.x) {
        int row = at / (units / WIDTH), unit = (at - row * (units / WIDTH)) * WIDTH;
        float z[4][WIDTH], before[WIDTH], after[WIDTH], d_out[WIDTH], d_cell[WIDTH];
        load_wide<WIDTH>(before, c + (size_t)at * WIDTH), load_wide<WIDTH>(after, c_next + (size_t)at * WIDTH);
        load_wide_or<WIDTH>(d_out, dh, (size_t)at * WIDTH, 0);
        load_wide_or<WIDTH>(d_cell, dc_next, (size_t)at * WIDTH, 0);
#pragma unroll
        for (int k = 0; k < 4; k++) load_wide<WIDTH>(z[k], gates + of_gate(row, k, unit, units));
#pragma unroll
        for (int j = 0; j < WIDTH; j++) {
            Gates d = gates_grad({z[0][j], z[1][j], z[2][j], z[3][j]}, before[j], after[j], d_out[j], d_cell[j]);
            z[0][j] = d.i, z[1][j] = d.f, z[2][j] = d.g, z[3][j] = d.o;
        }
#pragma unroll
        for (int k = 0; k < 4; k++) store_wide<WIDTH>(dz + of_gate(row, k, unit, units), z[k]);
        store_wide<WIDTH>(dc + (size_t)at * WIDTH, d_cell);
    }
}
}
