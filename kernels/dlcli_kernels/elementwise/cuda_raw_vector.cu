// Element by element, four at a time: one kernel per op over include/map.cuh. `x` may be `out` itself.
#include "activation.cuh"
#include "conv.cuh"  // Divisor
#include "map.cuh"
#include "wide.cuh"

#ifndef VEC
#define VEC 1
#endif

struct Activate {
    int act;
    __device__ __forceinline__ float operator()(float z) const { return activate(z, act); }
};
struct ActivateGrad {
    int act;
    __device__ __forceinline__ float operator()(float saved, float dy) const { return activate_grad(saved, dy, act); }
};
struct ActivateCurve {
    int act;
    __device__ __forceinline__ float operator()(float saved, float dy) const { return activate_curve(saved, dy, act); }
};
struct Shift {
    float by;
    __device__ __forceinline__ float operator()(float x) const { return x + by; }
};
struct Root {
    __device__ __forceinline__ float operator()(float x) const { return sqrtf(x); }
};
struct Scale {
    float by;
    __device__ __forceinline__ float operator()(float x) const { return by * x; }
};
struct Copy {
    __device__ __forceinline__ float operator()(float x) const { return x; }
};
struct Add {
    __device__ __forceinline__ float operator()(float x, float y) const { return x + y; }
};
struct Mul {
    __device__ __forceinline__ float operator()(float x, float y) const { return x * y; }
};
struct Div {
    __device__ __forceinline__ float operator()(float x, float y) const { return x / y; }
};
struct Fill {
    float* out;
    float value;
    __device__ __forceinline__ void four(long long i) const { store4(out + i, make_float4(value, value, value, value)); }
    __device__ __forceinline__ void one(long long i) const { out[i] = value; }
};

extern "C" {

__global__ void __launch_bounds__(256) act(float* out, const float* x, long long n, int act) {
    map(n, Unary<Activate>{out, x, {act}});
}

__global__ void __launch_bounds__(256) act_grad(float* out, const float* saved, const float* dout, long long n,
                                                int act) {
    map(n, Binary<ActivateGrad>{out, saved, dout, {act}});
}

__global__ void __launch_bounds__(256) act_curve(float* out, const float* saved, const float* dout, long long n,
                                                 int act) {
    map(n, Binary<ActivateCurve>{out, saved, dout, {act}});
}

// out = f(x + b), b along the last axis: `count` accesses of VEC neighbours, `row` of them to a row.
__global__ void __launch_bounds__(256) bias_act(float* __restrict__ out, const float* __restrict__ x,
                                                const float* __restrict__ b, int count, int row, Divisor by_row,
                                                int act) {
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += gridDim.x * blockDim.x) {
        int column = i - by_row.divide(i) * row;
        float v[VEC], shift[VEC];
        load_wide<VEC>(v, x + (size_t)i * VEC), load_wide<VEC>(shift, b + column * VEC);
#pragma unroll
        for (int e = 0; e < VEC; e++) v[e] = activate(v[e] + shift[e], act);
        store_wide<VEC>(out + (size_t)i * VEC, v);
    }
}

__global__ void __launch_bounds__(256) shift(float* out, const float* x, long long n, float by) {
    map(n, Unary<Shift>{out, x, {by}});
}

__global__ void __launch_bounds__(256) square_root(float* out, const float* x, long long n) {
    map(n, Unary<Root>{out, x, {}});
}

__global__ void __launch_bounds__(256) scale(float* out, const float* x, long long n, float by) {
    map(n, Unary<Scale>{out, x, {by}});
}

__global__ void __launch_bounds__(256) add(float* out, const float* x, const float* y, long long n) {
    map(n, Binary<Add>{out, x, y, {}});
}

__global__ void __launch_bounds__(256) mul(float* out, const float* x, const float* y, long long n) {
    map(n, Binary<Mul>{out, x, y, {}});
}

__global__ void __launch_bounds__(256) divide(float* out, const float* x, const float* y, long long n) {
    map(n, Binary<Div>{out, x, y, {}});
}

__global__ void __launch_bounds__(256) fill(float* target, long long n, float value) {
    map(n, Fill{target, value});
}

__global__ void __launch_bounds__(256) assign(float* target, const float* x, long long n) {
    map(n, Unary<Copy>{target, x, {}});
}

__global__ void __launch_bounds__(256) add_to(float* target, const float* x, long long n) {
    map(n, Binary<Add>{target, target, x, {}});
}

__global__ void __launch_bounds__(256) add_to_double(double* target, const double* x, long long n) {
    long long step = static_cast<long long>(gridDim.x) * blockDim.x;
    for (long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += step)
        target[i] += x[i];
}
}
