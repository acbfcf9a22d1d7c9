// Steps of a GRU of any number of units, or of its gradient: recurrent_tiles.cuh.
#include "gru.cuh"
#include "recurrent_tiles.cuh"

extern "C" {

// Steps first … last − 1. h: the state, in place; passed: h of all blocks, twice (units, pitch). gates may be null,
// and lengths.
__global__ void __launch_bounds__(THREADS, 2)
    gru_steps(float* out, float* h, float* gates, const float* zx, const float* b, const float* packed, float* passed,
              unsigned* counter, const int* lengths, int sequences, int steps, int units, int reverse,
              int pitch, int first, int last) {
    GruRun cell{out, h, gates, zx, h, b, units};
    run_steps(cell, {packed, passed, counter, pitch}, {lengths, sequences, steps, units, reverse != 0}, first, last);
}

// Turns first … last − 1 of steps + 1. dh: the state, in place; passed: the gradients of r, z and q of all blocks,
// twice (3 · units, pitch). dout may be null, and lengths.
__global__ void __launch_bounds__(THREADS, 2)
    gru_steps_grad(float* dz, float* dq, float* dh, const float* dout, const float* gates, const float* out,
                   const float* h0, const float* packed, float* passed, unsigned* counter, const int* lengths,
                   int sequences, int steps, int units, int reverse, int pitch, int first, int last) {
    GruRunGrad cell{dz, dq, dh, dout, dh, gates, out, h0, units};
    run_steps_grad(cell, {packed, passed, counter, pitch}, {lengths, sequences, steps, units, reverse != 0}, first,
                   last);
}
}
