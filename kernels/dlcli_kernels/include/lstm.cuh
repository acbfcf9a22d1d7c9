// One unit of an LSTM: a step and its gradient, in registers. The gates are in the order i, f, g, o.
#pragma once
#include "activation.cuh"

struct Gates { float i, f, g, o; };

__device__ __forceinline__ Gates gates_of(float zi, float zf, float zg, float zo) {
    return {sigmoid(zi), sigmoid(zf), tanhf(zg), sigmoid(zo)};
}

// The cell after a step, and h.
__device__ __forceinline__ float next_cell(const Gates& a, float c) { return a.f * c + a.i * a.g; }
__device__ __forceinline__ float next_h(const Gates& a, float c_next) { return a.o * tanhf(c_next); }

// The gradients of the pre-activations from those of h and of the cell after; `dc` becomes that of the cell
// before.
__device__ __forceinline__ Gates gates_grad(const Gates& a, float c, float c_next, float dh, float& dc) {
    float t = tanhf(c_next);
    dc += dh * a.o * (1 - t * t);
    Gates dz = {dc * a.g * a.i * (1 - a.i), dc * c * a.f * (1 - a.f), dc * a.i * (1 - a.g * a.g),
                dh * t * a.o * (1 - a.o)};
    dc *= a.f;
    return dz;
}
