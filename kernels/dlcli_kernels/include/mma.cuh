// Tensor cores by mma.sync (sm_80): the instruction on the GPU, its exchange of lanes in the emulator.
//
// Fragments lie in registers as the PTX manual says ("Matrix Fragments for mma.m16n8k8" and ".m16n8k16").
// With g = lane / 4 and t = lane % 4, for d (16×8): d[0], d[1] are row g, columns 2t and 2t+1; d[2], d[3]
// row g + 8.
#pragma once
#include "bfloat16.cuh"
#include "dlcli.cuh"

#ifdef DLCLI_EMULATE
// What a lane adds to its four results: from the six registers that each lane deposited. FLOATS: to a
// register, 1 (tf32) or 2 (bfloat16). Not checked: the deposits are nobody's memory.
struct MmaSums { float of[4]; };
template <int FLOATS>
__attribute__((noinline, no_sanitize("thread"))) MmaSums mma_sums(const unsigned char* all, int lane) {
    MmaSums sums{};
    for (int e = 0; e < 4; e++) {
        int row = lane / 4 + e / 2 * 8, col = lane % 4 * 2 + e % 2;
        for (int k = 0; k < 8; k++) {
            uint32_t x, y;
            __builtin_memcpy(&x, all + 64 * (row % 8 * 4 + k % 4) + 4 * (row / 8 + k / 4 * 2), 4);
            __builtin_memcpy(&y, all + 64 * (col * 4 + k % 4) + 4 * (4 + k / 4), 4);
            if (FLOATS == 1) {
                sums.of[e] += __uint_as_float(x & ~0x1fffu) * __uint_as_float(y & ~0x1fffu);  // the rest is ignored
            } else {
                sums.of[e] += __uint_as_float(x << 16) * __uint_as_float(y << 16);
                sums.of[e] += __uint_as_float(x & 0xffff0000u) * __uint_as_float(y & 0xffff0000u);
            }
        }
    }
    return sums;
}
#endif

// A float rounded to the 10 bits of mantissa that tf32 has (nearest, ties away from zero).
__device__ __forceinline__ uint32_t to_tf32(float v) {
#ifdef DLCLI_EMULATE
    uint32_t bits = __float_as_uint(v);
    if ((bits & 0x7fffffff) > 0x7f800000) return 0x7fffffff;  // NaN
    return (bits & 0x7f800000) == 0x7f800000 ? bits : (bits + 0x1000) & ~0x1fffu;
#else
    uint32_t bits;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(v));
    return bits;
#endif
}

// d += a · b with a 16×8 and b 8×8 of tf32. a[0] (g, t), a[1] (g+8, t), a[2] (g, t+4), a[3] (g+8, t+4);
// b[0] (t, g), b[1] (t+4, g).
__device__ __forceinline__ void mma_tf32(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
#ifdef DLCLI_EMULATE
    uint32_t mine[6] = {a[0], a[1], a[2], a[3], b[0], b[1]};
    const unsigned char* all = dlcli_collective(0xffffffffu, mine, sizeof mine, false, __FILE__, __LINE__);
    MmaSums sums = mma_sums<1>(all, dlcli_lane_index());
    for (int e = 0; e < 4; e++) d[e] += sums.of[e];
#else
    asm volatile(
        "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}

// d += a · b with a 16×16 and b 16×8 of bfloat16, two to a register, the lower column (row of b) in the
// lower half. a[0] (g, 2t), a[1] (g+8, 2t), a[2] (g, 2t+8), a[3] (g+8, 2t+8); b[0] (2t, g), b[1] (2t+8, g).
__device__ __forceinline__ void mma_bf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
#ifdef DLCLI_EMULATE
    uint32_t mine[6] = {a[0], a[1], a[2], a[3], b[0], b[1]};
    const unsigned char* all = dlcli_collective(0xffffffffu, mine, sizeof mine, false, __FILE__, __LINE__);
    MmaSums sums = mma_sums<2>(all, dlcli_lane_index());
    for (int e = 0; e < 4; e++) d[e] += sums.of[e];
#else
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
        "{%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}

// Four 8×8 matrices of 16-bit elements from shared memory: lane i gives the address of row i % 8 of matrix
// i / 8 (16 bytes, aligned); out[m] holds columns 2t and 2t+1 of row g of matrix m, or of its transpose.
template <bool TRANSPOSED> __device__ __forceinline__ void ldmatrix(uint32_t (&out)[4], const void* row) {
#ifdef DLCLI_EMULATE
    if (reinterpret_cast<uintptr_t>(row) % 16) dlcli_fail("ldmatrix: a row's address is not aligned to 16 bytes");
    if (!dlcli_is_shared(row)) dlcli_fail("ldmatrix: a row that is not in shared memory");
    const unsigned char* all = dlcli_collective(0xffffffffu, &row, sizeof row, false, __FILE__, __LINE__);
    int g = dlcli_lane_index() / 4, t = dlcli_lane_index() % 4;
    for (int m = 0; m < 4; m++) {
        uint16_t half[2];
        for (int i = 0; i < 2; i++) {
            int r = TRANSPOSED ? 2 * t + i : g, c = TRANSPOSED ? g : 2 * t + i;
            const uint16_t* from;
            __builtin_memcpy(&from, all + 64 * (m * 8 + r), sizeof from);
            half[i] = from[c];
        }
        out[m] = half[0] | static_cast<uint32_t>(half[1]) << 16;
    }
#else
    uint32_t address = static_cast<uint32_t>(__cvta_generic_to_shared(row));
    if (TRANSPOSED)
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                     : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
                     : "r"(address)
                     : "memory");
    else
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                     : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
                     : "r"(address)
                     : "memory");
#endif
}
