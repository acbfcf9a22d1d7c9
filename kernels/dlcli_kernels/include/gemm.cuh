// The main loop of products in float32: out[m, n] = Σ_k A(m, k) · B(k, n), for matrices and for whatever
// can be read as one (the patches of a convolution).
//
// A block makes a tile of BM × BN results, a warp of it 4·TM × 8·TN, a thread TM × TN. Strips of A and B,
// BK deep, are copied into shared memory by cp.async while the strip before is multiplied. Both lie there
// with k as the slow axis: a thread reads four rows of an operand at once, and each FMA has its operands
// in registers. Rows of a strip are padded by four words, so that copies that transpose (8 values of k by
// 4 rows to a warp) go to 32 different banks.
//
// Per k a thread of 8 × 8 results reads 16 floats for 64 FMAs: 2 FLOP per byte of shared memory. The lanes
// of a warp stand in 2 × 2 squares, so that of four neighbours two ask for the same words of A and two
// for the same words of B, and a 128-bit read of a warp costs two cycles instead of four.
//
// Operands are views as strips.cuh says, of floats; a view along k is copied in units of one float.
#pragma once
#include "strips.cuh"

// SLICES: groups of warps that share a tile; each multiplies BK / SLICES of a strip's depth, and their sums
// are added at the end. A small tile so has enough warps to hide how long reads take.
template <int BM_, int BN_, int BK_, int TM_, int TN_, int STAGES_ = 2, int SLICES_ = 1> struct Tiling {
    static constexpr int BM = BM_, BN = BN_, BK = BK_, TM = TM_, TN = TN_, STAGES = STAGES_, SLICES = SLICES_;
    static constexpr int WM = 4 * TM, WN = 8 * TN, WARPS_N = BN / WN, SLICE_WARPS = BM / WM * WARPS_N;
    static constexpr int SLICE_THREADS = 32 * SLICE_WARPS, THREADS = SLICES * SLICE_THREADS;
    static constexpr int A_PITCH = BM + 4, B_PITCH = BN + 4, STAGE = BK * (A_PITCH + B_PITCH);
    static constexpr int SHARED = STAGES * STAGE;  // floats of shared memory, on a boundary of 16 bytes
    static_assert(BM % WM == 0 && BN % WN == 0 && BM % 32 == 0 && BN % 32 == 0, "whole warps, whole banks");
    static_assert(BK % 8 == 0 && TM % 4 == 0 && TN % 4 == 0, "128-bit reads, copies of 8 deep");
    static_assert(BK % SLICES == 0 && STAGES >= 2 && (SLICES == 1 || BM * BN <= SHARED), "room for a sum");
};

// Where a thread's results lie in the tile: rows row + i % 4 + i / 4 · 16, columns likewise by 32; and
// which slice of the depth it multiplies.
template <class T> struct Mine {
    int row, col, slice;
    __device__ __forceinline__ Mine() {
        int warp = threadIdx.x / 32 % T::SLICE_WARPS, lane = threadIdx.x % 32;
        slice = threadIdx.x / T::SLICE_THREADS;
        int lane_m = (lane >> 1 & 1) | lane >> 4 << 1, lane_n = (lane & 1) | (lane >> 2 & 3) << 1;
        row = warp / T::WARPS_N * T::WM + lane_m * 4;
        col = warp % T::WARPS_N * T::WN + lane_n * 4;
    }
};

template <int COUNT, int STEP> __device__ __forceinline__ void load_rows(float (&to)[COUNT], const float* from) {
#pragma unroll
    for (int i = 0; i < COUNT; i += 4) {
        float4 four = load4(from + i / 4 * STEP);
        to[i] = four.x, to[i + 1] = four.y, to[i + 2] = four.z, to[i + 3] = four.w;
    }
}

