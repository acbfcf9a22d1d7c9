// One fault per kernel; the line that must be reported carries the kernel's name.
#include "dlcli.cuh"
#include "reduce.cuh"

extern "C" {

__global__ void read_past_end(float* y, const float* x) {
    y[threadIdx.x] = x[threadIdx.x + 1];  // read_past_end
}

__global__ void write_past_end(float* y, const float* x) {
    float v = x[threadIdx.x];
    y[threadIdx.x + 1] = v;  // write_past_end
}

__global__ void write_before_start(float* y, const float* x) {
    y[static_cast<int>(threadIdx.x) - 1] = 1;  // write_before_start
}

__global__ void write_const(float* y, const float* x) {
    const_cast<float*>(x)[threadIdx.x] = 1;  // write_const
}

__global__ void misaligned(float* y, const float* x) {
    if (threadIdx.x == 0) store4(y + 1, make_float4(1, 2, 3, 4));  // misaligned: dlcli.cuh
}

__global__ void divergent_barrier(float* y, const float* x) {
    if (threadIdx.x < 7)
        __syncthreads();  // divergent_barrier
    y[threadIdx.x] = 1;
}

__global__ void two_barriers(float* y, const float* x) {
    if (threadIdx.x < 32) __syncthreads();  // two_barriers
    else __syncthreads();
}

__global__ void race_of_warps(float* y, const float* x) {
    __shared__ float shared[64];
    shared[threadIdx.x] = x[threadIdx.x];
    __syncwarp();
    y[threadIdx.x] = shared[threadIdx.x ^ 32];  // race_of_warps
}

__global__ void race_in_warp(float* y, const float* x) {
    __shared__ float shared[64];
    shared[threadIdx.x] = 0;
    __syncthreads();
    shared[threadIdx.x] = x[threadIdx.x];
    y[threadIdx.x] = shared[threadIdx.x ^ 1];  // race_in_warp
}

__global__ void two_writers(float* y, const float* x) {
    __shared__ float shared[64];
    shared[threadIdx.x / 2] = x[threadIdx.x];  // two_writers
    __syncthreads();
    y[threadIdx.x] = shared[threadIdx.x / 2];
}

__global__ void overwritten_too_soon(float* y, const float* x) {
    __shared__ float shared[64];
    shared[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    float v = shared[threadIdx.x ^ 32];  // overwritten_too_soon
    shared[threadIdx.x] = 2 * v;  // overwritten_too_soon
    __syncthreads();
    y[threadIdx.x] = shared[threadIdx.x];
}

__global__ void unwritten_shared(float* y, const float* x) {
    __shared__ float shared[64];
    if (threadIdx.x != 9) shared[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    y[threadIdx.x] = shared[63 - threadIdx.x];  // unwritten_shared
}

__global__ void past_shared(float* y, const float* x) {
    __shared__ float shared[32];
    shared[threadIdx.x] = x[threadIdx.x];  // past_shared
    __syncthreads();
    y[threadIdx.x] = shared[0];
}

__global__ void past_dynamic(float* y, const float* x) {
    extern __shared__ float dynamic[];
    float v = x[threadIdx.x];
    dynamic[threadIdx.x + 1] = v;  // past_dynamic
}

__global__ void past_local(float* y, const float* x) {
    float mine[4];
    for (int i = 0; i < 4; i++) mine[i] = x[i];
    y[threadIdx.x] = mine[threadIdx.x];  // past_local
}

__global__ void copy_not_waited_for(float* y, const float* x) {
    __shared__ float shared[64];
    async_copy<4>(&shared[threadIdx.x], &x[threadIdx.x]);
    async_commit();
    y[threadIdx.x] = shared[threadIdx.x];  // copy_not_waited_for
}

__global__ void copy_without_barrier(float* y, const float* x) {
    __shared__ float shared[64];
    async_copy<4>(&shared[threadIdx.x], &x[threadIdx.x]);
    async_commit();
    async_wait<0>();
    y[threadIdx.x] = shared[threadIdx.x ^ 1];  // copy_without_barrier
}

__global__ void copy_over_readers(float* y, const float* x) {
    __shared__ float shared[64];
    shared[threadIdx.x] = 0;
    __syncthreads();
    float v = shared[threadIdx.x ^ 1];  // copy_over_readers
    async_copy<4>(&shared[threadIdx.x], &x[threadIdx.x]);  // copy_over_readers
    async_commit();
    async_wait<0>();
    y[threadIdx.x] = v;
}

__global__ void blocks_write_one_element(float* y, const float* x) {
    y[threadIdx.x] = x[threadIdx.x];  // blocks_write_one_element
}

__global__ void block_reads_another_blocks(float* y, const float* x) {
    if (blockIdx.x == 0) y[threadIdx.x] = 1;  // block_reads_another_blocks
    else y[threadIdx.x + 32] = y[threadIdx.x] + 1;  // block_reads_another_blocks
}

__global__ void lanes_missing(float* y, const float* x) {
    float v = x[threadIdx.x];
    if (threadIdx.x % 2)
        v += __shfl_xor_sync(FULL_WARP, v, 1);  // lanes_missing
    y[threadIdx.x] = v;
}

__global__ void divides_by_zero(float* y, const float* x) {
    int zero = static_cast<int>(x[0] * 0);
    y[threadIdx.x] = 5 / zero;  // divides_by_zero
}

__global__ void does_not_end(float* y, const float* x) {
    volatile float* again = y;
    while (*again != 3) {  // does_not_end
    }
}

__global__ void grid_sync_not_cooperative(float* y, const float* x) {
    grid_sync(reinterpret_cast<unsigned*>(y));  // grid_sync_not_cooperative
}
}
