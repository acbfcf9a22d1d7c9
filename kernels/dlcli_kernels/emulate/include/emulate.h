// CUDA C++'s words for a kernel that is compiled by g++ and run on the CPU, one block at a time, each
// thread a fibre. Included before the kernel's own source.
#pragma once
#include <cmath>
#include <cstdio>
#include <cstring>
#include <type_traits>

#include "../runtime.h"

#define __global__ __attribute__((noipa, used))
#define __device__ inline
#define __host__
#define __forceinline__ __attribute__((always_inline))  // local arrays stay in registers: no checks of them
#define __noinline__ __attribute__((noinline))
#define __shared__ static  // uninitialised: in .bss, which holds nothing else
#define __constant__ static const
#define __grid_constant__
#define __launch_bounds__(...)
#define __cluster_dims__(...)
#define __align__(n) __attribute__((aligned(n)))

#define threadIdx dlcli_thread_index()
#define blockIdx dlcli_block_index()
#define blockDim dlcli_block_extent()
#define gridDim dlcli_grid_extent()
constexpr int warpSize = 32;

// --- vector types --------------------------------------------------------------------------------

#define DLCLI_VECTORS(type, name, alignment2, alignment4)                                          \
    struct alignas(alignment2) name##2 { type x, y; };                                             \
    struct name##3 { type x, y, z; };                                                              \
    struct alignas(alignment4) name##4 { type x, y, z, w; };                                       \
    static inline name##2 make_##name##2(type x, type y) { return {x, y}; }                        \
    static inline name##3 make_##name##3(type x, type y, type z) { return {x, y, z}; }             \
    static inline name##4 make_##name##4(type x, type y, type z, type w) { return {x, y, z, w}; }
DLCLI_VECTORS(char, char, 2, 4)
DLCLI_VECTORS(unsigned char, uchar, 2, 4)
DLCLI_VECTORS(short, short, 4, 8)
DLCLI_VECTORS(unsigned short, ushort, 4, 8)
DLCLI_VECTORS(int, int, 8, 16)
DLCLI_VECTORS(unsigned, uint, 8, 16)
DLCLI_VECTORS(float, float, 8, 16)
DLCLI_VECTORS(long long, longlong, 16, 16)
DLCLI_VECTORS(unsigned long long, ulonglong, 16, 16)
DLCLI_VECTORS(double, double, 16, 16)
#undef DLCLI_VECTORS
struct dim3 {
    unsigned x, y, z;
    dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

// --- barriers, votes and shuffles ----------------------------------------------------------------

#define __syncthreads() dlcli_block_barrier(__FILE__, __LINE__)
#define __syncwarp(...) dlcli::sync_warp(__FILE__, __LINE__, ##__VA_ARGS__)
#define __shfl_sync(mask, value, ...) dlcli::shuffle(dlcli::TO, __FILE__, __LINE__, mask, value, __VA_ARGS__)
#define __shfl_up_sync(mask, value, ...) dlcli::shuffle(dlcli::UP, __FILE__, __LINE__, mask, value, __VA_ARGS__)
#define __shfl_down_sync(mask, value, ...) dlcli::shuffle(dlcli::DOWN, __FILE__, __LINE__, mask, value, __VA_ARGS__)
#define __shfl_xor_sync(mask, value, ...) dlcli::shuffle(dlcli::XOR, __FILE__, __LINE__, mask, value, __VA_ARGS__)
#define __ballot_sync(mask, predicate) dlcli::ballot(__FILE__, __LINE__, mask, predicate)
#define __any_sync(mask, predicate) (dlcli::ballot(__FILE__, __LINE__, mask, predicate) != 0)
#define __all_sync(mask, predicate) (dlcli::ballot(__FILE__, __LINE__, mask, predicate) == (mask))
#define __syncthreads_or(predicate) (dlcli::block_count(__FILE__, __LINE__, predicate) > 0)
#define __syncthreads_count(predicate) dlcli::block_count(__FILE__, __LINE__, predicate)
#define __syncthreads_and(predicate) (dlcli::block_count(__FILE__, __LINE__, !(predicate)) == 0)
static inline void __threadfence() {}
static inline void __threadfence_block() {}
static inline void __trap() { dlcli_fail("the kernel trapped"); }

extern "C" int dlcli_block_count(const char* file, int line, int predicate);

namespace dlcli {

static inline void sync_warp(const char* file, int line, unsigned mask = 0xffffffffu) {
    dlcli_collective(mask, nullptr, 0, true, file, line);
}

static inline int block_count(const char* file, int line, int predicate) {
    return dlcli_block_count(file, line, predicate);
}

enum Shuffle { TO, UP, DOWN, XOR };

template <class T>
T shuffle(Shuffle how, const char* file, int line, unsigned mask, T value, int by, int width = 32) {
    const unsigned char* all = dlcli_collective(mask, &value, sizeof value, false, file, line);
    int lane = dlcli_lane_index(), first = lane & ~(width - 1), in = lane - first, from = in;
    if (how == TO) from = by & (width - 1);
    if (how == UP && in - by >= 0) from = in - by;
    if (how == DOWN && in + by < width) from = in + by;
    if (how == XOR && (in ^ by) < width) from = in ^ by;
    if (!(mask >> (first + from) & 1)) dlcli_fail("a shuffle reads from a lane that is not in its mask");
    T found;
    __builtin_memcpy(&found, all + 64 * (first + from), sizeof found);
    return found;
}

static inline unsigned ballot(const char* file, int line, unsigned mask, int predicate) {
    int yes = predicate != 0;
    const unsigned char* all = dlcli_collective(mask, &yes, sizeof yes, false, file, line);
    unsigned votes = 0;
    for (int lane = 0; lane < 32; lane++) {
        if (!(mask >> lane & 1)) continue;
        int vote;
        __builtin_memcpy(&vote, all + 64 * lane, sizeof vote);
        votes |= (unsigned)vote << lane;
    }
    return votes;
}

// The deposit of one lane in a collective's result.
template <class T>
T deposited(const unsigned char* all, int lane) {
    T value;
    __builtin_memcpy(&value, all + 64 * lane, sizeof value);
    return value;
}

}  // namespace dlcli

// --- atomic operations: fibres never interleave inside one -----------------------------------------

#define DLCLI_ATOMIC(name, expression)                                                             \
    template <class T>                                                                             \
    __attribute__((noinline, no_sanitize("thread"))) T name##_now(T* address, T compare, T value) { \
        T old = *address;                                                                          \
        *address = (expression);                                                                   \
        return old;                                                                                \
    }
