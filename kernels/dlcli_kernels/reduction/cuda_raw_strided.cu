// Sums and maxima over any axes, the number of elements equal to the maximum, and what goes the other way:
// broadcasting, and the gradient of the maximum.
//
// Two shapes of the same work. `rows`: the last axis is reduced; a team of threads stands along the reduced
// axes and makes one output. `columns`: the last axis stays; neighbouring threads make neighbouring outputs,
// the second dimension of the block stands along the reduced axes. Either way a warp reads whole lines, 16
// bytes per thread where the last axis allows. Where that gives too few blocks, blockIdx.y takes slices of
// the reduced axes, whose results `finish` puts together: a fixed order, the same bits every time.
//
// Sums are kept in double precision: a conversion and an addition per 4 bytes read, a tenth of what the
// double units of an A100 or H200 could do in that time.
#include "axes.cuh"
#include "reduce.cuh"

#ifndef VEC
#define VEC 1
#endif

struct Adding : Sum {
    typedef double Type;
    static __device__ __forceinline__ double value(float x, float) { return x; }
};
struct Counting : Sum {
    typedef double Type;
    static __device__ __forceinline__ double value(float x, float largest) { return x == largest ? 1 : 0; }
};
struct Choosing : Max {
    typedef float Type;
    static __device__ __forceinline__ float value(float x, float) { return x; }
};

__device__ __forceinline__ void load(float (&to)[VEC], const float* from) { load_channels<VEC>(to, from); }

// The result, or a slice's share of it.
template <class T>
__device__ __forceinline__ void put(float* out, T* partial, int i, T value, double by) {
    if (gridDim.y == 1)
        out[i] = static_cast<float>(value * by);
    else
        partial[(size_t)i * gridDim.y + blockIdx.y] = value;
}

// count, each: in accesses. A team of `size` threads per output.
template <class R>
__device__ __forceinline__ void rows(float* out, typename R::Type* partial, const float* __restrict__ x,
                                     const float* __restrict__ largest, const Axes& kept, const Axes& reduced,
                                     int outputs, int count, int each, double by, int size) {
    typename R::Type found[VEC];
    for (int e = 0; e < VEC; e++) found[e] = R::none();
    int rank = threadIdx.x % size, output = blockIdx.x * (blockDim.x / size) + threadIdx.x / size;
    if (output < outputs) {
        int end = min((blockIdx.y + 1) * each, count);
        float top = largest ? largest[output] : 0;
        const float* from = x + kept.offset(output);
#pragma unroll 4
        for (int i = blockIdx.y * each + rank; i < end; i += size) {
            float v[VEC];
            load(v, from + reduced.offset(i * VEC));
#pragma unroll
            for (int e = 0; e < VEC; e++) found[e] = R::of(found[e], R::value(v[e], top));
        }
    }
#pragma unroll
    for (int e = 1; e < VEC; e++) found[0] = R::of(found[0], found[e]);
    found[0] = team_reduce<R>(found[0], size);
    if (rank == 0 && output < outputs) put(out, partial, output, found[0], by);
}

// count, each: in elements of the reduced axes. Block (x, y): x·VEC outputs, y (a power of two) threads each.
template <class R>
__device__ __forceinline__ void columns(float* out, typename R::Type* partial, const float* __restrict__ x,
                                        const float* __restrict__ largest, const Axes& kept, const Axes& reduced,
                                        int outputs, int count, int each, double by) {
    __shared__ typename R::Type room[256 * VEC];
    typename R::Type found[VEC];
    for (int e = 0; e < VEC; e++) found[e] = R::none();
    int output = (blockIdx.x * blockDim.x + threadIdx.x) * VEC;
    if (output < outputs) {
        int end = min((blockIdx.y + 1) * each, count);
        float top[VEC] = {};
        if (largest) load(top, largest + output);
        const float* from = x + kept.offset(output);
#pragma unroll 4
        for (int i = blockIdx.y * each + threadIdx.y; i < end; i += blockDim.y) {
            float v[VEC];
            load(v, from + reduced.offset(i));
#pragma unroll
            for (int e = 0; e < VEC; e++) found[e] = R::of(found[e], R::value(v[e], top[e]));
        }
    }
    // the upper half of the threads hands its share to the lower, until one is left
    int place = threadIdx.y * blockDim.x + threadIdx.x, plane = blockDim.x * blockDim.y;
    for (int half = blockDim.y / 2; half > 0; half /= 2) {
        if (threadIdx.y >= half && threadIdx.y < 2 * half)
            for (int e = 0; e < VEC; e++) room[e * plane + place] = found[e];
        __syncthreads();
        if (threadIdx.y < half)
            for (int e = 0; e < VEC; e++)
                found[e] = R::of(found[e], room[e * plane + place + half * static_cast<int>(blockDim.x)]);
    }
    if (threadIdx.y == 0 && output < outputs)
        for (int e = 0; e < VEC; e++) put(out, partial, output + e, found[e], by);
}

