// One step of a vanilla recurrent layer and its gradient: elementwise, WIDTH neighbours to a thread.
//
// Bound by memory: 3 floats per unit either way. Compiled for WIDTH 1, and for 4 where there is a multiple of it.
#include "activation.cuh"
#include "wide.cuh"

extern "C" {

// n: elements / WIDTH.
__global__ void __launch_bounds__(256)
    rnn_cell(float* __restrict__ h, const float* __restrict__ zx, const float* __restrict__ zh, int n, int act) {
    for (int at = blockIdx.x * blockDim.x + threadIdx.x; at < n; at += gridDim.x * blockDim.x) {
        float z[WIDTH], other[WIDTH];
        load_wide<WIDTH>(z, zx + (size_t)at * WIDTH), load_wide<WIDTH>(other, zh + (size_t)at * WIDTH);
#pragma unroll
        for (int j = 0; j < WIDTH; j++) z[j] = activate(z[j] + other[j], act);
        store_wide<WIDTH>(h + (size_t)at * WIDTH, z);
    }
}

__global__ void __launch_bounds__(256)
    rnn_cell_grad(float* __restrict__ dz, const float* __restrict__ dh, const float* __restrict__ h, int n, int act) {
    for (int at = blockIdx.x * blockDim.x + threadIdx.x; at < n; at += gridDim.x * blockDim.x) {
        float d[WIDTH], saved[WIDTH];
        load_wide<WIDTH>(d, dh + (size_t)at * WIDTH), load_wide<WIDTH>(saved, h + (size_t)at * WIDTH);
#pragma unroll
        for (int j = 0; j < WIDTH; j++) d[j] = activate_grad(saved[j], d[j], act);
        store_wide<WIDTH>(dz + (size_t)at * WIDTH, d);
    }
}
}
