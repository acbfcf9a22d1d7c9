// The two roofs of a device: independent chains of multiply-adds, and a copy of 16 bytes per access.
#include "dlcli.cuh"

// 2 · CHAINS · steps operations per thread. What is stored depends on all chains, so that none is
// left out; a and b come from outside, so that nothing is known when it is compiled.
extern "C" __global__ void fma_chains(float* out, float a, float b, int steps) {
    float x[CHAINS];
#pragma unroll
    for (int i = 0; i < CHAINS; i++) x[i] = (float)(threadIdx.x + i);
    for (int s = 0; s < steps; s++) {
#pragma unroll
        for (int i = 0; i < CHAINS; i++) x[i] = fmaf(x[i], a, b);
    }
    float sum = 0.0f;
#pragma unroll
    for (int i = 0; i < CHAINS; i++) sum += x[i];
    out[blockIdx.x * blockDim.x + threadIdx.x] = sum;
}

// out = in, n quadruples, by any number of threads.
extern "C" __global__ void copy4(float* out, const float* in, int n) {
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
        store4(out + 4 * (long long)i, load4(in + 4 * (long long)i));
    }
}

// out[thread] = the sum of what the thread read of n quadruples.
extern "C" __global__ void read4(float* out, const float* in, int n) {
    const int thread = blockIdx.x * blockDim.x + threadIdx.x;
    float sum = 0.0f;
    for (int i = thread; i < n; i += gridDim.x * blockDim.x) {
        const float4 v = load4(in + 4 * (long long)i);
        sum += v.x + v.y + v.z + v.w;
    }
    out[thread] = sum;
}