// A warp per output puts the slices' shares together.
template <class R>
__device__ __forceinline__ void finish(float* out, const typename R::Type* __restrict__ partial, int outputs,
                                       int slices, double by) {
    int lane = threadIdx.x % 32, output = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32;
    typename R::Type found = R::none();
    if (output < outputs)
        for (int s = lane; s < slices; s += 32) found = R::of(found, partial[(size_t)output * slices + s]);
    found = warp_reduce<R>(found);
    if (lane == 0 && output < outputs) out[output] = static_cast<float>(found * by);
}

extern "C" {

__global__ void __launch_bounds__(256) sum_rows(float* out, double* partial, const float* x, Axes kept, Axes reduced,
                                                int outputs, int count, int each, double by, int size) {
    rows<Adding>(out, partial, x, nullptr, kept, reduced, outputs, count, each, by, size);
}
__global__ void __launch_bounds__(256) sum_columns(float* out, double* partial, const float* x, Axes kept,
                                                   Axes reduced, int outputs, int count, int each, double by) {
    columns<Adding>(out, partial, x, nullptr, kept, reduced, outputs, count, each, by);
}
__global__ void __launch_bounds__(256) sum_finish(float* out, const double* partial, int outputs, int slices,
                                                  double by) {
    finish<Adding>(out, partial, outputs, slices, by);
}

__global__ void __launch_bounds__(256) max_rows(float* out, float* partial, const float* x, Axes kept, Axes reduced,
                                                int outputs, int count, int each, double by, int size) {
    rows<Choosing>(out, partial, x, nullptr, kept, reduced, outputs, count, each, by, size);
}
__global__ void __launch_bounds__(256) max_columns(float* out, float* partial, const float* x, Axes kept,
                                                   Axes reduced, int outputs, int count, int each, double by) {
    columns<Choosing>(out, partial, x, nullptr, kept, reduced, outputs, count, each, by);
}
__global__ void __launch_bounds__(256) max_finish(float* out, const float* partial, int outputs, int slices,
                                                  double by) {
    finish<Choosing>(out, partial, outputs, slices, by);
}

// ties[o]: how many elements equal largest[o].
__global__ void __launch_bounds__(256) ties_rows(float* ties, double* partial, const float* x, const float* largest,
                                                 Axes kept, Axes reduced, int outputs, int count, int each, double by,
                                                 int size) {
    rows<Counting>(ties, partial, x, largest, kept, reduced, outputs, count, each, by, size);
}
__global__ void __launch_bounds__(256) ties_columns(float* ties, double* partial, const float* x,
                                                    const float* largest, Axes kept, Axes reduced, int outputs,
                                                    int count, int each, double by) {
    columns<Counting>(ties, partial, x, largest, kept, reduced, outputs, count, each, by);
}

// out[i] = x[its output]; n, i: in accesses. `axes` are all of the result's, with x's strides.
__global__ void __launch_bounds__(256) broadcast(float* __restrict__ out, const float* __restrict__ x, Axes axes,
                                                 int n) {
    for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
        int from = axes.offset(i * VEC);
        float v[VEC];
        if (VEC == 1 || axes.stride[0])
            load(v, x + from);
        else
            for (int e = 0; e < VEC; e++) v[e] = x[from];
        store_channels<VEC>(out + (size_t)i * VEC, v);
    }
}

// The largest share the gradient equally; NaN if there is no element equal to the maximum, a NaN.
__global__ void __launch_bounds__(256) max_grad(float* __restrict__ out, const float* __restrict__ x,
                                                const float* __restrict__ largest, const float* __restrict__ dout,
                                                const float* __restrict__ ties, Axes axes, int n) {
    for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
        int from = axes.offset(i * VEC);
        float v[VEC];
        load(v, x + (size_t)i * VEC);
#pragma unroll
        for (int e = 0; e < VEC; e++) {
            int o = axes.stride[0] ? from + e : from;
            v[e] = (v[e] == largest[o] ? 1.0f : 0.0f) * dout[o] / ties[o];
        }
        store_channels<VEC>(out + (size_t)i * VEC, v);
    }
}
}
