// Resampling of NHWC images and its transposes: a thread makes one element of the result, or four neighbouring
// channels of it in 128-bit accesses, and gathers what it is made of. Transposes too: a thread visits every
// output that its element was used for, in order, so that nothing is added by atomics.
//
// Upsampling by 2 writes four times what it reads: 20 bytes per element of the small image, as many backward.
// Quotients of indices are a product and a shift: plain divisions would take as long as the memory.
#include "conv.cuh"  // Divisor, load_channels, store_channels

#ifndef VEC
#define VEC 1
#endif

// The extents of small images (N, H, W, C·VEC) and of large ones (N, P, Q, C·VEC).
struct Map {
    int H, W, C, P, Q, fh, fw, top, left;
    Divisor by_C, by_W, by_H, by_Q, by_P, by_fh, by_fw, by_2fh, by_2fw;
};

struct Place { int image, row, column, channel; };

__device__ __forceinline__ Place place_of(int i, int C, Divisor by_C, int columns, Divisor by_columns, int rows,
                                          Divisor by_rows) {
    int pixel = by_C.divide(i), line = by_columns.divide(pixel), image = by_rows.divide(line);
    return {image, line - image * rows, pixel - line * columns, i - pixel * C};
}
__device__ __forceinline__ Place in_large(int i, const Map& g) {
    return place_of(i, g.C, g.by_C, g.Q, g.by_Q, g.P, g.by_P);
}
__device__ __forceinline__ Place in_small(int i, const Map& g) {
    return place_of(i, g.C, g.by_C, g.W, g.by_W, g.H, g.by_H);
}

// VEC channels of a small or a large image; of the same image and channels as `at`.
__device__ __forceinline__ void load_small(float (&v)[VEC], const float* x, const Map& g, const Place& at, int h, int w) {
    load_channels<VEC>(v, x + (((at.image * g.H + h) * g.W + w) * g.C + at.channel) * VEC);
}
__device__ __forceinline__ void load_large(float (&v)[VEC], const float* x, const Map& g, const Place& at, int p, int q) {
    load_channels<VEC>(v, x + (((at.image * g.P + p) * g.Q + q) * g.C + at.channel) * VEC);
}

// The two elements between whose centres output p lies, and the share of the upper one; they are one where
// that is 0. The centre of p lies (2p + 1 − factor) / (2 · factor) above that of element 0.
struct Blend {
    int lower, upper;
    float share;
    __device__ __forceinline__ Blend(int p, int factor, Divisor by_twice, int extent) {
        int above = max(2 * p + 1 - factor, 0);
        lower = by_twice.divide(above);
        int rest = above - lower * 2 * factor;
        upper = rest > 0 ? min(lower + 1, extent - 1) : lower;
        share = static_cast<float>(rest) / static_cast<float>(2 * factor);
    }
    __device__ __forceinline__ bool uses(int i) const { return lower == i || upper == i; }
    __device__ __forceinline__ float weight(int i) const {
        return (lower == i ? 1 - share : 0.0f) + (upper == i ? share : 0.0f);
    }
};

// Element i of an axis that goes on mirrored beyond its ends.
__device__ __forceinline__ int mirrored(int i, int extent) {
    i = i < 0 ? -i : i;
    return i < extent ? i : 2 * (extent - 1) - i;
}

// Where element i of an axis went under reflection: its place, its mirror image before, and after; −1: none.
struct Copies {
    int at[3];
    __device__ __forceinline__ Copies(int i, int extent, int before, int padded) {
        int after = 2 * (extent - 1) - i + before;
        at[0] = i + before;
        at[1] = i > 0 && i <= before ? before - i : -1;
        at[2] = i < extent - 1 && after < padded ? after : -1;
    }
};

// This thread's element, or four of them; `count` of them in all.
#define FOR_ONE_OF(count)                              \
    int i = blockIdx.x * blockDim.x + threadIdx.x;     \
    if (i >= count) return;

