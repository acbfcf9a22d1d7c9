// CUDA's arithmetic: intrinsics, conversions, and accesses with a hint to the cache.
#pragma once

template <class T> T __ldg(const T* p) { return *p; }
template <class T> T __ldcs(const T* p) { return *p; }
template <class T> T __ldcg(const T* p) { return *p; }
template <class T> void __stcs(T* p, T v) { *p = v; }
template <class T> void __stcg(T* p, T v) { *p = v; }
// Of floating numbers as fmin and fmax: the other one where one is NaN.
template <class A, class B> typename std::common_type<A, B>::type min(A a, B b) {
    typename std::common_type<A, B>::type x = a, y = b;
    return y < x || x != x ? y : x;
}
template <class A, class B> typename std::common_type<A, B>::type max(A a, B b) {
    typename std::common_type<A, B>::type x = a, y = b;
    return x < y || x != x ? y : x;
}
template <class To, class From> To dlcli_bits(From from) {
    static_assert(sizeof(To) == sizeof(From), "a change of type keeps the size");
    To to;
    __builtin_memcpy(&to, &from, sizeof to);
    return to;
}
static inline float __int_as_float(int v) { return dlcli_bits<float>(v); }
static inline float __uint_as_float(unsigned v) { return dlcli_bits<float>(v); }
static inline int __float_as_int(float v) { return dlcli_bits<int>(v); }
static inline unsigned __float_as_uint(float v) { return dlcli_bits<unsigned>(v); }
static inline long long __double_as_longlong(double v) { return dlcli_bits<long long>(v); }
static inline double __longlong_as_double(long long v) { return dlcli_bits<double>(v); }
static inline unsigned __umulhi(unsigned a, unsigned b) { return (unsigned long long)a * b >> 32; }
static inline int __mulhi(int a, int b) { return (long long)a * b >> 32; }
static inline int __popc(unsigned v) { return __builtin_popcount(v); }
static inline int __ffs(int v) { return __builtin_ffs(v); }
static inline int __clz(int v) { return v ? __builtin_clz((unsigned)v) : 32; }
static inline float rsqrtf(float v) { return 1.0f / sqrtf(v); }
static inline double rsqrt(double v) { return 1.0 / sqrt(v); }
#define __expf(v) expf(v)  // names that the C library keeps for itself
#define __logf(v) logf(v)
#define __log2f(v) log2f(v)
#define __log10f(v) log10f(v)
#define __sinf(v) sinf(v)
#define __cosf(v) cosf(v)
#define __tanf(v) tanf(v)
#define __powf(a, b) powf(a, b)
static inline float __fdividef(float a, float b) { return a / b; }
static inline float __fadd_rn(float a, float b) { return a + b; }
static inline float __fsub_rn(float a, float b) { return a - b; }
static inline float __fmul_rn(float a, float b) {
    volatile float product = a * b;  // kept apart from an addition that follows
    return product;
}
static inline double __dmul_rn(double a, double b) {
    volatile double product = a * b;
    return product;
}
static inline float __fdiv_rn(float a, float b) { return a / b; }
static inline float __frcp_rn(float v) { return 1.0f / v; }
static inline float __fsqrt_rn(float v) { return sqrtf(v); }
static inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
static inline float __saturatef(float v) { return v > 0 ? v < 1 ? v : 1.0f : 0.0f; }  // NaN: 0
static inline double __dadd_rn(double a, double b) { return a + b; }
static inline double __dsub_rn(double a, double b) { return a - b; }
static inline double __ddiv_rn(double a, double b) { return a / b; }
static inline double __dsqrt_rn(double v) { return sqrt(v); }
static inline double __fma_rn(double a, double b, double c) { return fma(a, b, c); }
static inline float __frsqrt_rn(float v) { return 1.0f / sqrtf(v); }
static inline float sinpif(float v) { return sin(M_PI * v); }
static inline float cospif(float v) { return cos(M_PI * v); }
// The C library's write where the checks do not see it.
static inline void dlcli_sincosf(float v, float* s, float* c) { *s = sinf(v), *c = cosf(v); }
static inline void dlcli_sincos(double v, double* s, double* c) { *s = sin(v), *c = cos(v); }
#define sincosf dlcli_sincosf
#define __sincosf dlcli_sincosf
#define sincos dlcli_sincos
static inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return static_cast<unsigned __int128>(a) * b >> 64;
}
static inline int __popcll(unsigned long long v) { return __builtin_popcountll(v); }
static inline int __ffsll(long long v) { return __builtin_ffsll(v); }
static inline int __clzll(long long v) { return v ? __builtin_clzll((unsigned long long)v) : 64; }
static inline unsigned __brev(unsigned v) {
    unsigned r = 0;
    for (int i = 0; i < 32; i++) r |= (v >> i & 1) << (31 - i);
    return r;
}
static inline unsigned __funnelshift_l(unsigned low, unsigned high, unsigned by) {
    return ((unsigned long long)high << 32 | low) << (by & 31) >> 32;
}
static inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned by) {
    return ((unsigned long long)high << 32 | low) >> (by & 31);
}
static inline unsigned __byte_perm(unsigned a, unsigned b, unsigned selector) {
    unsigned long long both = (unsigned long long)b << 32 | a;
    unsigned r = 0;
    for (int i = 0; i < 4; i++) r |= (both >> (selector >> 4 * i & 7) * 8 & 255) << 8 * i;
    return r;
}
static inline float __int2float_rn(int v) { return (float)v; }
static inline float __uint2float_rn(unsigned v) { return (float)v; }
static inline float __double2float_rn(double v) { return (float)v; }
// To integers: what does not fit is the nearest that does, NaN is 0.
static inline int dlcli_to_int(double v) {
    return v != v ? 0 : v < -2147483648.0 ? -2147483647 - 1 : v > 2147483647.0 ? 2147483647 : (int)v;
}
static inline unsigned dlcli_to_unsigned(double v) { return v > 0 ? v < 4294967295.0 ? (unsigned)v : ~0u : 0; }
static inline int __float2int_rn(float v) { return dlcli_to_int(nearbyintf(v)); }
static inline int __float2int_rz(float v) { return dlcli_to_int(truncf(v)); }
static inline int __float2int_rd(float v) { return dlcli_to_int(floorf(v)); }
static inline int __float2int_ru(float v) { return dlcli_to_int(ceilf(v)); }
static inline unsigned __float2uint_rn(float v) { return dlcli_to_unsigned(nearbyintf(v)); }
static inline unsigned __float2uint_rz(float v) { return dlcli_to_unsigned(truncf(v)); }
static inline long long clock64() { return 0; }
using std::abs;
using std::isfinite;
using std::isinf;
using std::isnan;
