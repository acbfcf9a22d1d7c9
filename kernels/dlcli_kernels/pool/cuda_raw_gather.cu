// Pooling and its gradients over NHWC images: a thread makes one element of the result, or four neighbouring
// channels of it in 128-bit accesses, and gathers what it is made of. Gradients too: a thread visits the
// windows that cover its element, in order, so that nothing is added by atomics and the bits are the same
// every time.
//
// Each byte is read from memory once, whatever a window shares with its neighbours comes from the caches:
// 2×2 windows move 16 + 4 + 1 bytes per output forward, as many backward. Quotients of indices are a product
// and a shift: plain divisions would take as long as the memory. SIDE: that of a square window, whose loads
// need not wait for each other then; 0: any window.
#include "conv.cuh"  // Divisor, within, load_channels, store_channels

#ifndef VEC
#define VEC 1
#endif
#ifndef SIDE
#define SIDE 0
#endif

// The extents of images (N, H, W, C·VEC), of the map (N, P, Q, C·VEC) and of windows (R, S).
struct Windows {
    int H, W, C, P, Q, R, S, sh, sw, top, left;
    Divisor by_C, by_W, by_H, by_Q, by_P, by_S, by_sh, by_sw;
};

struct Position { int image, row, column, channel; };
struct Span { int first, end; };

// Which place of N maps of `rows` × `columns` × C the i-th is.
__device__ __forceinline__ Position place_of(int i, const Windows& g, int rows, Divisor by_rows, int columns,
                                             Divisor by_columns) {
    int pixel = g.by_C.divide(i), line = by_columns.divide(pixel), image = by_rows.divide(line);
    return {image, line - image * rows, pixel - line * columns, i - pixel * g.C};
}
__device__ __forceinline__ Position in_map(int i, const Windows& g) {
    return place_of(i, g, g.P, g.by_P, g.Q, g.by_Q);
}
__device__ __forceinline__ Position in_image(int i, const Windows& g) {
    return place_of(i, g, g.H, g.by_H, g.W, g.by_W);
}

// Where the VEC channels begin.
__device__ __forceinline__ int image_index(const Windows& g, int n, int h, int w, int c) {
    return (((n * g.H + h) * g.W + w) * g.C + c) * VEC;
}
__device__ __forceinline__ int map_index(const Windows& g, int n, int p, int q, int c) {
    return (((n * g.P + p) * g.Q + q) * g.C + c) * VEC;
}

__device__ __forceinline__ void load_bytes(uint8_t (&to)[VEC], const uint8_t* from) {
    if constexpr (VEC == 4) {
        uchar4 v = *reinterpret_cast<const uchar4*>(from);
        to[0] = v.x, to[1] = v.y, to[2] = v.z, to[3] = v.w;
    } else {
        to[0] = *from;
    }
}
__device__ __forceinline__ void store_bytes(uint8_t* to, const uint8_t (&from)[VEC]) {
    if constexpr (VEC == 4)
        *reinterpret_cast<uchar4*>(to) = make_uchar4(from[0], from[1], from[2], from[3]);
    else
        *to = from[0];
}

// The part of 0 … reach − 1 that, counted from `first`, lies within 0 … extent − 1.
__device__ __forceinline__ Span inside(int first, int reach, int extent) {
    return {max(-first, 0), min(reach, extent - first)};
}
// The windows, of `count`, that cover element `at` of the padded image.
__device__ __forceinline__ Span covering(int at, int reach, Divisor by_stride, int count) {
    return {at < reach ? 0 : by_stride.divide(at - reach) + 1, min(by_stride.divide(at) + 1, count)};
}

// f(r, s, v) for each element of the window that begins at (h, w), with its values v. Outside the image there
// is none, or, where all are loaded before the first is looked at, `fill`.
template <class F>
__device__ __forceinline__ void each_in_window(const Windows& g, const float* x, const Position& at, int h, int w,
                                               float fill, F f) {
#if SIDE > 0
    float v[SIDE * SIDE][VEC];
#pragma unroll
    for (int k = 0; k < SIDE * SIDE; k++) {
        int row = h + k / SIDE, column = w + k % SIDE;
        for (int e = 0; e < VEC; e++) v[k][e] = fill;
        if (within(row, g.H) && within(column, g.W))
            load_channels<VEC>(v[k], x + image_index(g, at.image, row, column, at.channel));
    }
#pragma unroll
    for (int k = 0; k < SIDE * SIDE; k++) f(k / SIDE, k % SIDE, v[k]);
#else
    Span rows = inside(h, g.R, g.H), columns = inside(w, g.S, g.W);
    for (int r = rows.first; r < rows.end; r++)
        for (int s = columns.first; s < columns.end; s++) {
            float v[VEC];
            load_channels<VEC>(v, x + image_index(g, at.image, h + r, w + s, at.channel));
            f(r, s, v);
        }
#endif
}
// f(p, q) for each window that covers the element (h, w) of the image.
template <class F> __device__ __forceinline__ void each_covering(const Windows& g, int h, int w, F f) {
    Span rows = covering(h + g.top, g.R, g.by_sh, g.P), columns = covering(w + g.left, g.S, g.by_sw, g.Q);
    for (int p = rows.first; p < rows.end; p++)
        for (int q = columns.first; q < columns.end; q++) f(p, q);
}

