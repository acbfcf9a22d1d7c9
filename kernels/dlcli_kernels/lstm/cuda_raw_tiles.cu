// Steps of an LSTM of any number of units, or of its gradient: recurrent_tiles.cuh.
#include "lstm.cuh"
#include "recurrent_tiles.cuh"

extern "C" {

// Steps first … last − 1. h and c: the state, in place; passed: h of all blocks, twice (units, pitch). gates and
// cells may be null, and lengths.
__global__ void __launch_bounds__(THREADS, 2)
    lstm_steps(float* out, float* h, float* c, float* gates, float* cells, const float* zx, const float* packed,
               float* passed, unsigned* counter, const int* lengths, int sequences, int steps, int units, int reverse,
               int pitch, int first, int last) {
    LstmRun cell{out, h, c, gates, cells, zx, h, c, units};
    run_steps(cell, {packed, passed, counter, pitch}, {lengths, sequences, steps, units, reverse != 0}, first, last);
}

// Turns first … last − 1 of steps + 1. dh and dc: the state, in place; passed: dz of all blocks, twice
// (4 · units, pitch). dout may be null, and lengths.
__global__ void __launch_bounds__(THREADS, 2)
    lstm_steps_grad(float* dz, float* dh, float* dc, const float* dout, const float* gates, const float* cells,
                    const float* c0, const float* packed, float* passed, unsigned* counter, const int* lengths,
                    int sequences, int steps, int units, int reverse, int pitch, int first, int last) {
    LstmRunGrad cell{dz, dh, dc, dout, dh, dc, gates, cells, c0, units};
    run_steps_grad(cell, {packed, passed, counter, pitch}, {lengths, sequences, steps, units, reverse != 0}, first,
                   last);
}
}
