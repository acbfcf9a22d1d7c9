// out[i] = f(x[i], …) over flat arrays: 128-bit accesses, a grid-stride loop, the last few one by one.
//
// Arrays begin on a boundary of 16 bytes. Each thread has one 128-bit load per operand in flight per
// turn; with 2,048 threads per multiprocessor that is 32 KB per operand, what the latency of memory
// (about 600 ns) times the bandwidth of one multiprocessor's share (about 35 bytes per ns) asks for.
#pragma once
#include "dlcli.cuh"

template <class F> __device__ __forceinline__ void map(long long n, F f) {
    long long first = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
    long long step = static_cast<long long>(gridDim.x) * blockDim.x;
    for (long long i = first; i < n / 4; i += step) f.four(4 * i);
    for (long long i = n / 4 * 4 + first; i < n; i += step) f.one(i);
}

// f(x), f(x, y) and f(x, y, z) by element, for `map`. F has a `float operator()(…) const`.
template <class F> struct Unary {
    float* out;
    const float* x;
    F f;
    __device__ __forceinline__ void four(long long i) const {
        float4 v = load4(x + i);
        store4(out + i, make_float4(f(v.x), f(v.y), f(v.z), f(v.w)));
    }
    __device__ __forceinline__ void one(long long i) const { out[i] = f(x[i]); }
};

template <class F> struct Binary {
    float* out;
    const float* x;
    const float* y;
    F f;
    __device__ __forceinline__ void four(long long i) const {
        float4 v = load4(x + i), w = load4(y + i);
        store4(out + i, make_float4(f(v.x, w.x), f(v.y, w.y), f(v.z, w.z), f(v.w, w.w)));
    }
    __device__ __forceinline__ void one(long long i) const { out[i] = f(x[i], y[i]); }
};

template <class F> struct Ternary {
    float* out;
    const float* x;
    const float* y;
    const float* z;
    F f;
    __device__ __forceinline__ void four(long long i) const {
        float4 u = load4(x + i), v = load4(y + i), w = load4(z + i);
        store4(out + i, make_float4(f(u.x, v.x, w.x), f(u.y, v.y, w.y), f(u.z, v.z, w.z), f(u.w, v.w, w.w)));
    }
    __device__ __forceinline__ void one(long long i) const { out[i] = f(x[i], y[i], z[i]); }
};
