// Kernels that stop where they must not, or not at all; the line that is reported carries the kernel's name.
#include "dlcli.cuh"
#include "mma.cuh"
#include <assert.h>

constexpr int MOST = 64;

extern "C" {

__global__ void deep_stack(float* y, int n) {
    float mine[50000];  // 200 KB
    for (int i = 0; i < n; i++) mine[i] = y[i % 64];  // deep_stack
    y[threadIdx.x] = mine[n - 1 - threadIdx.x];
}

__global__ void computes_for_ever(float* y, int n) {
    unsigned v = n | 1;
    while (v != 2) v = v * 3;  // computes_for_ever
    y[threadIdx.x] = v;
}

__global__ void waits_for_ever(float* y, int n) {
    volatile float* flag = y;
    while (*flag != 3) {  // waits_for_ever
    }
}

__global__ void null_pointer(float* y, const float* nothing) {
    y[threadIdx.x] = nothing[threadIdx.x];  // null_pointer
}

__global__ void traps(float* y, int n) {
    if (threadIdx.x == 3) __trap();  // traps
    if (threadIdx.x == 4) __builtin_trap();
}

__global__ void stops_by_builtin(float* y, int n) {
    if (threadIdx.x == 3) __builtin_trap();  // stops_by_builtin
    y[threadIdx.x] = n;
}

__global__ void asserts(float* y, int n) {
    assert(threadIdx.x < 9);  // asserts
    y[threadIdx.x] = n;
}

__global__ void shifts_too_far(float* y, int n) {
    y[threadIdx.x] = 1 << (n + threadIdx.x);  // shifts_too_far
}

__global__ void straddles_the_end(float* y, int n) {
    if (threadIdx.x == 0) *reinterpret_cast<float2*>(y + n - 1) = make_float2(1, 2);  // straddles_the_end
}

__global__ void warp_leaves_early(float* y, int n) {
    if (threadIdx.x >= 32) return;
    __syncthreads();  // warp_leaves_early
    y[threadIdx.x] = n;
}

__global__ void trip_count_by_thread(float* y, int n) {
    for (int i = 0; i <= threadIdx.x / 32; i++)
        __syncthreads();  // trip_count_by_thread
    y[threadIdx.x] = n;
}

__global__ void part_of_a_warp_multiplies(float* y, int n) {
    float d[4] = {};
    uint32_t a[4] = {}, b[2] = {};
    if (threadIdx.x % 32 < 20) mma_tf32(d, a, b);  // part_of_a_warp_multiplies
    y[threadIdx.x] = d[0];
}

__global__ void lane_that_is_not_there(float* y, int n) {  // 48 threads: the second warp has 16
    y[threadIdx.x] = __shfl_xor_sync(0xffffffffu, y[threadIdx.x], 16);  // lane_that_is_not_there
}

__global__ void dynamic_that_nobody_wrote(float* y, int n) {
    extern __shared__ float dynamic[];
    y[threadIdx.x] = dynamic[threadIdx.x];  // dynamic_that_nobody_wrote
}

__global__ void counter_not_zero(unsigned* counter, int n) {
    grid_sync(counter);  // counter_not_zero
}

__global__ void matrix_of_an_array(const float* x, int n) {
    uint32_t out[4];
    ldmatrix<false>(out, x);  // matrix_of_an_array
}

__global__ void __launch_bounds__(MOST) bounded(float* y, int n) { y[threadIdx.x] = n; }

__global__ void restricted(float* __restrict__ y, const float* __restrict__ x) { y[threadIdx.x] = x[63 - threadIdx.x]; }
__global__ void in_place(float* y, const float* x) { y[threadIdx.x] = x[threadIdx.x] + 1; }
}
