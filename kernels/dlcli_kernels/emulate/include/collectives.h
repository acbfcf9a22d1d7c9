// Barriers, votes, shuffles and atomic operations: what CUDA's threads say to each other.
#pragma once

extern "C" int dlcli_block_count(const char* file, int line, int predicate);
// Where a call stands. Threads meet where they wait at the same line.
#define DLCLI_PLACE const char *file = __builtin_FILE(), int line = __builtin_LINE()
#define DLCLI_WORD static inline __attribute__((always_inline))

DLCLI_WORD void __syncthreads(DLCLI_PLACE) { dlcli_block_barrier(file, line); }
DLCLI_WORD int __syncthreads_count(int predicate, DLCLI_PLACE) { return dlcli_block_count(file, line, predicate); }
DLCLI_WORD int __syncthreads_or(int predicate, DLCLI_PLACE) { return dlcli_block_count(file, line, predicate) > 0; }
DLCLI_WORD int __syncthreads_and(int predicate, DLCLI_PLACE) {
    return dlcli_block_count(file, line, !predicate) == 0;
}
DLCLI_WORD void __syncwarp(unsigned mask = 0xffffffffu, DLCLI_PLACE) {
    dlcli_collective(mask, nullptr, 0, true, file, line);
}
DLCLI_WORD void __threadfence() { dlcli_fence(0); }
DLCLI_WORD void __threadfence_system() { dlcli_fence(0); }
DLCLI_WORD void __threadfence_block() { dlcli_fence(1); }
DLCLI_WORD void __nanosleep(unsigned) {}
DLCLI_WORD void __trap() { dlcli_fail("the kernel trapped"); }

namespace dlcli {

// The deposit of one lane in a collective's result.
template <class T> DLCLI_WORD T deposited(const unsigned char* all, int lane) {
    T value;
    __builtin_memcpy(&value, all + 64 * lane, sizeof value);
    return value;
}

enum Shuffle { TO, UP, DOWN, XOR };

template <class T>
DLCLI_WORD T shuffle(Shuffle how, unsigned mask, T value, int by, int width, const char* file, int line) {
    static_assert(sizeof(T) <= 8, "a shuffle moves 2, 4 or 8 bytes");
    const unsigned char* all = dlcli_collective(mask, &value, sizeof value, false, file, line);
    int lane = dlcli_lane_index(), first = lane & ~(width - 1), in = lane - first, from = in;
    if (how == TO) from = by & (width - 1);
    if (how == UP && in - by >= 0) from = in - by;
    if (how == DOWN && in + by < width) from = in + by;
    if (how == XOR && (in ^ by) < width) from = in ^ by;
    if (!(mask & dlcli_lanes() & 1u << (first + from)))
        dlcli_fail("a shuffle reads from a lane that is not in its mask, or does not exist");
    return deposited<T>(all, first + from);
}

DLCLI_WORD unsigned ballot(unsigned mask, int predicate, const char* file, int line) {
    int yes = predicate != 0;
    const unsigned char* all = dlcli_collective(mask, &yes, sizeof yes, false, file, line);
    unsigned votes = 0;
    for (unsigned left = mask & dlcli_lanes(); left; left &= left - 1)
        votes |= static_cast<unsigned>(deposited<int>(all, __builtin_ctz(left))) << __builtin_ctz(left);
    return votes;
}

template <class T, class F>
DLCLI_WORD T reduced(unsigned mask, T value, F of, const char* file, int line) {
    const unsigned char* all = dlcli_collective(mask, &value, sizeof value, false, file, line);
    unsigned left = mask & dlcli_lanes();
    T found = deposited<T>(all, __builtin_ctz(left));
    while (left &= left - 1) found = of(found, deposited<T>(all, __builtin_ctz(left)));
    return found;
}

}  // namespace dlcli

#define DLCLI_SHUFFLE(name, how, by)                                                               \
    template <class T> DLCLI_WORD T name(unsigned mask, T value, by, int width = 32, DLCLI_PLACE) { \
        return dlcli::shuffle(dlcli::how, mask, value, lane, width, file, line);                   \
    }
DLCLI_SHUFFLE(__shfl_sync, TO, int lane)
DLCLI_SHUFFLE(__shfl_up_sync, UP, unsigned lane)
DLCLI_SHUFFLE(__shfl_down_sync, DOWN, unsigned lane)
DLCLI_SHUFFLE(__shfl_xor_sync, XOR, int lane)
#undef DLCLI_SHUFFLE
#define DLCLI_REDUCE(name, expression)                                                             \
    template <class T> DLCLI_WORD T name(unsigned mask, T value, DLCLI_PLACE) {                    \
        static_assert(std::is_integral<T>::value && sizeof(T) == 4, "of int or unsigned");         \
        return dlcli::reduced(mask, value, [](T a, T b) -> T { return expression; }, file, line);  \
    }
DLCLI_REDUCE(__reduce_add_sync, a + b)
DLCLI_REDUCE(__reduce_min_sync, b < a ? b : a)
DLCLI_REDUCE(__reduce_max_sync, a < b ? b : a)
DLCLI_REDUCE(__reduce_and_sync, a & b)
DLCLI_REDUCE(__reduce_or_sync, a | b)
DLCLI_REDUCE(__reduce_xor_sync, a ^ b)
#undef DLCLI_REDUCE
DLCLI_WORD unsigned __ballot_sync(unsigned mask, int predicate, DLCLI_PLACE) {
    return dlcli::ballot(mask, predicate, file, line);
}
DLCLI_WORD int __any_sync(unsigned mask, int predicate, DLCLI_PLACE) {
    return dlcli::ballot(mask, predicate, file, line) != 0;
}
DLCLI_WORD int __all_sync(unsigned mask, int predicate, DLCLI_PLACE) {
    return dlcli::ballot(mask, !predicate, file, line) == 0;
}
template <class T> DLCLI_WORD unsigned __match_any_sync(unsigned mask, T value, DLCLI_PLACE) {
    const unsigned char* all = dlcli_collective(mask, &value, sizeof value, false, file, line);
    unsigned same = 0;
    for (unsigned left = mask & dlcli_lanes(); left; left &= left - 1)
        if (dlcli::deposited<T>(all, __builtin_ctz(left)) == value) same |= left & -left;
    return same;
}

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
DLCLI_ATOMIC_OF_TWO(atomicXor, old ^ value)
DLCLI_ATOMIC_OF_TWO(atomicInc, old >= value ? 0 : old + 1)
DLCLI_ATOMIC_OF_TWO(atomicDec, old == 0 || old > value ? value : old - 1)
DLCLI_ATOMIC(atomicCAS, old == compare ? value : old)
#undef DLCLI_ATOMIC_OF_TWO
#undef DLCLI_ATOMIC
template <class T> T atomicCAS(T* address, T compare, typename std::common_type<T>::type value) {
    dlcli_check_atomic(address, sizeof(T));
    return atomicCAS_now<T>(address, compare, value);
}
