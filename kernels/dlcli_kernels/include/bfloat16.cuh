// bfloat16 as 16 bits: the upper half of a float. No header of CUDA's is needed.
#pragma once
#include "dlcli.cuh"

struct alignas(2) bfloat16 { uint16_t bits; };

__device__ __forceinline__ float to_float(bfloat16 v) {
    return __uint_as_float(static_cast<uint32_t>(v.bits) << 16);
}

__device__ __forceinline__ bfloat16 to_bfloat16(float v) {  // to the nearest, ties to even; NaN stays NaN
    uint32_t bits = __float_as_uint(v);
    if ((bits & 0x7fffffff) > 0x7f800000) return {static_cast<uint16_t>(bits >> 16 | 0x40)};
    return {static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
}

// Two at once, `low` in the lower half, as mma.sync takes them.
__device__ __forceinline__ uint32_t pack_bfloat16(float low, float high) {
    return to_bfloat16(low).bits | static_cast<uint32_t>(to_bfloat16(high).bits) << 16;
}
