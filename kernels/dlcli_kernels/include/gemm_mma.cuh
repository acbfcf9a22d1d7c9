// The main loop of products on tensor cores by mma.sync (sm_80): out[m, n] = Σ_k A(m, k) · B(k, n) summed
// in float32, of float operands rounded to tf32 or of bfloat16 operands.
//
// A block makes BM × BN results, a warp WM × WN in pieces of 16 × 8. Strips of 64 bytes along k are copied
// by cp.async into STAGES buffers. Operands keep in shared memory the order that they have in memory, so
// that all copies are of 16 bytes where rows are aligned: [row][k] for a view along k, [k][row] otherwise,
// and `ldmatrix` (its transposing form, or for floats plain reads) makes fragments of either. Rows are
// padded to an odd number of 16-byte words, which puts the eight rows that an ldmatrix reads at once, and
// the 4 × 8 floats of a plain read, into different banks.
//
// With 64 × 64 results a warp reads 128 rows of 16 bytes for 32 (tf32) or 64 (bf16) KFLOP: 16 and 32 FLOP
// per byte of shared memory. Views are those of strips.cuh.
#pragma once
#include "mma.cuh"
#include "strips.cuh"

template <class E_, int BM_, int BN_, int WM_, int WN_, int STAGES_ = 3> struct MmaTiling {
    using E = E_;
    static constexpr int BM = BM_, BN = BN_, WM = WM_, WN = WN_, STAGES = STAGES_;
    static constexpr int BK = 64 / sizeof(E), STEP = 32 / sizeof(E), CHUNK = 16 / sizeof(E);
    static constexpr int THREADS = 32 * (BM / WM) * (BN / WN);
    static_assert(WM % 16 == 0 && WN % 16 == 0 && BM % WM == 0 && BN % WN == 0, "whole fragments");
};

// A strip of an operand in shared memory; SIZE in elements, a multiple of 16 bytes.
template <class T, class View, int EXTENT> struct MmaStrip {
    using E = typename T::E;
    static constexpr bool DEEP = View::DEEP;
    static constexpr int PITCH = DEEP ? T::BK + T::CHUNK : EXTENT + 8, SIZE = PITCH * (DEEP ? EXTENT : T::BK);
    using Copy = StripCopy<View, EXTENT, T::BK, T::THREADS, PITCH, DEEP, 32>;

    // Fragments of 16 rows from `row` by STEP of depth from `k`, as mma_tf32 and mma_bf16 take them:
    // OF_A, one of A; else two of B, rows row … row + 7 in f[0], f[1], the next eight in f[2], f[3].
    template <bool OF_A> static __device__ __forceinline__ void load(uint32_t (&f)[4], const E* strip, int row, int k) {
        int lane = threadIdx.x % 32;
        int high = OF_A ? lane / 8 % 2 : lane / 16, far = OF_A ? lane / 16 : lane / 8 % 2;
        if constexpr (DEEP) {
            ldmatrix<false>(f, strip + (row + lane % 8 + high * 8) * PITCH + k + far * T::CHUNK);
        } else if constexpr (sizeof(E) == 2) {
            ldmatrix<true>(f, strip + (k + lane % 8 + far * 8) * PITCH + row + high * 8);
        } else {
            const E* from = strip + (k + lane % 4) * PITCH + row + lane / 4;
#pragma unroll
            for (int i = 0; i < 4; i++) {
                int rows_on = OF_A ? i % 2 : i / 2, ks_on = OF_A ? i / 2 : i % 2;
                f[i] = __float_as_uint(from[ks_on * 4 * PITCH + rows_on * 8]);
            }
        }
        if constexpr (sizeof(E) == 4)
#pragma unroll
            for (int i = 0; i < 4; i++) f[i] = to_tf32(__uint_as_float(f[i]));
    }
};

// Bytes of dynamic shared memory.
template <class T, class A, class B> __device__ constexpr int mma_shared() {
    return T::STAGES * (MmaStrip<T, A, T::BM>::SIZE + MmaStrip<T, B, T::BN>::SIZE) * sizeof(typename T::E);
}

