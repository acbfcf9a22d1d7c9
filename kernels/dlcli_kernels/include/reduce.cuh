// Sums and maxima over a warp and over a block, in a fixed order: the same bits in every run.
#pragma once
#include "dlcli.cuh"

constexpr unsigned FULL_WARP = 0xffffffffu;

struct Sum {
    static __device__ __forceinline__ float none() { return 0; }
    static __device__ __forceinline__ float of(float a, float b) { return a + b; }
};
struct Max {  // NaN is larger than everything
    static __device__ __forceinline__ float none() { return -INFINITY; }
    static __device__ __forceinline__ float of(float a, float b) { return a > b || a != a ? a : b; }
};

// The reduction over the 32 lanes, in all of them. All lanes of the warp must call it.
template <class Op> __device__ __forceinline__ float warp_reduce(float v) {
#pragma unroll
    for (int step = 16; step > 0; step /= 2) v = Op::of(v, __shfl_xor_sync(FULL_WARP, v, step));
    return v;
}

// The reduction over a block of whole warps (at most 32), in all threads. `shared`: 32 floats; it may be
// used again at once, since all threads have left it when the first returns.
template <class Op> __device__ __forceinline__ float block_reduce(float v, float* shared) {
    int warps = blockDim.x / 32, lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    v = warp_reduce<Op>(v);
    if (lane == 0) shared[warp] = v;
    __syncthreads();
    v = warp_reduce<Op>(lane < warps ? shared[lane] : Op::none());
    __syncthreads();
    return v;
}
