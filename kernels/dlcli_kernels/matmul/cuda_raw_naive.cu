// The first rung: one thread per element of the result, no reuse. Threads of a warp take neighbours in a
// row, so that loads of b and stores are of whole lines; each element of a and b is read from memory
// N or M times. Kept to learn from, and as what the other rungs are measured against.
#include "activation.cuh"

extern "C" __global__ void matmul_naive(float* __restrict__ out, const float* __restrict__ a,
                                        const float* __restrict__ b, const float* __restrict__ bias, int m, int n,
                                        int k, int a_row, int a_col, int b_row, int b_col, int act) {
    int col = blockIdx.x * blockDim.x + threadIdx.x, row = blockIdx.y * blockDim.y + threadIdx.y;
    if (row >= m || col >= n) return;
    float sum = 0;
    for (int i = 0; i < k; i++) sum += a[(size_t)row * a_row + (size_t)i * a_col] * b[(size_t)i * b_row + (size_t)col * b_col];
    out[(size_t)row * n + col] = activate(bias ? sum + bias[col] : sum, act);
}