__device__ __forceinline__ void mma(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], float) {
    mma_tf32(d, a, b);
}
__device__ __forceinline__ void mma(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], bfloat16) {
    mma_bf16(d, a, b);
}

// acc += A · B over k_begin ≤ k < k_end, for the tile that begins at row m0 and column n0. k_begin is a
// multiple of BK; k_end is one too, or the end of the operands. acc[i][j] is piece (i, j) of the warp's
// results as mma.cuh lays it out. All threads of the block call it.
template <class T, class A, class B>
__device__ __forceinline__ void gemm_mma(float (&acc)[T::WM / 16][T::WN / 8][4], typename T::E* shared, const A& a,
                                         const B& b, int m0, int n0, int k_begin, int k_end) {
    using AStrip = MmaStrip<T, A, T::BM>;
    using BStrip = MmaStrip<T, B, T::BN>;
    constexpr int STAGE = AStrip::SIZE + BStrip::SIZE;
    typename AStrip::Copy copy_a(a, m0);
    typename BStrip::Copy copy_b(b, n0);
    int warp = threadIdx.x / 32, row = warp / (T::BN / T::WN) * T::WM, col = warp % (T::BN / T::WN) * T::WN;
    int strips = ceil_div(k_end - k_begin, T::BK);
    auto issue = [&](int strip) {  // an empty group beyond the last strip, so that all waits are alike
        if (strip < strips) {
            typename T::E* stage = shared + strip % T::STAGES * STAGE;
            copy_a.issue(stage, k_begin + strip * T::BK);
            copy_b.issue(stage + AStrip::SIZE, k_begin + strip * T::BK);
        }
        async_commit();
    };
#pragma unroll
    for (int strip = 0; strip < T::STAGES - 1; strip++) issue(strip);
    for (int strip = 0; strip < strips; strip++) {
        async_wait<T::STAGES - 2>();
        __syncthreads();  // the strip has arrived, and nobody reads the one that is overwritten next
        issue(strip + T::STAGES - 1);
        const typename T::E* stage = shared + strip % T::STAGES * STAGE;
#pragma unroll
        for (int k = 0; k < T::BK; k += T::STEP) {
            uint32_t rows[T::WM / 16][4], cols[T::WN / 8][2];
#pragma unroll
            for (int i = 0; i < T::WM / 16; i++) AStrip::template load<true>(rows[i], stage, row + i * 16, k);
#pragma unroll
            for (int j = 0; j < T::WN / 8; j += 2) {
                uint32_t two[4];
                BStrip::template load<false>(two, stage + AStrip::SIZE, col + j * 8, k);
                cols[j][0] = two[0], cols[j][1] = two[1], cols[j + 1][0] = two[2], cols[j + 1][1] = two[3];
            }
#pragma unroll
            for (int i = 0; i < T::WM / 16; i++)
#pragma unroll
                for (int j = 0; j < T::WN / 8; j++) mma(acc[i][j], rows[i], cols[j], typename T::E());
        }
    }
}

// Calls store(m, n, x, y) for every two neighbours in a row of the thread's results; m and n may lie beyond
// the edge. n is even; four lanes write a row's eight.
template <class T, class Store>
__device__ __forceinline__ void gemm_mma_each(const float (&acc)[T::WM / 16][T::WN / 8][4], int m0, int n0,
                                              Store store) {
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    int row = m0 + warp / (T::BN / T::WN) * T::WM + lane / 4, col = n0 + warp % (T::BN / T::WN) * T::WN + lane % 4 * 2;
#pragma unroll
    for (int i = 0; i < T::WM / 16; i++)
#pragma unroll
        for (int j = 0; j < T::WN / 8; j++)
#pragma unroll
            for (int half = 0; half < 2; half++)
                store(row + i * 16 + half * 8, col + j * 8, acc[i][j][2 * half], acc[i][j][2 * half + 1]);
}
