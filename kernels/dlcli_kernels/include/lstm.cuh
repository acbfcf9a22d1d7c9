// One unit of an LSTM: a step and its gradient, in registers. The gates are in the order i, f, g, o.
#pragma once
#include "recurrent.cuh"

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

// --- over a sequence, as recurrent.cuh says ---------------------------------------------------------

struct LstmRun {
    static constexpr int PRODUCTS = 4;
    struct Carried { float h, c; };
    using Input = Gates;
    using Made = Gates;
    float *out, *h, *c, *gates, *cells;  // gates and cells may be null
    const float *zx, *h0, *c0;
    int units;
    __device__ __forceinline__ Carried load(int state) const { return {h0[state], c0[state]}; }
    __device__ __forceinline__ void store(int state, const Carried& s) const { h[state] = s.h, c[state] = s.c; }
    __device__ __forceinline__ Input read(int step, int unit) const {
        const float* z = zx + step * 4 * units + unit;
        return {z[0], z[units], z[2 * units], z[3 * units]};
    }
    __device__ __forceinline__ Made run(Carried& s, const Input& z, const float (&sum)[4]) const {
        Gates a = gates_of(z.i + sum[0], z.f + sum[1], z.g + sum[2], z.o + sum[3]);
        s.c = next_cell(a, s.c), s.h = next_h(a, s.c);
        return a;
    }
    __device__ __forceinline__ void write(int step, int unit, const Carried& s, const Made& a, bool live) const {
        int at = step * units + unit;
        out[at] = live ? s.h : 0;
        if (cells) cells[at] = live ? s.c : 0;
        if (!gates) return;
        float* to = gates + step * 4 * units + unit;
        to[0] = a.i, to[units] = a.f, to[2 * units] = a.g, to[3 * units] = a.o;
    }
};

struct LstmRunGrad {
    static constexpr int PASSED = 4;
    struct Carried { float h, c; };
    struct Saved {
        Gates gates;
        float cell, above;
    };
    struct Made { float passed[4]; };
    float *dz, *dh0, *dc0;
    const float *dout, *dh, *dc;  // or null
    const float *gates, *cells, *c0;
    int units;
    __device__ __forceinline__ Carried load(int state) const { return {dh ? dh[state] : 0, dc ? dc[state] : 0}; }
    __device__ __forceinline__ void store(int state, const Carried& d) const { dh0[state] = d.h, dc0[state] = d.c; }
    __device__ __forceinline__ Saved read(int step, int unit) const {
        const float* a = gates + step * 4 * units + unit;
        int at = step * units + unit;
        return {{a[0], a[units], a[2 * units], a[3 * units]}, cells[at], dout ? dout[at] : 0};
    }
    static __device__ __forceinline__ float trail(const Saved& s) { return s.cell; }
    __device__ __forceinline__ float before(int step, int unit) const { return cells[step * units + unit]; }
    __device__ __forceinline__ float first(int state) const { return c0[state]; }
    __device__ __forceinline__ Made run(Carried& d, const Saved& s, float before) const {
        Gates z = gates_grad(s.gates, before, s.cell, d.h + s.above, d.c);
        d.h = 0;
        return {{z.i, z.f, z.g, z.o}};
    }
    __device__ __forceinline__ void write(int step, int unit, const Made& made) const {
        float* to = dz + step * 4 * units + unit;
#pragma unroll
        for (int k = 0; k < 4; k++) to[k * units] = made.passed[k];
    }
};
