// Losses of single elements and their gradients, four elements at a time over include/map.cuh, and the class
// weight of each label.
#include "map.cuh"

constexpr long long IGNORED = -100;

struct Squared {
    __device__ __forceinline__ float operator()(float x, float y) const { return (x - y) * (x - y); }
};
struct SquaredGrad {
    __device__ __forceinline__ float operator()(float x, float y, float dout) const { return 2 * (x - y) * dout; }
};
struct Absolute {
    __device__ __forceinline__ float operator()(float x, float y) const { return fabsf(x - y); }
};
struct AbsoluteGrad {
    __device__ __forceinline__ float operator()(float x, float y, float dout) const {
        float d = x - y;
        return (d > 0 ? 1.0f : d < 0 ? -1.0f : d) * dout;  // 0 and NaN are their own signs
    }
};
struct Huber {  // c (|d| − ½ c) with c = min(|d|, δ)
    float delta;
    __device__ __forceinline__ float operator()(float x, float y) const {
        float d = fabsf(x - y), c = d > delta ? delta : d;
        return c * (d - 0.5f * c);
    }
};
struct HuberGrad {
    float delta;
    __device__ __forceinline__ float operator()(float x, float y, float dout) const {
        float d = x - y;
        return (d > delta ? delta : d < -delta ? -delta : d) * dout;
    }
};

// −(1 − y) log(1 − σ(x)) − p y log σ(x): log(1 + e^−|x|) is common to both.
__device__ __forceinline__ float bce_of(float x, float y, float p) {
    float rest = log1pf(expf(-fabsf(x)));
    return (1 - y) * ((x > 0 ? x : 0.0f) + rest) + p * y * ((x < 0 ? -x : 0.0f) + rest);
}
// dout · [(1 − y) σ(x) − p y σ(−x)], both σ from e^−|x|.
__device__ __forceinline__ float bce_grad_of(float x, float y, float dout, float p) {
    float e = expf(-fabsf(x)), more = 1 / (1 + e), less = e * more;
    return dout * ((1 - y) * (x >= 0 ? more : less) - p * y * (x >= 0 ? less : more));
}
struct Bce {
    __device__ __forceinline__ float operator()(float x, float y) const { return bce_of(x, y, 1); }
};
struct BceGrad {
    __device__ __forceinline__ float operator()(float x, float y, float dout) const {
        return bce_grad_of(x, y, dout, 1);
    }
};

extern "C" {

__global__ void __launch_bounds__(256) squared_error(float* out, const float* x, const float* y, long long n) {
    map(n, Binary<Squared>{out, x, y, {}});
}

__global__ void __launch_bounds__(256) squared_error_grad(float* out, const float* x, const float* y,
                                                          const float* dout, long long n) {
    map(n, Ternary<SquaredGrad>{out, x, y, dout, {}});
}

__global__ void __launch_bounds__(256) absolute_error(float* out, const float* x, const float* y, long long n) {
    map(n, Binary<Absolute>{out, x, y, {}});
}

__global__ void __launch_bounds__(256) absolute_error_grad(float* out, const float* x, const float* y,
                                                           const float* dout, long long n) {
    map(n, Ternary<AbsoluteGrad>{out, x, y, dout, {}});
}

__global__ void __launch_bounds__(256) huber(float* out, const float* x, const float* y, long long n, float delta) {
    map(n, Binary<Huber>{out, x, y, {delta}});
}

__global__ void __launch_bounds__(256) huber_grad(float* out, const float* x, const float* y, const float* dout,
                                                  long long n, float delta) {
    map(n, Ternary<HuberGrad>{out, x, y, dout, {delta}});
}

__global__ void __launch_bounds__(256) bce(float* out, const float* x, const float* y, long long n) {
    map(n, Binary<Bce>{out, x, y, {}});
}

__global__ void __launch_bounds__(256) bce_grad(float* out, const float* x, const float* y, const float* dout,
                                                long long n) {
    map(n, Ternary<BceGrad>{out, x, y, dout, {}});
}

// One element at a time, with the weight of positives in the element's column.
__global__ void __launch_bounds__(256) bce_weighted(float* out, const float* x, const float* y, const float* weight,
                                                    int n, int columns) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) out[i] = bce_of(x[i], y[i], weight[i % columns]);
}

__global__ void __launch_bounds__(256) bce_weighted_grad(float* out, const float* x, const float* y,
                                                         const float* weight, const float* dout, int n,
                                                         int columns) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) out[i] = bce_grad_of(x[i], y[i], dout[i], weight[i % columns]);
}

// weight[y]; 0 for the label IGNORED, NaN for one that is no class, for which nothing is read.
__global__ void __launch_bounds__(256) class_weight_of(float* out, const int64_t* y, const float* weight, int n,
                                                       int classes) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    long long label = y[i];
    bool inside = label >= 0 && label < classes;
    out[i] = inside ? weight[label] : label == IGNORED ? 0.0f : NAN;
}
}
