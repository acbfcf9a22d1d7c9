// Optimiser steps on the rows of tables that have a gradient (rows.py), WIDTH columns to a thread: 1, or 4 where
// rows are so many columns, in 128-bit accesses.
//
// Bound by memory: Adam reads p, m, v and g and writes p, m and v of each row used, 28 bytes per element, and no
// others. Each row is used once, so that no two threads meet.
#include "dlcli.cuh"
#include "optim.cuh"
#include "wide.cuh"

// Tables (rows, columns), the states null where a step has none; the gradient g of `count` rows of them.
struct Tables {
    float *p, *a, *b;
    const long long* index;
    const float* g;
    int rows, columns, count;
};

template <class Step> __device__ __forceinline__ void update_rows(const Tables& t, const Step& step) {
    int pieces = t.columns / WIDTH, n = t.count * pieces;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
        int place = i / pieces, column = (i - place * pieces) * WIDTH;
        long long row = t.index[place];
        if (row >= t.rows) continue;
        size_t at = (size_t)row * t.columns + column;
        float w[WIDTH], d[WIDTH], x[WIDTH], y[WIDTH], none = 0;
        load_wide<WIDTH>(w, t.p + at), load_wide<WIDTH>(d, t.g + (size_t)i * WIDTH);
        load_wide_or<WIDTH>(x, t.a, at, 0), load_wide_or<WIDTH>(y, t.b, at, 0);
#pragma unroll
        for (int j = 0; j < WIDTH; j++) step.update(w[j], d[j], x[j], y[j], none);
        store_wide<WIDTH>(t.p + at, w);
        if (t.a) store_wide<WIDTH>(t.a + at, x);
        if (t.b) store_wide<WIDTH>(t.b + at, y);
    }
}

extern "C" {

__global__ void __launch_bounds__(256) sgd_rows(float* p, const long long* index, const float* g, const double* lr,
                                                const int* halt, int rows, int columns, int count) {
    if (*halt) return;
    Sgd step{{*lr, 0, 0, 0}, static_cast<float>(*lr)};
    update_rows({p, nullptr, nullptr, index, g, rows, columns, count}, step);
}

__global__ void __launch_bounds__(256)
    momentum_rows(float* p, const long long* index, const float* g, float* m, const double* lr, const double* number,
                  const int* halt, int rows, int columns, int count, double momentum, double dampening, int nesterov) {
    if (*halt) return;
    Momentum step{{*lr, 0, 0, 0}, static_cast<float>(*lr), static_cast<float>(momentum),
                  static_cast<float>(1 - dampening), *number == 1, nesterov != 0};
    update_rows({p, m, nullptr, index, g, rows, columns, count}, step);
}

__global__ void __launch_bounds__(256)
    adam_rows(float* p, const long long* index, const float* g, float* m, float* v, const double* lr,
              const double* number, const int* halt, int rows, int columns, int count, double beta1, double beta2,
              double eps) {
    __shared__ float scalars[2];
    if (*halt) return;
    if (threadIdx.x == 0) Adam::unbiased(scalars, *lr, *number, beta1, beta2);
    __syncthreads();
    update_rows({p, m, v, index, g, rows, columns, count}, Adam({*lr, 0, 0, 0}, scalars, beta1, beta2, eps));
}
}
