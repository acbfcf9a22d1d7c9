// CUDA's words as a user's file has them: half precision, intrinsics, templates, lambdas, structs by value.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

// __global__ void not_a_kernel(int* gone) {}
#define EACH 4
extern __shared__ __align__(16) float of_the_file[];

struct Shape {
    int rows, cols;
    float scale;
};

template <int N, class F> __device__ __forceinline__ float over(F f) {
    float sum = 0;
#pragma unroll (N / 2)
    for (int i = 0; i < N; i++) sum += f(i);
    return sum;
}

template <class T>
__global__ void never_called(T* y) {
    y[0] = T(0);
}

__constant__ float table[4] = {1, 2, 3, 4};

extern "C" __global__ __launch_bounds__(EACH * 64) void halves(
    __half* y, const __half* x, const __half2* pairs, __nv_bfloat16* z, const float* w) {
    int i = threadIdx.x;
    __half2 two = __hadd2(pairs[i / 2], __float2half2_rn(1.0f));
    y[i] = __hfma(x[i], __float2half(0.5f), i % 2 ? __high2half(two) : __low2half(two));
    z[i] = __hmul(__float2bfloat16(w[i]), __float2bfloat16(3.0f));
}

extern "C" __global__ void lambdas(float* y, const float* x, Shape shape) {
    auto at = [&](int i) { return x[threadIdx.x % shape.rows * shape.cols + i] * shape.scale + table[i % 4]; };
    y[threadIdx.x] = over<EACH>(at);
}

extern "C" __global__ void three_dimensions(int* y) {
    uint3 t = threadIdx;
    dim3 extent = blockDim;
    int thread = (t.z * extent.y + t.y) * extent.x + t.x;
    int block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
    y[block * extent.x * extent.y * extent.z + thread] = 1000 * block + thread;
}

extern "C" __global__ void large_shared(float* y, int n) {
    for (int i = threadIdx.x; i < n; i += blockDim.x) of_the_file[i] = i;
    __syncthreads();
    float4 last = *reinterpret_cast<float4*>(&of_the_file[n - 4]);
    if (threadIdx.x == 1023) y[0] = last.x + last.w;
}

extern "C" __global__ void intrinsics(double* y, const float* x) {
    float v = x[threadIdx.x], s, c;
    sincosf(v, &s, &c);
    double* out = y + 16 * threadIdx.x;
    out[0] = s, out[1] = c;
    out[2] = __shfl_xor_sync(0xffffffffu, static_cast<double>(v), 1);
    out[3] = __half2float(__shfl_down_sync(0xffffffffu, __float2half(threadIdx.x), 1));
    out[4] = __reduce_add_sync(0xffffffffu, static_cast<int>(threadIdx.x));
    out[5] = max(v, NAN), out[6] = min(NAN, v), out[7] = __saturatef(NAN);
    out[8] = __brev(threadIdx.x) >> 27, out[9] = __byte_perm(0x33221100, 0x77665544, 0x7531);
    out[10] = __float2int_rn(2.5f) + __float2int_rz(-2.5f), out[11] = __fmaf_rn(v, v, 1.0f);
    out[12] = __match_any_sync(0xffffffffu, threadIdx.x % 4), out[13] = __funnelshift_l(1u << 31, 1, 1);
    out[14] = __all_sync(0xffffffffu, threadIdx.x < 32), out[15] = __dadd_rn(v, 1.0);
    if (threadIdx.x == 0) printf("printed %d\n", 7);
}

extern "C" __global__ void unset_local(float* y, int n) {
    float sum;
    for (int i = 0; i < n; i++) sum += y[threadIdx.x];
    y[threadIdx.x] = sum;
}

#define KERNEL_OF(name) extern "C" __global__ void name(float* y)
KERNEL_OF(made_by_a_macro) { y[threadIdx.x] = 2; }

__global__ void not_linked_as_c(float* y) { y[threadIdx.x] = 2; }
