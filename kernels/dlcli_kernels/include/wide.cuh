// N neighbouring floats, 1 or 4, as an array: four of them are one 128-bit access.
//
// Kernels over rows are compiled for both: 4 where the length of a row is a multiple of it, so that every
// row begins on a boundary of 16 bytes, else 1.
#pragma once
#include "dlcli.cuh"

template <int N> __device__ __forceinline__ void load_wide(float (&to)[N], const float* from) {
    static_assert(N == 1 || N == 4, "one float or four");
    if constexpr (N == 4) {
        float4 v = load4(from);
        to[0] = v.x, to[1] = v.y, to[2] = v.z, to[3] = v.w;
    } else {
        to[0] = *from;
    }
}

template <int N> __device__ __forceinline__ void store_wide(float* to, const float (&from)[N]) {
    static_assert(N == 1 || N == 4, "one float or four");
    if constexpr (N == 4)
        store4(to, make_float4(from[0], from[1], from[2], from[3]));
    else
        *to = from[0];
}

// The same of an operand that may be absent: `otherwise` in its place.
template <int N>
__device__ __forceinline__ void load_wide_or(float (&to)[N], const float* base, size_t offset, float otherwise) {
    if (base) {
        load_wide<N>(to, base + offset);
        return;
    }
#pragma unroll
    for (int j = 0; j < N; j++) to[j] = otherwise;
}
