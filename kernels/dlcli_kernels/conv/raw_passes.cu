// What stands before and after a convolution where it takes several passes: all of it bound by memory.
//
// WIDTH: neighbouring channels per thread, 4 (128-bit accesses; K must be a multiple) or 1.
#include "activation.cuh"
#include "conv.cuh"
#include "gemm_split.cuh"

// out[i] = act(b[i mod K] + the i-th of each of `count` copies of `size` floats, in order).
extern "C" __global__ void __launch_bounds__(256)
    conv_add_parts(float* __restrict__ out, const float* __restrict__ parts, const float* __restrict__ b, int size,
                   int K, int count, int act) {
    sum_parts(out, parts, b, size, K, count, act);
}

// The maximum of each window of a map that lies in `count` copies, each a part of the sum; its place, row by
// row, the first of equal ones; NaN is larger than everything. Then bias and activation.
extern "C" __global__ void __launch_bounds__(256)
    conv_pool_parts(float* __restrict__ out, uint8_t* __restrict__ argmax, const float* __restrict__ parts,
                    const float* __restrict__ b, Geometry g, int count, int size, int act) {
    int chunks = g.K / WIDTH, total = g.N * g.rows * g.columns * chunks;
    for (int i = blockIdx.x * 256 + threadIdx.x; i < total; i += gridDim.x * 256) {
        int window = i / chunks, k = (i - window * chunks) * WIDTH;
        Pixel at = pixel_of(window, g.columns, g.by_columns, g.rows, g.by_rows);
        float best[WIDTH], z[WIDTH], more[WIDTH];
        int place[WIDTH];
#pragma unroll
        for (int j = 0; j < WIDTH; j++) best[j] = 0, place[j] = 0;
        for (int u = 0, here = 0; u < g.ph; u++)
            for (int v = 0; v < g.pw; v++, here++) {
                const float* from =
                    parts + (size_t)((at.image * g.P + at.row * g.ph + u) * g.Q + at.column * g.pw + v) * g.K + k;
                load_channels(z, from);
                for (int part = 1; part < count; part++) {
                    load_channels(more, from + (size_t)part * size);
#pragma unroll
                    for (int j = 0; j < WIDTH; j++) z[j] += more[j];
                }
#pragma unroll
                for (int j = 0; j < WIDTH; j++)
                    if (here == 0 || z[j] > best[j] || (z[j] != z[j] && best[j] == best[j]))
                        best[j] = z[j], place[j] = here;
            }
#pragma unroll
        for (int j = 0; j < WIDTH; j++) {
            best[j] = activate(b ? best[j] + b[k + j] : best[j], act);
            if (argmax) argmax[(size_t)window * g.K + k + j] = static_cast<uint8_t>(place[j]);
        }
        store_channels(out + (size_t)window * g.K + k, best);
    }
}

// dz of the whole map from dout of the pooled one: at the place of each window's maximum, zero elsewhere.
extern "C" __global__ void __launch_bounds__(256)
    conv_unpool(float* __restrict__ dz, const float* __restrict__ dout, const uint8_t* __restrict__ argmax,
                Geometry g) {
    int chunks = g.K / WIDTH, total = g.N * g.P * g.Q * chunks;
    for (int i = blockIdx.x * 256 + threadIdx.x; i < total; i += gridDim.x * 256) {
        int pixel = i / chunks, k = (i - pixel * chunks) * WIDTH;
        Pixel at = pixel_of(pixel, g.Q, g.by_Q, g.P, g.by_P);
        int row = at.row / g.ph, column = at.column / g.pw;
        int place = (at.row - row * g.ph) * g.pw + at.column - column * g.pw;
        float value[WIDTH];
#pragma unroll
        for (int j = 0; j < WIDTH; j++) value[j] = 0;
        if (row < g.rows && column < g.columns) {
            size_t from = (size_t)((at.image * g.rows + row) * g.columns + column) * g.K + k;
            load_channels(value, dout + from);
#pragma unroll
            for (int j = 0; j < WIDTH; j++)
                if (argmax[from + j] != place) value[j] = 0;
        }
        store_channels(dz + (size_t)pixel * g.K + k, value);
    }
}

// Sums of the columns of a matrix (rows, K), a range of rows for each blockIdx.y: sums (gridDim.y, K). 32
// columns and 8 rows at a time; the eight are added in order.
extern "C" __global__ void __launch_bounds__(256)
    conv_bias_sums(float* __restrict__ sums, const float* __restrict__ dout, int rows, int K) {
    __shared__ float partial[8][32];
    int k = blockIdx.x * 32 + threadIdx.x, each = ceil_div(rows, gridDim.y);
    int begin = blockIdx.y * each, end = min(begin + each, rows);
    float sum = 0;
    if (k < K)
        for (int row = begin + threadIdx.y; row < end; row += 8) sum += dout[(size_t)row * K + k];
    partial[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y == 0 && k < K) {
        for (int i = 1; i < 8; i++) sum += partial[i][threadIdx.x];
        sums[(size_t)blockIdx.y * K + k] = sum;
    }
}

// dw (K, taps) and db (K; may be null) from sums (ranges, taps + 1, K), the ranges in order.
extern "C" __global__ void __launch_bounds__(256)
    conv_add_taps(float* __restrict__ dw, float* __restrict__ db, const float* __restrict__ sums, int taps, int K,
                  int ranges) {
    int i = blockIdx.x * 256 + threadIdx.x, size = (taps + 1) * K;
    if (i >= size) return;
    float sum = sums[i];
    for (int range = 1; range < ranges; range++) sum += sums[(size_t)range * size + i];
    int tap = i / K, k = i - tap * K;
    if (tap < taps)
        dw[k * taps + tap] = sum;
    else if (db)
        db[k] = sum;
}
