// The geometry of a convolution, NHWC × OHWI → NHWC: what every kernel of conv/ takes by value.
//
// conv/raw_geometry.py fills it, field by field in this order.
#pragma once
#include "dlcli.cuh"

// Division of 0 … 2³¹ − 1 by a constant that the host knows: the high half of a product and a shift
// (Granlund & Montgomery 1994). multiplier 0: by one.
struct Divisor {
    unsigned multiplier;
    int shift;
    __device__ __forceinline__ int divide(int n) const {
        return multiplier ? static_cast<int>(__umulhi(static_cast<unsigned>(n), multiplier) >> shift) : n;
    }
};

struct Geometry {
    int N, H, W, C;          // images
    int K, R, S;             // filters
    int P, Q;                // the map that the convolution makes, before pooling
    int Cg, Kg, groups;      // channels of x and of the map in one group
    int sh, sw, top, left, dh, dw;
    int ph, pw, rows, columns;  // windows side by side, and the pooled map; 1, 1, P, Q without
    Divisor by_W, by_H, by_Q, by_P, by_columns, by_rows, by_S, by_Cg, by_Kg, by_pw;
};

struct Pixel { int image, row, column; };

// Which pixel of N maps of `height` × `width` the i-th is.
__device__ __forceinline__ Pixel pixel_of(int i, int width, Divisor by_width, int height, Divisor by_height) {
    int line = by_width.divide(i), image = by_height.divide(line);
    return {image, line - image * height, i - line * width};
}

__device__ __forceinline__ bool within(int i, int extent) {  // 0 ≤ i < extent
    return static_cast<unsigned>(i) < static_cast<unsigned>(extent);
}

// COUNT neighbouring channels, 1 or 4; four must lie on a boundary of 16 bytes.
template <int COUNT> __device__ __forceinline__ void load_channels(float (&to)[COUNT], const float* from) {
    static_assert(COUNT == 1 || COUNT == 4, "one float or four");
    if constexpr (COUNT == 4) {
        float4 v = load4(from);
        to[0] = v.x, to[1] = v.y, to[2] = v.z, to[3] = v.w;
    } else {
        to[0] = *from;
    }
}
template <int COUNT> __device__ __forceinline__ void store_channels(float* to, const float (&from)[COUNT]) {
    static_assert(COUNT == 1 || COUNT == 4, "one float or four");
    if constexpr (COUNT == 4) {
        store4(to, {from[0], from[1], from[2], from[3]});
    } else {
        *to = from[0];
    }
}
