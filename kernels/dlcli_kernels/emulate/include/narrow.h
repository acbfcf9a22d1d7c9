// Floats of 16 bits for the shims of cuda_fp16.h and cuda_bf16.h: each operation is exact, then rounded to
// the nearest, ties to even.
#pragma once

namespace dlcli {

template <int MANTISSA, int BIAS> struct alignas(2) Narrow {
    unsigned short bits;

    Narrow() = default;
    template <class T, class = typename std::enable_if<std::is_arithmetic<T>::value>::type>
    Narrow(T v) : bits(of(static_cast<double>(v))) {}
    operator float() const {
        int exponent = bits >> MANTISSA & (2 * BIAS + 1), fraction = bits & ((1 << MANTISSA) - 1);
        float size = exponent == 2 * BIAS + 1 ? (fraction ? NAN : INFINITY)
                     : exponent               ? ldexpf(fraction + (1 << MANTISSA), exponent - BIAS - MANTISSA)
                                              : ldexpf(fraction, 1 - BIAS - MANTISSA);
        return bits >> 15 ? -size : size;
    }
    static unsigned short of(double v) {
        unsigned sign = std::signbit(v) ? 0x8000 : 0, infinity = (2 * BIAS + 1) << MANTISSA;
        if (v != v) return 0x7fff;
        int exponent;
        double size = fabs(v);
        frexp(size, &exponent);
        if (exponent > BIAS + 1 || std::isinf(size)) return sign | infinity;
        int quantum = exponent - 1 - MANTISSA, least = 1 - BIAS - MANTISSA;
        if (quantum < least || size == 0) return sign | static_cast<unsigned>(nearbyint(ldexp(size, -least)));
        auto digits = static_cast<unsigned>(nearbyint(ldexp(size, -quantum)));
        return sign | (((exponent - 1 + BIAS) << MANTISSA) + digits - (1 << MANTISSA));
    }
    static Narrow from_bits(unsigned short bits) {
        Narrow v;
        v.bits = bits;
        return v;
    }
    friend Narrow operator+(Narrow a, Narrow b) { return double(float(a)) + float(b); }
    friend Narrow operator-(Narrow a, Narrow b) { return double(float(a)) - float(b); }
    friend Narrow operator*(Narrow a, Narrow b) { return double(float(a)) * float(b); }
    friend Narrow operator/(Narrow a, Narrow b) { return double(float(a)) / float(b); }
    friend Narrow operator-(Narrow a) { return from_bits(a.bits ^ 0x8000); }
    friend Narrow& operator+=(Narrow& a, Narrow b) { return a = a + b; }
    friend Narrow& operator-=(Narrow& a, Narrow b) { return a = a - b; }
    friend Narrow& operator*=(Narrow& a, Narrow b) { return a = a * b; }
    friend Narrow& operator/=(Narrow& a, Narrow b) { return a = a / b; }
    friend bool operator==(Narrow a, Narrow b) { return float(a) == float(b); }
    friend bool operator!=(Narrow a, Narrow b) { return float(a) != float(b); }
    friend bool operator<(Narrow a, Narrow b) { return float(a) < float(b); }
    friend bool operator>(Narrow a, Narrow b) { return float(a) > float(b); }
    friend bool operator<=(Narrow a, Narrow b) { return float(a) <= float(b); }
    friend bool operator>=(Narrow a, Narrow b) { return float(a) >= float(b); }
};

template <class T> struct alignas(4) Pair {
    T x, y;
    Pair() = default;
    Pair(T x, T y) : x(x), y(y) {}
    friend Pair operator+(Pair a, Pair b) { return {a.x + b.x, a.y + b.y}; }
    friend Pair operator-(Pair a, Pair b) { return {a.x - b.x, a.y - b.y}; }
    friend Pair operator*(Pair a, Pair b) { return {a.x * b.x, a.y * b.y}; }
    friend Pair operator/(Pair a, Pair b) { return {a.x / b.x, a.y / b.y}; }
};

}  // namespace dlcli

// Words that are the same for both types, by overload.
#define DLCLI_NARROW(T, T2)                                                                        \
    static inline T __hadd(T a, T b) { return a + b; }                                             \
    static inline T __hsub(T a, T b) { return a - b; }                                             \
    static inline T __hmul(T a, T b) { return a * b; }                                             \
    static inline T __hdiv(T a, T b) { return a / b; }                                             \
    static inline T __hfma(T a, T b, T c) { return fma(float(a), double(float(b)), float(c)); }    \
    static inline T __hneg(T a) { return -a; }                                                     \
    static inline T __habs(T a) { return T::from_bits(a.bits & 0x7fff); }                          \
    static inline T __hmax(T a, T b) { return fmaxf(a, b); }                                       \
    static inline T __hmin(T a, T b) { return fminf(a, b); }                                       \
    static inline bool __heq(T a, T b) { return a == b; }                                          \
    static inline bool __hne(T a, T b) { return a != b; }                                          \
    static inline bool __hlt(T a, T b) { return a < b; }                                           \
    static inline bool __hle(T a, T b) { return a <= b; }                                          \
    static inline bool __hgt(T a, T b) { return a > b; }                                           \
    static inline bool __hge(T a, T b) { return a >= b; }                                          \
    static inline bool __hisnan(T a) { return a != a; }                                            \
    static inline T hexp(T a) { return exp(float(a)); }                                            \
    static inline T hlog(T a) { return log(float(a)); }                                            \
    static inline T hsqrt(T a) { return sqrt(double(float(a))); }                                  \
    static inline T hrsqrt(T a) { return 1 / sqrt(double(float(a))); }                             \
    static inline T hrcp(T a) { return 1 / double(float(a)); }                                     \
    static inline T2 __hadd2(T2 a, T2 b) { return a + b; }                                         \
    static inline T2 __hsub2(T2 a, T2 b) { return a - b; }                                         \
    static inline T2 __hmul2(T2 a, T2 b) { return a * b; }                                         \
    static inline T2 __hfma2(T2 a, T2 b, T2 c) { return {__hfma(a.x, b.x, c.x), __hfma(a.y, b.y, c.y)}; } \
    static inline float __low2float(T2 a) { return a.x; }                                          \
    static inline float __high2float(T2 a) { return a.y; }
