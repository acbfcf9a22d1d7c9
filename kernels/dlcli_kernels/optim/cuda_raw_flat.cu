// Optimiser steps over one flat buffer, in one launch for all parameters of a group: 128-bit accesses,
// bound by memory (Adam reads p, g, m, v and writes p, m, v: 28 bytes per parameter).
//
// What changes from step to step is read from buffers: the rate and the number of the step in float64,
// the flag that halts. Nothing is written while the flag is set.
#include "map.cuh"
#include "optim.cuh"

// Runs `step.update(p, g, a, b, c)` on every element of p with its gradient and up to three states
// (null where there is none): all in registers, the states and p written back.
template <class Step> struct Updated {
    float *p, *a, *b, *c;
    const float* g;
    Step step;

    __device__ __forceinline__ void load(float (&to)[4], const float* from, long long i) const {
        float4 v = from ? load4(from + i) : make_float4(0, 0, 0, 0);
        to[0] = v.x, to[1] = v.y, to[2] = v.z, to[3] = v.w;
    }
    __device__ __forceinline__ void store(float* to, const float (&v)[4], long long i) const {
        if (to) store4(to + i, make_float4(v[0], v[1], v[2], v[3]));
    }
    __device__ __forceinline__ void four(long long i) const {
        float w[4], d[4], x[4], y[4], z[4];
        load(w, p, i), load(d, g, i), load(x, a, i), load(y, b, i), load(z, c, i);
#pragma unroll
        for (int j = 0; j < 4; j++) step.update(w[j], d[j], x[j], y[j], z[j]);
        store(p, w, i), store(a, x, i), store(b, y, i), store(c, z, i);
    }
    __device__ __forceinline__ void one(long long i) const {
        float w = p[i], x = a ? a[i] : 0, y = b ? b[i] : 0, z = c ? c[i] : 0;
        step.update(w, g[i], x, y, z);
        p[i] = w;
        if (a) a[i] = x;
        if (b) b[i] = y;
        if (c) c[i] = z;
    }
};

__device__ __forceinline__ bool is_finite(float v) { return fabsf(v) < INFINITY; }
__device__ __forceinline__ bool is_finite(double v) { return fabs(v) < INFINITY; }

template <class T> __device__ __forceinline__ void check(const T* x, int* halt, long long n) {
    bool bad = false;
    for (long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x; i < n;
         i += static_cast<long long>(gridDim.x) * blockDim.x)
        bad |= !is_finite(x[i]);
    if (bad) atomicExch(halt, 1);  // the flag is the same whoever sets it
}

__device__ __forceinline__ double warp_sum(double v) {
    for (int step = 16; step > 0; step /= 2) v += __shfl_xor_sync(0xffffffffu, v, step);
    return v;
}

__device__ __forceinline__ double block_sum(double v) {  // in thread 0, of a block of 256
    __shared__ double warps[8];
    v = warp_sum(v);
    if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = v;
    __syncthreads();
    double sum = 0;
    if (threadIdx.x == 0)
        for (int i = 0; i < 8; i++) sum += warps[i];
    return sum;
}

struct Times {
    float* g;
    float by;
    __device__ __forceinline__ void four(long long i) const {
        float4 v = load4(g + i);
        store4(g + i, make_float4(v.x * by, v.y * by, v.z * by, v.w * by));
    }
    __device__ __forceinline__ void one(long long i) const { g[i] *= by; }
};

struct Held {
    float* g;
    float limit;
    __device__ __forceinline__ float held(float x) const { return x > limit ? limit : x < -limit ? -limit : x; }
    __device__ __forceinline__ void four(long long i) const {
        float4 v = load4(g + i);
        store4(g + i, make_float4(held(v.x), held(v.y), held(v.z), held(v.w)));
    }
    __device__ __forceinline__ void one(long long i) const { g[i] = held(g[i]); }
};

extern "C" {

__global__ void __launch_bounds__(256) sgd_step(float* p, const float* g, const double* lr, const int* halt,
                                                long long n, double weight_decay, double l1, int decoupled) {
    if (*halt) return;
    Sgd step{{*lr, weight_decay, l1, decoupled}, static_cast<float>(*lr)};
    map(n, Updated<Sgd>{p, nullptr, nullptr, nullptr, g, step});
}

__global__ void __launch_bounds__(256) momentum_step(float* p, const float* g, float* m, const double* lr,
                                                     const double* number, const int* halt, long long n,
                                                     double momentum, double dampening, int nesterov,
                                                     double weight_decay, double l1, int decoupled) {
    if (*halt) return;
    Momentum step{{*lr, weight_decay, l1, decoupled}, static_cast<float>(*lr), static_cast<float>(momentum),
                  static_cast<float>(1 - dampening), *number == 1, nesterov != 0};
    map(n, Updated<Momentum>{p, m, nullptr, nullptr, g, step});
}

__global__ void __launch_bounds__(256) rmsprop_step(float* p, const float* g, float* v, float* m, float* mean,
                                                    const double* lr, const int* halt, long long n, double alpha,
                                                    double eps, double momentum, double weight_decay, double l1,
                                                    int decoupled) {
    if (*halt) return;
    RmsProp step{{*lr, weight_decay, l1, decoupled}, static_cast<float>(*lr), static_cast<float>(alpha),
                 static_cast<float>(1 - alpha), static_cast<float>(eps), static_cast<float>(momentum), mean != nullptr};
    map(n, Updated<RmsProp>{p, v, m, mean, g, step});
}

__global__ void __launch_bounds__(256) adam_step(float* p, const float* g, float* m, float* v, const double* lr,
                                                 const double* number, const int* halt, long long n, double beta1,
                                                 double beta2, double eps, double weight_decay, double l1,
                                                 int decoupled) {
    __shared__ float scalars[2];
    if (*halt) return;
    if (threadIdx.x == 0) Adam::unbiased(scalars, *lr, *number, beta1, beta2);  // powers, once per block
    __syncthreads();
    Adam step({*lr, weight_decay, l1, decoupled}, scalars, beta1, beta2, eps);
    map(n, Updated<Adam>{p, m, v, nullptr, g, step});
}

__global__ void __launch_bounds__(256) check_float(const float* x, int* halt, long long n) { check(x, halt, n); }

__global__ void __launch_bounds__(256) check_double(const double* x, int* halt, long long n) { check(x, halt, n); }

__global__ void count_step(double* number, const int* halt) {
    if (!*halt) *number += 1;
}

// Σ g² in float64: a partial sum per block in a fixed order, then the sum of these by one block.
__global__ void __launch_bounds__(256) squares(double* partial, const float* g, long long n) {
    double sum = 0;
    for (long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x; i < n;
         i += static_cast<long long>(gridDim.x) * blockDim.x)
        sum += static_cast<double>(g[i]) * g[i];
    sum = block_sum(sum);
    if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

__global__ void __launch_bounds__(256) add_partials(double* out, const double* partial, int count) {
    double sum = 0;
    for (int i = threadIdx.x; i < count; i += blockDim.x) sum += partial[i];
    sum = block_sum(sum);
    if (threadIdx.x == 0) *out = sum;
}

__global__ void __launch_bounds__(256) clip_by_norm(float* g, const double* sum_of_squares, const int* halt,
                                                    long long n, double max_norm) {
    if (*halt) return;
    double share = max_norm / (sqrt(*sum_of_squares) + 1e-6);
    if (share >= 1) return;  // false for a NaN, which spreads
    map(n, Times{g, static_cast<float>(share)});
}

__global__ void __launch_bounds__(256) clip_by_value(float* g, long long n, float limit) { map(n, Held{g, limit}); }
}
