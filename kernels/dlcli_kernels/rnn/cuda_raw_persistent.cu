// All steps of a vanilla recurrent layer of at most 128 units, or of its gradient: recurrent_persistent.cuh.
#include "recurrent_persistent.cuh"
#include "rnn.cuh"

extern "C" {

// lengths may be null.
__global__ void __launch_bounds__(THREADS, 1)
    rnn_run(float* out, float* h_last, const float* zx, const float* h0, int act, const float* w, const int* lengths,
            int sequences, int steps, int units, int reverse) {
    RnnRun cell{out, h_last, zx, h0, units, act};
    run_all(cell, w, {lengths, sequences, steps, units, reverse != 0});
}

// dout and dh_last may be null, and lengths.
__global__ void __launch_bounds__(THREADS, 1)
    rnn_run_grad(float* dz, float* dh0, const float* dout, const float* dh_last, const float* out, int act,
                 const float* w, const int* lengths, int sequences, int steps, int units, int reverse) {
    RnnRunGrad cell{dz, dh0, dout, dh_last, out, units, act};
    run_all_grad(cell, w, {lengths, sequences, steps, units, reverse != 0});
}
}