// How many elements the average of window (p, q) is over.
__device__ __forceinline__ float divisor(const Windows& g, int p, int q, int with_padding) {
    if (with_padding) return g.R * g.S;
    Span rows = inside(p * g.sh - g.top, g.R, g.H), columns = inside(q * g.sw - g.left, g.S, g.W);
    return (rows.end - rows.first) * (columns.end - columns.first);
}

// This thread's element, or four of them; `count` of them in all.
#define FOR_ONE_OF(count)                              \
    int i = blockIdx.x * blockDim.x + threadIdx.x;     \
    if (i >= count) return;

extern "C" {

__global__ void __launch_bounds__(256) maxpool2d(float* __restrict__ out, uint8_t* __restrict__ argmax,
                                                 const float* __restrict__ x, Windows g, int count) {
    FOR_ONE_OF(count)
    Position at = in_map(i, g);
    int h = at.row * g.sh - g.top, w = at.column * g.sw - g.left, first = max(-h, 0) * g.S + max(-w, 0);
    float best[VEC];
    uint8_t where[VEC];
    for (int e = 0; e < VEC; e++) best[e] = -INFINITY, where[e] = static_cast<uint8_t>(first);
    each_in_window(g, x, at, h, w, -INFINITY, [&](int r, int s, const float(&v)[VEC]) {
#pragma unroll
        for (int e = 0; e < VEC; e++)
            if (v[e] > best[e] || v[e] != v[e]) best[e] = v[e], where[e] = static_cast<uint8_t>(r * g.S + s);
    });
    store_channels<VEC>(out + i * VEC, best);
    if (argmax) store_bytes(argmax + i * VEC, where);
}

__global__ void __launch_bounds__(256) maxpool2d_grad(float* __restrict__ out, const float* __restrict__ dout,
                                                      const uint8_t* __restrict__ argmax, Windows g, int count) {
    FOR_ONE_OF(count)
    Position at = in_image(i, g);
    float total[VEC] = {};
    each_covering(g, at.row, at.column, [&](int p, int q) {
        int own = (at.row + g.top - p * g.sh) * g.S + at.column + g.left - q * g.sw;
        int from = map_index(g, at.image, p, q, at.channel);
        float d[VEC];
        uint8_t chosen[VEC];
        load_channels<VEC>(d, dout + from);
        load_bytes(chosen, argmax + from);
#pragma unroll
        for (int e = 0; e < VEC; e++)
            if (chosen[e] == own) total[e] += d[e];
    });
    store_channels<VEC>(out + i * VEC, total);
}

// out: what argmax says of x; 0 where that is padding.
__global__ void __launch_bounds__(256) maxpool2d_gather(float* __restrict__ out, const float* __restrict__ x,
                                                        const uint8_t* __restrict__ argmax, Windows g, int count) {
    FOR_ONE_OF(count)
    Position at = in_map(i, g);
    uint8_t chosen[VEC];
    float found[VEC];
    load_bytes(chosen, argmax + i * VEC);
#pragma unroll
    for (int e = 0; e < VEC; e++) {
        int r = g.by_S.divide(chosen[e]), s = chosen[e] - r * g.S;
        int h = at.row * g.sh - g.top + r, w = at.column * g.sw - g.left + s;
        bool real = r < g.R && within(h, g.H) && within(w, g.W);
        found[e] = real ? x[image_index(g, at.image, h, w, at.channel) + e] : 0;
    }
    store_channels<VEC>(out + i * VEC, found);
}

__global__ void __launch_bounds__(256) avgpool2d(float* __restrict__ out, const float* __restrict__ x, Windows g,
                                                 int with_padding, int count) {
    FOR_ONE_OF(count)
    Position at = in_map(i, g);
    int h = at.row * g.sh - g.top, w = at.column * g.sw - g.left;
    float total[VEC] = {};
    each_in_window(g, x, at, h, w, 0, [&](int r, int s, const float(&v)[VEC]) {
#pragma unroll
        for (int e = 0; e < VEC; e++) total[e] += v[e];
    });
    float by = divisor(g, at.row, at.column, with_padding);
    for (int e = 0; e < VEC; e++) total[e] /= by;
    store_channels<VEC>(out + i * VEC, total);
}

__global__ void __launch_bounds__(256, 4) avgpool2d_grad(float* __restrict__ out, const float* __restrict__ dout,
                                                         Windows g, int with_padding, int count) {
    FOR_ONE_OF(count)
    Position at = in_image(i, g);
    float total[VEC] = {};
    each_covering(g, at.row, at.column, [&](int p, int q) {
        float d[VEC], by = divisor(g, p, q, with_padding);
        load_channels<VEC>(d, dout + map_index(g, at.image, p, q, at.channel));
#pragma unroll
        for (int e = 0; e < VEC; e++) total[e] += d[e] / by;
    });
    store_channels<VEC>(out + i * VEC, total);
}
}
