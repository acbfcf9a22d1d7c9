// A register-tiled SGEMM of whole tiles: 128×128 of the result per block, 8×8 per thread. With
// FIRST_BARRIER or SECOND_BARRIER defined to nothing it races.
#include "dlcli.cuh"

#ifndef FIRST_BARRIER
#define FIRST_BARRIER __syncthreads()
#endif
#ifndef SECOND_BARRIER
#define SECOND_BARRIER __syncthreads()
#endif

constexpr int TILE = 128, DEPTH = 8, EACH = 8, ACROSS = TILE / EACH;

extern "C" __global__ void __launch_bounds__(256) sgemm(float* out, const float* a, const float* b, int n, int k) {
    __shared__ float columns[DEPTH][TILE];
    __shared__ float rows[DEPTH][TILE];
    int thread = threadIdx.x, top = thread / ACROSS * EACH, left = thread % ACROSS * EACH;
    a += blockIdx.y * TILE * k;
    b += blockIdx.x * TILE;
    float sum[EACH][EACH] = {};
    for (int start = 0; start < k; start += DEPTH) {
        int row = thread / (DEPTH / 4), at = thread % (DEPTH / 4) * 4;
        float4 v = load4(&a[row * k + start + at]);
        columns[at][row] = v.x;
        columns[at + 1][row] = v.y;
        columns[at + 2][row] = v.z;
        columns[at + 3][row] = v.w;
        int line = thread / (TILE / 4), place = thread % (TILE / 4) * 4;
        store4(&rows[line][place], load4(&b[(start + line) * n + place]));  // WRITES
        FIRST_BARRIER;
#pragma unroll
        for (int d = 0; d < DEPTH; d++) {
            float x[EACH], y[EACH];
#pragma unroll
            for (int i = 0; i < EACH; i++) x[i] = columns[d][top + i];
#pragma unroll
            for (int j = 0; j < EACH; j++) y[j] = rows[d][left + j];
#pragma unroll
            for (int i = 0; i < EACH; i++)
#pragma unroll
                for (int j = 0; j < EACH; j++) sum[i][j] += x[i] * y[j];
        }
        SECOND_BARRIER;
    }
    for (int i = 0; i < EACH; i++)
        for (int j = 0; j < EACH; j++)
            out[(blockIdx.y * TILE + top + i) * n + blockIdx.x * TILE + left + j] = sum[i][j];
}