extern "C" {

__global__ void __launch_bounds__(256) nearest(float* __restrict__ out, const float* __restrict__ x, Map g, int count) {
    FOR_ONE_OF(count)
    Place at = in_large(i, g);
    float v[VEC];
    load_small(v, x, g, at, g.by_fh.divide(at.row), g.by_fw.divide(at.column));
    store_channels<VEC>(out + i * VEC, v);
}

__global__ void __launch_bounds__(256) nearest_grad(float* __restrict__ out, const float* __restrict__ dout, Map g,
                                                    int count) {
    FOR_ONE_OF(count)
    Place at = in_small(i, g);
    float total[VEC] = {};
    for (int r = 0; r < g.fh; r++)
        for (int s = 0; s < g.fw; s++) {
            float v[VEC];
            load_large(v, dout, g, at, at.row * g.fh + r, at.column * g.fw + s);
#pragma unroll
            for (int e = 0; e < VEC; e++) total[e] += v[e];
        }
    store_channels<VEC>(out + i * VEC, total);
}

__global__ void __launch_bounds__(256) bilinear(float* __restrict__ out, const float* __restrict__ x, Map g, int count) {
    FOR_ONE_OF(count)
    Place at = in_large(i, g);
    Blend row(at.row, g.fh, g.by_2fh, g.H), column(at.column, g.fw, g.by_2fw, g.W);
    float v[4][VEC];
    load_small(v[0], x, g, at, row.lower, column.lower), load_small(v[1], x, g, at, row.lower, column.upper);
    load_small(v[2], x, g, at, row.upper, column.lower), load_small(v[3], x, g, at, row.upper, column.upper);
    float below = 1 - row.share, left = 1 - column.share;
#pragma unroll
    for (int e = 0; e < VEC; e++)
        v[0][e] = below * (left * v[0][e] + column.share * v[1][e]) +
                  row.share * (left * v[2][e] + column.share * v[3][e]);
    store_channels<VEC>(out + i * VEC, v[0]);
}

__global__ void __launch_bounds__(256) bilinear_grad(float* __restrict__ out, const float* __restrict__ dout, Map g,
                                                     int count) {
    FOR_ONE_OF(count)
    Place at = in_small(i, g);
    int first = max((at.row - 1) * g.fh, 0), end = min((at.row + 2) * g.fh, g.P);
    int left = max((at.column - 1) * g.fw, 0), right = min((at.column + 2) * g.fw, g.Q);
    float total[VEC] = {};
    for (int p = first; p < end; p++) {
        Blend row(p, g.fh, g.by_2fh, g.H);
        if (!row.uses(at.row)) continue;
        float of_row[VEC] = {};
        for (int q = left; q < right; q++) {
            Blend column(q, g.fw, g.by_2fw, g.W);
            if (!column.uses(at.column)) continue;
            float v[VEC], share = column.weight(at.column);
            load_large(v, dout, g, at, p, q);
#pragma unroll
            for (int e = 0; e < VEC; e++) of_row[e] += share * v[e];
        }
        float share = row.weight(at.row);
#pragma unroll
        for (int e = 0; e < VEC; e++) total[e] += share * of_row[e];
    }
    store_channels<VEC>(out + i * VEC, total);
}

__global__ void __launch_bounds__(256) reflect(float* __restrict__ out, const float* __restrict__ x, Map g, int count) {
    FOR_ONE_OF(count)
    Place at = in_large(i, g);
    float v[VEC];
    load_small(v, x, g, at, mirrored(at.row - g.top, g.H), mirrored(at.column - g.left, g.W));
    store_channels<VEC>(out + i * VEC, v);
}

__global__ void __launch_bounds__(256) reflect_grad(float* __restrict__ out, const float* __restrict__ dout, Map g,
                                                    int count) {
    FOR_ONE_OF(count)
    Place at = in_small(i, g);
    Copies rows(at.row, g.H, g.top, g.P), columns(at.column, g.W, g.left, g.Q);
    float total[VEC] = {};
#pragma unroll
    for (int r = 0; r < 3; r++)
#pragma unroll
        for (int s = 0; s < 3; s++) {
            if (rows.at[r] < 0 || columns.at[s] < 0) continue;
            float v[VEC];
            load_large(v, dout, g, at, rows.at[r], columns.at[s]);
#pragma unroll
            for (int e = 0; e < VEC; e++) total[e] += v[e];
        }
    store_channels<VEC>(out + i * VEC, total);
}
}