#define DLCLI_ATOMIC_OF_TWO(name, expression)                                                      \
    DLCLI_ATOMIC(name, expression)                                                                 \
    template <class T> T name(T* address, typename std::common_type<T>::type value) {              \
        dlcli_check_atomic(address, sizeof(T));                                                    \
        return name##_now<T>(address, value, value);                                               \
    }
DLCLI_ATOMIC_OF_TWO(atomicAdd, old + value)
DLCLI_ATOMIC_OF_TWO(atomicSub, old - value)
DLCLI_ATOMIC_OF_TWO(atomicMax, old < value ? value : old)
DLCLI_ATOMIC_OF_TWO(atomicMin, value < old ? value : old)
DLCLI_ATOMIC_OF_TWO(atomicExch, value)
DLCLI_ATOMIC_OF_TWO(atomicOr, old | value)
DLCLI_ATOMIC_OF_TWO(atomicAnd, old & value)
DLCLI_ATOMIC(atomicCAS, old == compare ? value : old)
#undef DLCLI_ATOMIC_OF_TWO
#undef DLCLI_ATOMIC
template <class T> T atomicCAS(T* address, T compare, typename std::common_type<T>::type value) {
    dlcli_check_atomic(address, sizeof(T));
    return atomicCAS_now<T>(address, compare, value);
}

// --- arithmetic ------------------------------------------------------------------------------------

template <class T> T __ldg(const T* p) { return *p; }
template <class T> T __ldcs(const T* p) { return *p; }
template <class T> T __ldcg(const T* p) { return *p; }
template <class T> void __stcs(T* p, T v) { *p = v; }
template <class T> void __stcg(T* p, T v) { *p = v; }
template <class A, class B> typename std::common_type<A, B>::type min(A a, B b) {
    typename std::common_type<A, B>::type x = a, y = b;
    return y < x ? y : x;
}
template <class A, class B> typename std::common_type<A, B>::type max(A a, B b) {
    typename std::common_type<A, B>::type x = a, y = b;
    return x < y ? y : x;
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
static inline float __saturatef(float v) { return v < 0 ? 0.0f : v > 1 ? 1.0f : v; }
static inline long long clock64() { return 0; }
using std::isfinite;
using std::isinf;
using std::isnan;

// --- the kernels of a file, for whoever calls them -------------------------------------------------

namespace dlcli {

template <class T> constexpr int kind_of() {
    if (std::is_pointer<T>::value)
        return std::is_const<typename std::remove_pointer<T>::type>::value ? CONST_POINTER : POINTER;
    if (std::is_floating_point<T>::value) return FLOATING;
    if (!std::is_integral<T>::value) return OTHER;
    return std::is_signed<T>::value ? SIGNED : UNSIGNED;
}
template <class T> constexpr int size_of() { return sizeof(T); }
template <> constexpr int size_of<void>() { return 0; }

template <class T> constexpr Param param_of() {
    using To = typename std::remove_cv<typename std::remove_pointer<T>::type>::type;
    return {kind_of<T>(), sizeof(T), kind_of<To>(), size_of<To>()};
}

template <class F> struct Signature;
template <class... P> struct Signature<void (*)(P...)> {
    static constexpr int count = sizeof...(P);
    static constexpr Param params[sizeof...(P) + 1] = {param_of<P>()..., {}};

    template <void (*kernel)(P...), int... I>
    static void spread(void** args, std::integer_sequence<int, I...>) {
        kernel(*static_cast<typename std::remove_cv<P>::type*>(args[I])...);
    }
    template <void (*kernel)(P...)> static void call(void** args) {
        spread<kernel>(args, std::make_integer_sequence<int, sizeof...(P)>{});
    }
};

}  // namespace dlcli
#define SHOWN extern "C" __attribute__((visibility("default")))
#define DLCLI_ENTRY(kernel)                                                                        \
    {#kernel, dlcli::Signature<decltype(&kernel)>::template call<&kernel>,                        \
     dlcli::Signature<decltype(&kernel)>::params, dlcli::Signature<decltype(&kernel)>::count}
