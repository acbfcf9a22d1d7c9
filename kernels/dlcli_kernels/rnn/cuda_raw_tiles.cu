// Steps of a vanilla recurrent layer of any number of units, or of its gradient: recurrent_tiles.cuh.
#include "recurrent_tiles.cuh"
#include "rnn.cuh"

extern "C" {

// Steps first … last − 1. h: the state, in place; passed: h of all blocks, twice (units, pitch). lengths may be null.
__global__ void __launch_bounds__(THREADS, 2)
    rnn_steps(float* out, float* h, const float* zx, int act, const float* packed, float* passed, unsigned* counter,
              const int* lengths, int sequences, int steps, int units, int reverse, int pitch, int first, int last) {
    RnnRun cell{out, h, zx, h, units, act};
    run_steps(cell, {packed, passed, counter, pitch}, {lengths, sequences, steps, units, reverse != 0}, first, last);
}

// Turns first … last − 1 of steps + 1. dh: the state, in place; passed: dz of all blocks, twice (units, pitch). dout
// may be null, and lengths.
__global__ void __launch_bounds__(THREADS, 2)
    rnn_steps_grad(float* dz, float* dh, const float* dout, const float* out, int act, const float* packed,
                   float* passed, unsigned* counter, const int* lengths, int sequences, int steps, int units,
                   int reverse, int pitch, int first, int last) {
    RnnRunGrad cell{dz, dh, dout, dh, out, units, act};
    run_steps_grad(cell, {packed, passed, counter, pitch}, {lengths, sequences, steps, units, reverse != 0}, first,
                   last);
}
}
