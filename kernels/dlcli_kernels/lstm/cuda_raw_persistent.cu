// All steps of an LSTM of at most 128 units, or of its gradient: recurrent_persistent.cuh.
#include "lstm.cuh"
#include "recurrent_persistent.cuh"

extern "C" {

// gates and cells may be null, and lengths.
__global__ void __launch_bounds__(THREADS, 1)
    lstm_run(float* out, float* h_last, float* c_last, float* gates, float* cells, const float* zx, const float* h0,
             const float* c0, const float* w, const int* lengths, int sequences, int steps, int units, int reverse) {
    LstmRun cell{out, h_last, c_last, gates, cells, zx, h0, c0, units};
    run_all(cell, w, {lengths, sequences, steps, units, reverse != 0});
}

// dout, dh_last and dc_last may be null, and lengths.
__global__ void __launch_bounds__(THREADS, 1)
    lstm_run_grad(float* dz, float* dh0, float* dc0, const float* dout, const float* dh_last, const float* dc_last,
                  const float* gates, const float* cells, const float* c0, const float* w, const int* lengths,
                  int sequences, int steps, int units, int reverse) {
    LstmRunGrad cell{dz, dh0, dc0, dout, dh_last, dc_last, gates, cells, c0, units};
    run_all_grad(cell, w, {lengths, sequences, steps, units, reverse != 0});
}
}
