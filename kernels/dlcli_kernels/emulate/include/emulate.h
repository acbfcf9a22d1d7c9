// CUDA C++'s words, with collectives.h and arithmetic.h, for a kernel that is compiled by g++ and run on the CPU, one block at a time, each
// thread a fibre. Included before the kernel's own source.
#pragma once
#include <cmath>
#include <cstdio>
#include <cstring>
#include <type_traits>

#include "runtime.h"

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
#define __maxnreg__(...)
#define __nv_pure__
#define __align__(n) __attribute__((aligned(n)))

// --- vector types --------------------------------------------------------------------------------

#define DLCLI_VECTORS(type, name, alignment2, alignment4)                                          \
    struct name##1 { type x; };                                                                    \
    static inline name##1 make_##name##1(type x) { return {x}; }                                   \
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

namespace dlcli {
static inline uint3 to_uint3(Index i) { return {i.x, i.y, i.z}; }
static inline dim3 to_dim3(Index i) { return dim3(i.x, i.y, i.z); }
}  // namespace dlcli
#define threadIdx dlcli::to_uint3(dlcli_thread_index())
#define blockIdx dlcli::to_uint3(dlcli_block_index())
#define blockDim dlcli::to_dim3(dlcli_block_extent())
#define gridDim dlcli::to_dim3(dlcli_grid_extent())
constexpr int warpSize = 32;

#include "collectives.h"
#include "arithmetic.h"


// --- the kernels of a file, for whoever calls them -------------------------------------------------

namespace dlcli {

template <class T> constexpr int kind_of() {
    if (std::is_pointer<T>::value)
        return std::is_const<typename std::remove_pointer<T>::type>::value ? CONST_POINTER : POINTER;
    if (std::is_enum<T>::value) return SIGNED;  // as Python passes it, if it is an int
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
#define DLCLI_ENTRY(name, kernel, most_threads, restricted)                                        \
    {name, dlcli::Signature<decltype(&kernel)>::template call<&kernel>,                           \
     dlcli::Signature<decltype(&kernel)>::params, dlcli::Signature<decltype(&kernel)>::count,     \
     most_threads, restricted}
