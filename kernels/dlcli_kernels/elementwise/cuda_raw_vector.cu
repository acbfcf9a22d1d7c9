// Element by element, four at a time: one kernel per op over include/map.cuh. `x` may be `out` itself.
#include "activation.cuh"
#include "map.cuh"

struct Activate {
    int act;
    __device__ __forceinline__ float operator()(float z) const { return activate(z, act); }
};
struct ActivateGrad {
    int act;
    __device__ __forceinline__ float operator()(float saved, float dy) const { return activate_grad(saved, dy, act); }
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
