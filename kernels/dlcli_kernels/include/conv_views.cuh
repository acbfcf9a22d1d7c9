// A convolution's operands as the matrices of a product, read in place (implicit GEMM; Chetlur et al. 2014,
// cuDNN): views as strips.cuh wants them. What lies outside of an image counts as zero.
//
//                 rows (M)               columns (N)        terms (K)
//     forward     pixels of the map      filters k          (r, s, c)
//     dgrad       pixels of x            channels c         (r, s, k)
//     wgrad       filters k              (r, s, c)          pixels of the map
//
// each within one group. Rows and columns are decoded once per thread; a term costs two divisions by
// multiplication, and is shared by all rows that a thread copies.
#pragma once
#include "conv.cuh"
#include "strips.cuh"

constexpr int FAR_OUT = -(1 << 30);  // of a coordinate: no tap leads back inside

// Row m as a pixel of `images` grids: windows of ph × pw are side by side, their places one after the other
// (ph = pw = 1: pixels in order). The pixel (p, q) meets the operand at (p·step + first).
struct Rows {
    int count, high, wide, ph, pw;  // high, wide: in windows
    int step_h, step_w, first_h, first_w;
    // (image, row, column) of the grid
    __device__ __forceinline__ Pixel pixel(int m) const {
        int area = ph * pw, window = m / area, place = m - window * area;
        int line = window / wide, image = line / high, down = place / pw;
        return {image, (line - image * high) * ph + down, (window - line * wide) * pw + place - down * pw};
    }
};

// Element (m, (a, b, c)): channel c of the pixel (a, b) steps away from where row m begins.
template <class E, int WIDTH_> struct Patches {
    using Element = E;
    static constexpr bool DEEP = true;
    static constexpr int WIDTH = WIDTH_;  // divides the channels, as in all views
    struct Row { int offset, h, w; };
    using Depth = Row;
    const E* data;  // the group's first channel of the first pixel
    int high, wide, pitch;
    int channels, across, terms;  // terms = taps · channels, `across` taps to a row of the filter
    int step_h, step_w;
    Divisor by_channels, by_across;
    Rows rows;
    __device__ __forceinline__ Row row(int m) const {
        if (m >= rows.count) return {0, FAR_OUT, 0};
        Pixel at = rows.pixel(m);
        int h = at.row * rows.step_h + rows.first_h, w = at.column * rows.step_w + rows.first_w;
        return {((at.image * high + h) * wide + w) * pitch, h, w};
    }
    __device__ __forceinline__ Depth depth(int t) const {
        if (t >= terms) return {0, FAR_OUT, 0};
        int tap = by_channels.divide(t), a = by_across.divide(tap);
        int h = a * step_h, w = (tap - a * across) * step_w;
        return {(h * wide + w) * pitch + t - tap * channels, h, w};
    }
    __device__ __forceinline__ PlaceOf<E> at(const Row& r, const Depth& d) const {
        return {data + (r.offset + d.offset), within(r.h + d.h, high) && within(r.w + d.w, wide)};
    }
};

// Element (k, (r, s, c)) of the filters of a group, as they lie.
template <class E, int WIDTH_> struct FiltersByTap {
    using Element = E;
    static constexpr bool DEEP = true;
    static constexpr int WIDTH = WIDTH_;
    struct Row { int offset; };  // negative: none. A pointer for each row would cost registers
    using Depth = int;
    const E* data;
    int filters, terms;
    __device__ __forceinline__ Row row(int k) const { return {k < filters ? k * terms : -1}; }
    __device__ __forceinline__ Depth depth(int t) const { return t; }
    __device__ __forceinline__ PlaceOf<E> at(Row r, Depth t) const {
        return {data + (r.offset + t), r.offset >= 0 && t < terms};
    }
};

