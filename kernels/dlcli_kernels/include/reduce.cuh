// Sums and maxima over a warp and over a block, in a fixed order: the same bits in every run.
#pragma once
#include "dlcli.cuh"

constexpr unsigned FULL_WARP = 0xffffffffu;

struct Sum {
    static __device__ __forceinline__ float none() { return 0; }
    static __device__ __forceinline__ float of(float a, float b) { return a + b; }
    static __device__ __forceinline__ double of(double a, double b) { return a + b; }
};
struct Max {  // NaN is larger than everything
    static __device__ __forceinline__ float none() { return -INFINITY; }
    static __device__ __forceinline__ float of(float a, float b) { return a > b || a != a ? a : b; }
};

// The reduction over the 32 lanes, in all of them. All lanes of the warp must call it.
template <class Op, class T> __device__ __forceinline__ T warp_reduce(T v) {
#pragma unroll
    for (int step = 16; step > 0; step /= 2) v = Op::of(v, __shfl_xor_sync(FULL_WARP, v, step));
    return v;
}

// The reduction over a block of whole warps (at most 32), in all threads. `shared`: room for 32 of them; it
// may be used again at once, since all threads have left it when the first returns.
template <class Op, class T> __device__ __forceinline__ T block_reduce(T v, T* shared) {
    int warps = blockDim.x / 32, lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    v = warp_reduce<Op>(v);
    if (lane == 0) shared[warp] = v;
    __syncthreads();
    v = warp_reduce<Op>(lane < warps ? shared[lane] : T(Op::none()));
    __syncthreads();
    return v;
}

// The reduction over a team, in all its threads: `size` neighbouring lanes, a power of two up to 32, or the
// whole block. All threads of the block must call it.
template <class Op, class T> __device__ __forceinline__ T team_reduce(T v, int size) {
    if (size > 32) {
        __shared__ T room[32];
        return block_reduce<Op>(v, room);
    }
#pragma unroll
    for (int step = 16; step > 0; step /= 2)
        if (step < size) v = Op::of(v, __shfl_xor_sync(FULL_WARP, v, step));
    return v;
}
