// One unit of a GRU: a step and its gradient, in registers. The gates are in the order r, z, n, and with them
// is kept q, the product of h with its bias that r scales.
#pragma once
#include "recurrent.cuh"

struct GruGates { float r, z, n, q; };

// From the pre-activations of r and z, and the two parts of that of n.
__device__ __forceinline__ GruGates gru_gates(float zr, float zz, float zn, float q) {
    float r = sigmoid(zr);
    return {r, sigmoid(zz), tanhf(zn + r * q), q};
}

__device__ __forceinline__ float gru_next(const GruGates& a, float h) { return (1 - a.z) * a.n + a.z * h; }

struct GruGradients { float r, z, n, q; };  // of the pre-activations of r and z, of n's part of x, and of q

// `dh` becomes that part of the gradient of h before which does not come through the products.
__device__ __forceinline__ GruGradients gru_grad(const GruGates& a, float h_before, float& dh) {
    float n = dh * (1 - a.z) * (1 - a.n * a.n), q = n * a.r;
    float z = dh * (h_before - a.n) * a.z * (1 - a.z);
    dh *= a.z;
    return {q * a.q * (1 - a.r), z, n, q};
}

// --- over a sequence, as recurrent.cuh says ---------------------------------------------------------

struct GruRun {
    static constexpr int PRODUCTS = 3;
    struct Carried { float h, bias; };
    struct Input { float r, z, n; };
    using Made = GruGates;
    float *out, *h, *gates;  // gates may be null
    const float *zx, *h0, *b;
    int units;
    __device__ __forceinline__ Carried load(int state) const { return {h0[state], b[state % units]}; }
    __device__ __forceinline__ void store(int state, const Carried& s) const { h[state] = s.h; }
    __device__ __forceinline__ Input read(int step, int unit) const {
        const float* z = zx + step * 3 * units + unit;
        return {z[0], z[units], z[2 * units]};
    }
    __device__ __forceinline__ Made run(Carried& s, const Input& z, const float (&sum)[3]) const {
        GruGates a = gru_gates(z.r + sum[0], z.z + sum[1], z.n, sum[2] + s.bias);
        s.h = gru_next(a, s.h);
        return a;
    }
    __device__ __forceinline__ void write(int step, int unit, const Carried& s, const Made& a, bool live) const {
        out[step * units + unit] = live ? s.h : 0;
        if (!gates) return;
        float* to = gates + step * 4 * units + unit;
        to[0] = a.r, to[units] = a.z, to[2 * units] = a.n, to[3 * units] = a.q;
    }
};

struct GruRunGrad {
    static constexpr int PASSED = 3;
    struct Carried { float h; };
    struct Saved {
        GruGates gates;
        float out, above;
    };
    struct Made {
        float passed[3];  // of r, z and q
        float n;
    };
    float *dz, *dq, *dh0;
    const float *dout, *dh;  // or null
    const float *gates, *out, *h0;
    int units;
    __device__ __forceinline__ Carried load(int state) const { return {dh ? dh[state] : 0}; }
    __device__ __forceinline__ void store(int state, const Carried& d) const { dh0[state] = d.h; }
    __device__ __forceinline__ Saved read(int step, int unit) const {
        const float* a = gates + step * 4 * units + unit;
        int at = step * units + unit;
        return {{a[0], a[units], a[2 * units], a[3 * units]}, out[at], dout ? dout[at] : 0};
    }
    static __device__ __forceinline__ float trail(const Saved& s) { return s.out; }
    __device__ __forceinline__ float before(int step, int unit) const { return out[step * units + unit]; }
    __device__ __forceinline__ float first(int state) const { return h0[state]; }
    __device__ __forceinline__ Made run(Carried& d, const Saved& s, float before) const {
        d.h += s.above;
        GruGradients g = gru_grad(s.gates, before, d.h);
        return {{g.r, g.z, g.q}, g.n};
    }
    __device__ __forceinline__ void write(int step, int unit, const Made& made) const {
        float* to = dz + step * 3 * units + unit;
        to[0] = made.passed[0], to[units] = made.passed[1], to[2 * units] = made.n;
        dq[step * units + unit] = made.passed[2];
    }
};
