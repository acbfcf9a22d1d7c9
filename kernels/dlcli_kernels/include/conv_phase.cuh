// dgrad as a product without holes. With a stride only every sh-th row of x meets a given tap, so pixels of x
// are taken by phase, (h mod sh, w mod sw): within one the taps that count are every tap_step-th, and what
// neighbours meet of dout are neighbours. blockIdx.z: the group, and within it the phase.
#pragma once
#include "conv_views.cuh"

// One direction of a phase.
struct Phase {
    int at;           // h mod sh
    int first, taps;  // the first tap that counts and how many do
    int start, step;  // where of dout the first pixel of x meets the first of them; from tap to tap, backwards
    int extent;       // pixels of x
    __device__ __forceinline__ Phase(int phase, int x_extent, int filter, int stride, int padding, int dilation,
                                     int tap_step)
        : at(phase) {
        int shifted = phase + padding;
        first = 0;
        while (first < filter && first < tap_step && (shifted - first * dilation) % stride != 0) first++;
        bool some = first < filter && first < tap_step;
        taps = some ? ceil_div(filter - first, tap_step) : 0;
        start = some ? (shifted - first * dilation) / stride : 0;
        step = tap_step * dilation / stride;
        extent = max(ceil_div(x_extent - phase, stride), 0);
    }
};

// Division by a number that only the kernel knows: see Divisor.
__device__ __forceinline__ Divisor divisor(int d) {
    if (d <= 1) return {0, 0};
    int length = 32 - __clz(d - 1);
    return {static_cast<unsigned>(((1ull << (31 + length)) + d - 1) / d), length - 1};
}

// tap_step: from one tap that counts to the next, stride / gcd(stride, dilation), for rows and columns.
struct OfX {
    int group, tap_step_r, tap_step_s;
    Phase down, right;
    Rows rows;
    int terms;
    Divisor by_across;
    __device__ __forceinline__ OfX(const Geometry& g, int tap_step_r, int tap_step_s)
        : group(blockIdx.z / (g.sh * g.sw)),
          tap_step_r(tap_step_r),
          tap_step_s(tap_step_s),
          down(blockIdx.z % (g.sh * g.sw) / g.sw, g.H, g.R, g.sh, g.top, g.dh, tap_step_r),
          right(blockIdx.z % g.sw, g.W, g.S, g.sw, g.left, g.dw, tap_step_s),
          rows{g.N * down.extent * right.extent, down.extent, right.extent, 1, 1, 1, 1, down.start, right.start},
          terms(down.taps * right.taps * g.Kg),
          by_across(divisor(right.taps)) {}
    __device__ __forceinline__ int most_rows(const Geometry& g) const {  // of any phase
        return g.N * ceil_div(g.H, g.sh) * ceil_div(g.W, g.sw);
    }
    template <class E, int WIDTH>
    __device__ __forceinline__ Patches<E, WIDTH> patches(const E* dout, const Geometry& g) const {
        return {dout + group * g.Kg, g.P, g.Q, g.K, g.Kg, right.taps, terms,
                -down.step, -right.step, g.by_Kg, by_across, rows};
    }
    template <class E, int WIDTH>
    __device__ __forceinline__ FiltersByChannel<E, WIDTH> filters(const E* w, const Geometry& g) const {
        return {w + group * g.Kg * g.R * g.S * g.Cg, g.Cg, g.Kg, right.taps, terms, g.R, g.S,
                down.first, right.first, tap_step_r, tap_step_s, g.by_Kg, by_across};
    }
    // Which pixel of x row m is, in order.
    __device__ __forceinline__ int pixel(int m, const Geometry& g) const {
        Pixel at = rows.pixel(m);
        return (at.image * g.H + at.row * g.sh + down.at) * g.W + at.column * g.sw + right.at;
    }
};
