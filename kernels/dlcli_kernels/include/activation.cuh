// The activations of elementwise/activations.py and their gradients, by the number that stands there.
//
// A number rather than a template argument: a kernel is compiled once, and the branch is the same for
// every thread of a launch. NaN passes through all of them.
#pragma once
#include "dlcli.cuh"

enum Activation {
    ACT_NONE, ACT_RELU, ACT_RELU6, ACT_LEAKY_RELU, ACT_LEAKY_RELU_02, ACT_ELU, ACT_SELU, ACT_SIGMOID, ACT_TANH,
    ACT_SOFTPLUS, ACT_GELU, ACT_SILU, ACT_HARD_TANH
};

constexpr float SELU_ALPHA = 1.6732632423543772f, SELU_SCALE = 1.0507009873554805f;
constexpr float INV_SQRT_2 = 0.70710678118654752f, INV_SQRT_2PI = 0.39894228040143268f;

__device__ __forceinline__ float sigmoid(float z) {  // without overflow
    float e = expf(-fabsf(z));
    return z >= 0 ? 1 / (1 + e) : e / (1 + e);
}

__device__ __forceinline__ float activate(float z, int act) {
    switch (act) {
        case ACT_RELU: return z < 0 ? 0.0f : z;
        case ACT_RELU6: return z < 0 ? 0.0f : z > 6 ? 6.0f : z;
        case ACT_LEAKY_RELU: return z > 0 ? z : 0.01f * z;
        case ACT_LEAKY_RELU_02: return z > 0 ? z : 0.2f * z;
        case ACT_ELU: return z > 0 ? z : expm1f(z);
        case ACT_SELU: return SELU_SCALE * (z > 0 ? z : SELU_ALPHA * expm1f(z));
        case ACT_SIGMOID: return sigmoid(z);
        case ACT_TANH: return tanhf(z);
        case ACT_SOFTPLUS: return (z > 0 ? z : 0.0f) + log1pf(expf(-fabsf(z)));
        case ACT_GELU: return 0.5f * z * (1 + erff(z * INV_SQRT_2));
        case ACT_SILU: return z * sigmoid(z);
        case ACT_HARD_TANH: return z < -1 ? -1.0f : z > 1 ? 1.0f : z;
        default: return z;
    }
}

// dz from dy. `saved` is the output y, or the input z for gelu and silu.
__device__ __forceinline__ float activate_grad(float saved, float dy, int act) {
    switch (act) {
        case ACT_RELU: return saved <= 0 ? 0.0f : dy;
        case ACT_RELU6: return saved > 0 && saved < 6 ? dy : 0 * saved;
        case ACT_LEAKY_RELU: return saved > 0 ? dy : 0.01f * dy;
        case ACT_LEAKY_RELU_02: return saved > 0 ? dy : 0.2f * dy;
        case ACT_ELU: return saved > 0 ? dy : dy * (saved + 1);
        case ACT_SELU: return dy * (saved > 0 ? SELU_SCALE : saved + SELU_SCALE * SELU_ALPHA);
        case ACT_SIGMOID: return dy * saved * (1 - saved);
        case ACT_TANH: return dy * (1 - saved * saved);
        case ACT_SOFTPLUS: return dy * -expm1f(-saved);
        case ACT_GELU:
            return dy * (0.5f * (1 + erff(saved * INV_SQRT_2)) + saved * expf(-0.5f * saved * saved) * INV_SQRT_2PI);
        case ACT_SILU: {
            float s = sigmoid(saved);
            return dy * s * (1 + saved * (1 - s));
        }
        case ACT_HARD_TANH: return fabsf(saved) < 1 ? dy : 0 * saved;
        default: return dy;
    }
}

// The derivative of activate_grad by `saved`, for activations that have curvature.
__device__ __forceinline__ float activate_curve(float saved, float dy, int act) {
    switch (act) {
        case ACT_ELU:
        case ACT_SELU: return saved > 0 ? 0 * dy : dy;
        case ACT_SIGMOID: return dy * (1 - 2 * saved);
        case ACT_TANH: return -2 * (dy * saved);
        case ACT_SOFTPLUS: return dy * expf(-saved);
        case ACT_GELU: return dy * expf(-0.5f * saved * saved) * INV_SQRT_2PI * (2 - saved * saved);
        case ACT_SILU: {  // s (1 − s) = e / (1 + e)², e = exp(−|x|)
            float e = expf(-fabsf(saved)), rest = 1 / (1 + e), s = saved >= 0 ? rest : e * rest;
            return dy * (e * rest * rest) * (2 + saved * (1 - 2 * s));
        }
        default: return 0;
    }
}
