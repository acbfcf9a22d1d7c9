// Products of a warpgroup (128 threads) straight from shared memory: wgmma (sm_90a), PTX on the GPU, the
// emulator's model otherwise.
//
// Operands lie in rows of 128 bytes as tma_load with a swizzle of 128 bytes writes them: 16-byte word w of
// row i at place w ^ (i % 8). Either 64 values of k to a row of the operand (along k), or 64 rows of the
// operand to a k. PTX manual: "Shared Memory Matrix Layout", "Matrix Descriptor".
#pragma once
#include "tma.cuh"

constexpr int SWIZZLE_ROW = 128, SWIZZLE_GROUP = 8 * SWIZZLE_ROW;  // bytes

// Describes an operand that begins at `begin`. Groups of eight rows follow each other. `far`: bytes from one
// piece of 64 rows of the operand to the next, where k is not contiguous.
__device__ __forceinline__ uint64_t wgmma_operand(const void* begin, int far) {
    uint64_t address = shared_address(begin) >> 4;
    return address | static_cast<uint64_t>(far >> 4) << 16 | static_cast<uint64_t>(SWIZZLE_GROUP >> 4) << 32 |
           1ull << 62;
}

#ifdef DLCLI_EMULATE
__device__ __forceinline__ void wgmma_fence() {}
__device__ __forceinline__ void wgmma_commit() { dlcli_wgmma_commit(); }
template <int GROUPS_LEFT> __device__ __forceinline__ void wgmma_wait() {
    dlcli_wgmma_wait(GROUPS_LEFT);
    dlcli_collective(0xffffffffu, nullptr, 0, false, __FILE__, __LINE__);  // a warp waits as one
}
template <bool A_ALONG_K, bool B_ALONG_K>
__device__ __forceinline__ void wgmma(float (&d)[64], uint64_t a, uint64_t b, bool add) {
    dlcli_wgmma(d, a, b, A_ALONG_K, B_ALONG_K, add);
}
#else
// Before the first wgmma, and where registers that it adds to were used otherwise.
__device__ __forceinline__ void wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ __forceinline__ void wgmma_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
// All but the last groups are complete: results may be read, operands overwritten.
template <int GROUPS_LEFT> __device__ __forceinline__ void wgmma_wait() {
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(GROUPS_LEFT) : "memory");
}

#define DLCLI_FOUR(i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3])
#define DLCLI_SIXTEEN(i) DLCLI_FOUR(i), DLCLI_FOUR(i + 4), DLCLI_FOUR(i + 8), DLCLI_FOUR(i + 12)

// d = a · b (+ d where `add`), 64 × 16 by 16 × 128 of bfloat16, started. Lane 4·g + t of warp w has in
// d[4j … 4j + 3]: row 16w + g, columns 8j + 2t and 8j + 2t + 1; the same of row 16w + g + 8.
template <bool A_ALONG_K, bool B_ALONG_K>
__device__ __forceinline__ void wgmma(float (&d)[64], uint64_t a, uint64_t b, bool add) {
    asm volatile(
        "{\n.reg .pred p;\nsetp.ne.b32 p, %66, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 "
        "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
        "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
        "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
        "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, "
        "%64, %65, p, 1, 1, %67, %68;\n}"
        : DLCLI_SIXTEEN(0), DLCLI_SIXTEEN(16), DLCLI_SIXTEEN(32), DLCLI_SIXTEEN(48)
        : "l"(a), "l"(b), "r"(static_cast<int>(add)), "n"(A_ALONG_K ? 0 : 1), "n"(B_ALONG_K ? 0 : 1));
}
#undef DLCLI_SIXTEEN
#undef DLCLI_FOUR
#endif