// The operands of the forward product of group blockIdx.z. g.rows × g.columns windows of g.ph × g.pw.
template <class E, int WIDTH> __device__ __forceinline__ Patches<E, WIDTH> patches_of(const E* x, const Geometry& g) {
    Rows rows{g.N * g.rows * g.columns * g.ph * g.pw, g.rows, g.columns, g.ph, g.pw, g.sh, g.sw, -g.top, -g.left};
    return {x + blockIdx.z * g.Cg, g.H, g.W, g.C, g.Cg, g.S, g.R * g.S * g.Cg, g.dh, g.dw, g.by_Cg, g.by_S, rows};
}
template <class E, int WIDTH>
__device__ __forceinline__ FiltersByTap<E, WIDTH> filters_of(const E* w, const Geometry& g) {
    int terms = g.R * g.S * g.Cg;
    return {w + blockIdx.z * g.Kg * terms, g.Kg, terms};
}

// Element (c, (a, b, k)) of the filters of a group: tap (first + step · (a, b)) of filter k.
template <class E, int WIDTH_> struct FiltersByChannel {
    using Element = E;
    static constexpr bool DEEP = false;
    static constexpr int WIDTH = WIDTH_;
    struct Row { int c; };
    struct Depth { int offset; };  // negative: none
    const E* data;
    int channels, filters, across, terms, taps_high, taps_wide;
    int first_r, first_s, step_r, step_s;
    Divisor by_filters, by_across;
    __device__ __forceinline__ Row row(int c) const { return {c}; }
    __device__ __forceinline__ Depth depth(int t) const {
        if (t >= terms) return {-1};
        int tap = by_filters.divide(t), k = t - tap * filters, a = by_across.divide(tap);
        int r = first_r + a * step_r, s = first_s + (tap - a * across) * step_s;
        return {((k * taps_high + r) * taps_wide + s) * channels};
    }
    __device__ __forceinline__ PlaceOf<E> at(Row r, Depth d) const {
        return {data + (d.offset + r.c), r.c < channels && d.offset >= 0};
    }
};

// Element (k, pixel) of a map.
template <class E, int WIDTH_> struct MapByChannel {
    using Element = E;
    static constexpr bool DEEP = false;
    static constexpr int WIDTH = WIDTH_;
    struct Row { int k; };
    using Depth = int;
    const E* data;
    int channels, pitch, pixels;
    __device__ __forceinline__ Row row(int k) const { return {k}; }
    __device__ __forceinline__ Depth depth(int pixel) const { return pixel; }
    __device__ __forceinline__ PlaceOf<E> at(Row r, Depth pixel) const {
        return {data + (pixel * pitch + r.k), r.k < channels && pixel < pixels};
    }
};

// Element ((r, s, c), pixel): what element (r, s, c) of a filter meets at a pixel of the map.
template <class E, int WIDTH_> struct PatchesByTap {
    using Element = E;
    static constexpr bool DEEP = false;
    static constexpr int WIDTH = WIDTH_;
    struct Row { int offset, h, w; };
    using Depth = Row;
    const E* data;
    Geometry g;
    __device__ __forceinline__ Row row(int i) const {
        int tap = g.Cg ? i / g.Cg : 0, r = tap / g.S, s = tap - r * g.S;
        if (r >= g.R) return {0, FAR_OUT, 0};
        return {(r * g.dh * g.W + s * g.dw) * g.C + i - tap * g.Cg, r * g.dh, s * g.dw};
    }
    __device__ __forceinline__ Depth depth(int pixel) const {
        Pixel at = pixel_of(pixel, g.Q, g.by_Q, g.P, g.by_P);
        if (at.image >= g.N) return {0, FAR_OUT, 0};
        int h = at.row * g.sh - g.top, w = at.column * g.sw - g.left;
        return {((at.image * g.H + h) * g.W + w) * g.C, h, w};
    }
    __device__ __forceinline__ PlaceOf<E> at(const Row& r, const Depth& d) const {
        return {data + (r.offset + d.offset), within(r.h + d.h, g.H) && within(r.w + d.w, g.W)};
    }
};

struct Range { int begin, end; };

// The blockIdx.y-th of gridDim.y parts of `terms`, whole strips of `depth` each.
__device__ __forceinline__ Range part_of(int terms, int depth) {
    int each = ceil_div(ceil_div(terms, depth), gridDim.y) * depth, begin = blockIdx.y * each;
    return {min(begin, terms), min(begin + each, terms)};
}
