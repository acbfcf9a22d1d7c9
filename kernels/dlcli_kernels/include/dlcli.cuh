// What every kernel may use: sizes, 128-bit access, asynchronous copies, a barrier of the grid.
//
// Where the hardware's instruction has no C++ form there are two bodies of one meaning: inline PTX for
// the GPU, and the emulator's model of it.
#pragma once

#ifndef DLCLI_EMULATE
typedef signed char int8_t;
typedef unsigned char uint8_t;
typedef short int16_t;
typedef unsigned short uint16_t;
typedef int int32_t;
typedef unsigned int uint32_t;
typedef long long int64_t;
typedef unsigned long long uint64_t;
#ifndef INFINITY
#define INFINITY __int_as_float(0x7f800000)
#endif
#ifndef NAN
#define NAN __int_as_float(0x7fffffff)
#endif
#endif

__device__ __forceinline__ int ceil_div(int a, int b) { return (a + b - 1) / b; }

// Four floats at once; the address must lie on a boundary of 16 bytes.
__device__ __forceinline__ float4 load4(const float* p) { return *reinterpret_cast<const float4*>(p); }
__device__ __forceinline__ void store4(float* p, float4 v) { *reinterpret_cast<float4*>(p) = v; }

// --- copies from global to shared memory that arrive later (cp.async, sm_80) -----------------------
// The data may be read after async_wait by the thread that copied, after a barrier too by others.

#ifdef DLCLI_EMULATE
template <int BYTES> __device__ void async_copy(void* to, const void* from) {
    dlcli_async_copy(to, from, BYTES, BYTES);
}
// Copies where `inside`, fills with zeros where not: `from` is then not read.
template <int BYTES> __device__ void async_copy_if(void* to, const void* from, bool inside) {
    dlcli_async_copy(to, from, BYTES, inside ? BYTES : 0);
}
__device__ __forceinline__ void async_commit() { dlcli_async_commit(); }
template <int GROUPS_LEFT> __device__ __forceinline__ void async_wait() { dlcli_async_wait(GROUPS_LEFT); }
#define grid_sync(counter) dlcli_grid_barrier(counter, __FILE__, __LINE__)
#else
template <int BYTES> __device__ __forceinline__ void async_copy_if(void* to, const void* from, bool inside) {
    unsigned address = static_cast<unsigned>(__cvta_generic_to_shared(to));
    int valid = inside ? BYTES : 0;
    if (BYTES == 16)
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address), "l"(from), "r"(valid)
                     : "memory");
    else
        asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(address), "l"(from), "n"(BYTES),
                     "r"(valid)
                     : "memory");
}
template <int BYTES> __device__ __forceinline__ void async_copy(void* to, const void* from) {
    async_copy_if<BYTES>(to, from, true);
}
__device__ __forceinline__ void async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int GROUPS_LEFT> __device__ __forceinline__ void async_wait() {
    asm volatile("cp.async.wait_group %0;" ::"n"(GROUPS_LEFT) : "memory");
}
// All blocks of a cooperative launch wait for each other. `counter`: one unsigned word of global memory,
// zero before the first launch; it counts arrivals and never returns to zero (after Xiao & Feng 2010).
__device__ __forceinline__ void grid_sync(unsigned* counter) {
    __syncthreads();
    if (threadIdx.x == 0 && threadIdx.y == 0 && threadIdx.z == 0) {
        unsigned blocks = gridDim.x * gridDim.y * gridDim.z;
        __threadfence();
        unsigned arrived = atomicAdd(counter, 1u) + 1;
        unsigned target = (arrived + blocks - 1) / blocks * blocks;
        while (static_cast<int>(*reinterpret_cast<volatile unsigned*>(counter) - target) < 0) {
        }
        __threadfence();
    }
    __syncthreads();
}
#endif
