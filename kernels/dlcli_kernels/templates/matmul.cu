// A matrix product to start from: out = act(A·B + bias), one thread per element of the result.
//
// It is right for every shape and slow: each element of a and b is read from memory N or M times.
// The next steps: let a block of threads keep tiles of a and b in shared memory, and each thread a
// small square of results in registers.
#include "activation.cuh"  // activate(z, act): relu, tanh, …; numbered as the host does

extern "C" __global__ void my_matmul(float* out, const float* a, const float* b, const float* bias, int m, int n,
                                     int k, int ta, int tb, int act) {
    int col = blockIdx.x * BLOCK + threadIdx.x;  // neighbouring threads take neighbours of a row
    int row = blockIdx.y * BLOCK + threadIdx.y;
    if (row >= m || col >= n) return;  // the last blocks reach beyond the matrix
    float sum = 0;
    for (int i = 0; i < k; i++) {
        float x = ta ? a[(size_t)i * m + row] : a[(size_t)row * k + i];
        float y = tb ? b[(size_t)col * k + i] : b[(size_t)i * n + col];
        sum += x * y;
    }
    if (bias) sum += bias[col];  // an operand that is absent is a null pointer
    out[(size_t)row * n + col] = activate(sum, act);
}
