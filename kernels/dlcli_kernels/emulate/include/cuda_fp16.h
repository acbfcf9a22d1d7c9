// CUDA's half precision, as far as kernels use it, on the CPU.
#pragma once
#include "narrow.h"

using __half = dlcli::Narrow<10, 15>;
using __half2 = dlcli::Pair<__half>;
using half = __half;
using half2 = __half2;
DLCLI_NARROW(__half, __half2)
static inline __half __float2half(float v) { return v; }
static inline __half __float2half_rn(float v) { return v; }
static inline __half __double2half(double v) { return v; }
static inline __half __int2half_rn(int v) { return v; }
static inline float __half2float(__half v) { return v; }
static inline __half2 __halves2half2(__half x, __half y) { return {x, y}; }
static inline __half2 make_half2(__half x, __half y) { return {x, y}; }
static inline __half2 __half2half2(__half v) { return {v, v}; }
static inline __half2 __float2half2_rn(float v) { return {v, v}; }
static inline __half2 __floats2half2_rn(float x, float y) { return {x, y}; }
static inline __half2 __float22half2_rn(float2 v) { return {v.x, v.y}; }
static inline float2 __half22float2(__half2 v) { return {v.x, v.y}; }
static inline __half __low2half(__half2 v) { return v.x; }
static inline __half __high2half(__half2 v) { return v.y; }
static inline unsigned short __half_as_ushort(__half v) { return v.bits; }
static inline __half __ushort_as_half(unsigned short v) { return __half::from_bits(v); }