// Adds the slices' results to those of slice 0, in order. `shared` is free for it.
template <class T> __device__ __forceinline__ void add_slices(float (&acc)[T::TM][T::TN], float* shared, int slice) {
    float* mine = shared + threadIdx.x % T::SLICE_THREADS * 4;  // 128 bits of a thread, then the next one's
#pragma unroll 1
    for (int from = 1; from < T::SLICES; from++) {
        __syncthreads();
        if (slice == from) {
#pragma unroll
            for (int e = 0; e < T::TM * T::TN; e += 4) {
                const float* four = &acc[e / T::TN][e % T::TN];
                store4(mine + e * T::SLICE_THREADS, make_float4(four[0], four[1], four[2], four[3]));
            }
        }
        __syncthreads();
        if (slice == 0) {
#pragma unroll
            for (int e = 0; e < T::TM * T::TN; e += 4) {
                float4 four = load4(mine + e * T::SLICE_THREADS);
                float* to = &acc[e / T::TN][e % T::TN];
                to[0] += four.x, to[1] += four.y, to[2] += four.z, to[3] += four.w;
            }
        }
    }
}

// acc += A · B over k_begin ≤ k < k_end, for the tile that begins at row m0 and column n0. k_begin is a
// multiple of BK; k_end is one too, or the end of the operands. All threads of the block call it; they
// may use `shared` (T::SHARED floats) for something else after a barrier. With SLICES, the threads of
// slice 0 have the results (gemm_each lets the others do nothing).
template <class T, class A, class B>
__device__ __forceinline__ void gemm(float (&acc)[T::TM][T::TN], float* shared, const A& a, const B& b, int m0,
                                     int n0, int k_begin, int k_end) {
    StripCopy<A, T::BM, T::BK, T::THREADS, T::A_PITCH, false, 8> copy_a(a, m0);
    StripCopy<B, T::BN, T::BK, T::THREADS, T::B_PITCH, false, 8> copy_b(b, n0);
    constexpr int DEPTH = T::BK / T::SLICES;
    Mine<T> mine;
    int strips = ceil_div(k_end - k_begin, T::BK);
    auto issue = [&](int strip) {  // an empty group beyond the last strip, so that all waits are alike
        if (strip < strips) {
            float* stage = shared + strip % T::STAGES * T::STAGE;
            copy_a.issue(stage, k_begin + strip * T::BK);
            copy_b.issue(stage + T::BK * T::A_PITCH, k_begin + strip * T::BK);
        }
        async_commit();
    };
#pragma unroll
    for (int strip = 0; strip < T::STAGES - 1; strip++) issue(strip);
    for (int strip = 0; strip < strips; strip++) {
        async_wait<T::STAGES - 2>();
        __syncthreads();  // the strip has arrived, and nobody reads the one that is overwritten next
        issue(strip + T::STAGES - 1);
        const float* stage = shared + strip % T::STAGES * T::STAGE;
        const float* a_strip = stage + mine.slice * DEPTH * T::A_PITCH + mine.row;
        const float* b_strip = stage + T::BK * T::A_PITCH + mine.slice * DEPTH * T::B_PITCH + mine.col;
        float rows[2][T::TM], cols[2][T::TN];
        load_rows<T::TM, 16>(rows[0], a_strip);
        load_rows<T::TN, 32>(cols[0], b_strip);
#pragma unroll
        for (int k = 0; k < DEPTH; k++) {
            if (k + 1 < DEPTH) {  // the reads of the next k are under way during the FMAs of this one
                load_rows<T::TM, 16>(rows[(k + 1) % 2], a_strip + (k + 1) * T::A_PITCH);
                load_rows<T::TN, 32>(cols[(k + 1) % 2], b_strip + (k + 1) * T::B_PITCH);
            }
#pragma unroll
            for (int i = 0; i < T::TM; i++)
#pragma unroll
                for (int j = 0; j < T::TN; j++) acc[i][j] += rows[k % 2][i] * cols[k % 2][j];
        }
    }
    if (T::SLICES > 1) add_slices<T>(acc, shared, mine.slice);
}

// Calls store(m, n, float4) for every four neighbours in a row of the thread's results; m and n may lie
// beyond the edge. Eight lanes write 128 bytes in a row.
template <class T, class Store>
__device__ __forceinline__ void gemm_each(const float (&acc)[T::TM][T::TN], int m0, int n0, Store store) {
    Mine<T> mine;
    if (mine.slice) return;
#pragma unroll
    for (int i = 0; i < T::TM; i++)
#pragma unroll
        for (int j = 0; j < T::TN; j += 4)
            store(m0 + mine.row + i % 4 + i / 4 * 16, n0 + mine.col + j / 4 * 32,
                  make_float4(acc[i][j], acc[i][j + 1], acc[i][j + 2], acc[i][j + 3]));
}
