// All steps of a GRU of at most 128 units, or of its gradient: recurrent_persistent.cuh.
#include "gru.cuh"
#include "recurrent_persistent.cuh"

extern "C" {

// gates may be null, and lengths.
__global__ void __launch_bounds__(THREADS, 1)
    gru_run(float* out, float* h_last, float* gates, const float* zx, const float* h0, const float* b, const float* w,
            const int* lengths, int sequences, int steps, int units, int reverse) {
    GruRun cell{out, h_last, gates, zx, h0, b, units};
    run_all(cell, w, {lengths, sequences, steps, units, reverse != 0});
}

// dout and dh_last may be null, and lengths.
__global__ void __launch_bounds__(THREADS, 1)
    gru_run_grad(float* dz, float* dq, float* dh0, const float* dout, const float* dh_last, const float* gates,
                 const float* out, const float* h0, const float* w, const int* lengths, int sequences, int steps,
                 int units, int reverse) {
    GruRunGrad cell{dz, dq, dh0, dout, dh_last, gates, out, h0, units};
    run_all_grad(cell, w, {lengths, sequences, steps, units, reverse != 0});
}
}
