// One unit of the vanilla recurrent layer over a sequence, and its gradient, as recurrent.cuh says. `act` is a
// number of activation.cuh; its gradient is computed from h.
#pragma once
#include "recurrent.cuh"

struct RnnRun {
    static constexpr int PRODUCTS = 1;
    struct Carried { float h; };
    using Input = float;
    struct Made {};
    float *out, *h;
    const float *zx, *h0;
    int units, act;
    __device__ __forceinline__ Carried load(int state) const { return {h0[state]}; }
    __device__ __forceinline__ void store(int state, const Carried& s) const { h[state] = s.h; }
    __device__ __forceinline__ Input read(int step, int unit) const { return zx[step * units + unit]; }
    __device__ __forceinline__ Made run(Carried& s, const Input& z, const float (&sum)[1]) const {
        s.h = activate(z + sum[0], act);
        return {};
    }
    __device__ __forceinline__ void write(int step, int unit, const Carried& s, const Made&, bool live) const {
        out[step * units + unit] = live ? s.h : 0;
    }
};

struct RnnRunGrad {
    static constexpr int PASSED = 1;
    struct Carried { float h; };
    struct Saved { float out, above; };
    struct Made { float passed[1]; };
    float *dz, *dh0;
    const float *dout, *dh;  // or null
    const float* out;
    int units, act;
    __device__ __forceinline__ Carried load(int state) const { return {dh ? dh[state] : 0}; }
    __device__ __forceinline__ void store(int state, const Carried& d) const { dh0[state] = d.h; }
    __device__ __forceinline__ Saved read(int step, int unit) const {
        int at = step * units + unit;
        return {out[at], dout ? dout[at] : 0};
    }
    static __device__ __forceinline__ float trail(const Saved&) { return 0; }
    __device__ __forceinline__ float before(int, int) const { return 0; }
    __device__ __forceinline__ float first(int) const { return 0; }
    __device__ __forceinline__ Made run(Carried& d, const Saved& s, float) const {
        float dz = activate_grad(s.out, d.h + s.above, act);
        d.h = 0;
        return {{dz}};
    }
    __device__ __forceinline__ void write(int step, int unit, const Made& made) const {
        dz[step * units + unit] = made.passed[0];
    }
};
