// How the operands of a product get into shared memory: views of them, and copies of strips, BK deep.
//
// An operand is a *view*, a small struct passed by value, of rows (an m of A, an n of B) by depths (a k):
//
//     static constexpr bool DEEP;    // neighbours in memory lie along k, else along the rows
//     static constexpr int WIDTH;    // neighbours that are copied at once: 16 bytes of them, or 1
//     struct Row;                    // what is known of a row
//     struct Depth;                  // what is known of a k
//     Row row(int r) const;          // r may be outside. Called once per row of a thread
//     Depth depth(int k) const;      // k may be outside. Called a few times per strip
//     Place at(Row, Depth) const;    // where element (r, k) lies, and with it its WIDTH - 1 neighbours,
//                                    // and whether they are inside: what is not counts as zero. All of
//                                    // them are inside or none
//
// A thread has the same rows in all strips: what is dear to compute belongs into `Row`. WIDTH above 1
// needs addresses on boundaries of 16 bytes.
#pragma once
#include "bfloat16.cuh"
#include "dlcli.cuh"

template <class E> struct PlaceOf {
    const E* from;  // any address where `inside` is false
    bool inside;
};
using Place = PlaceOf<float>;

// Element (r, k) at data[r · depths + k]: A as (M, K), B as (N, K). depths % WIDTH == 0.
template <class E, int WIDTH_> struct DeepMatrix {
    static constexpr bool DEEP = true;
    static constexpr int WIDTH = WIDTH_;
    struct Row { const E* begin; bool inside; };
    using Depth = int;
    const E* data;
    int rows, depths;
    __device__ __forceinline__ Row row(int r) const { return {data + (size_t)r * depths, r < rows}; }
    __device__ __forceinline__ Depth depth(int k) const { return k; }
    __device__ __forceinline__ PlaceOf<E> at(const Row& r, Depth k) const {
        return {r.begin + k, r.inside && k < depths};
    }
};

// Element (r, k) at data[k · rows + r]: A as (K, M), B as (K, N). rows % WIDTH == 0.
template <class E, int WIDTH_> struct WideMatrix {
    static constexpr bool DEEP = false;
    static constexpr int WIDTH = WIDTH_;
    struct Row { int r; };
    using Depth = int;
    const E* data;
    int rows, depths;
    __device__ __forceinline__ Row row(int r) const { return {r}; }
    __device__ __forceinline__ Depth depth(int k) const { return k; }
    __device__ __forceinline__ PlaceOf<E> at(Row r, Depth k) const {
        return {data + (size_t)k * rows + r.r, r.r < rows && k < depths};
    }
};

template <bool DEEP, class E, int WIDTH> struct MatrixOf { using type = WideMatrix<E, WIDTH>; };
template <class E, int WIDTH> struct MatrixOf<true, E, WIDTH> { using type = DeepMatrix<E, WIDTH>; };

__device__ constexpr int smaller(int a, int b) { return a < b ? a : b; }
__device__ constexpr int larger(int a, int b) { return a > b ? a : b; }

// Copies neighbours, or zeros where they are not inside: later (cp.async), or at once where they are less
// than the 4 bytes that cp.async moves at least.
template <int WIDTH, class E> __device__ __forceinline__ void copy_piece(E* to, const E* from, bool inside) {
    if constexpr (WIDTH * sizeof(E) >= 4)
        async_copy_if<WIDTH * sizeof(E)>(to, from, inside);
    else
        *to = inside ? *from : E{};
}

// A thread's share of copying strips of EXTENT rows by BK. In shared memory element (r, k) lies at
// r · PITCH + k (ROW_MAJOR) or k · PITCH + r. K_THREADS neighbouring threads copy along k where memory
// lies so; otherwise neighbours copy along the rows.
template <class View, int EXTENT, int BK, int THREADS, int PITCH, bool ROW_MAJOR, int DEEP_THREADS>
struct StripCopy {
    static constexpr bool DEEP = View::DEEP;
    static constexpr int ALONG_K = DEEP ? View::WIDTH : 1, ALONG_ROWS = DEEP ? 1 : View::WIDTH;
    static constexpr int K_PIECES = BK / ALONG_K, ROW_PIECES = EXTENT / ALONG_ROWS;
    static constexpr int K_THREADS =
        DEEP ? smaller(DEEP_THREADS, K_PIECES) : smaller(K_PIECES, larger(1, THREADS / ROW_PIECES));
    static constexpr int ROW_THREADS = smaller(ROW_PIECES, THREADS / K_THREADS);
    static constexpr int USED = K_THREADS * ROW_THREADS;
    static constexpr int ROWS = ROW_PIECES / ROW_THREADS, DEPTHS = K_PIECES / K_THREADS;
    static_assert(ROWS * ROW_THREADS == ROW_PIECES && DEPTHS * K_THREADS == K_PIECES, "an even share");
    static_assert(View::WIDTH == 1 || DEEP == ROW_MAJOR, "neighbours stay neighbours");

    View view;
    typename View::Row rows[ROWS];
    int first_k, first_row;

    __device__ __forceinline__ StripCopy(const View& of, int begin) : view(of) {
        int t = threadIdx.x;
        first_k = ALONG_K * (DEEP ? t % K_THREADS : t / ROW_THREADS);
        first_row = ALONG_ROWS * (DEEP ? t / K_THREADS : t % ROW_THREADS);
#pragma unroll
        for (int i = 0; i < ROWS; i++) rows[i] = view.row(begin + first_row + i * ROW_THREADS * ALONG_ROWS);
    }

    // Starts copying the strip that begins at k.
    template <class E> __device__ __forceinline__ void issue(E* strip, int k) const {
        if (USED < THREADS && threadIdx.x >= USED) return;
#pragma unroll
        for (int j = 0; j < DEPTHS; j++) {
            int in_strip = first_k + j * K_THREADS * ALONG_K;
            typename View::Depth depth = view.depth(k + in_strip);
#pragma unroll
            for (int i = 0; i < ROWS; i++) {
                int row = first_row + i * ROW_THREADS * ALONG_ROWS;
                auto place = view.at(rows[i], depth);
                E* to = strip + (ROW_MAJOR ? row * PITCH + in_strip : in_strip * PITCH + row);
                copy_piece<View::WIDTH>(to, place.from, place.inside);
            }
        }
    }
};

// The tile of a block, in an order that keeps operands in L2: columns of tiles within groups of `GROUP`
// rows of tiles, so that blocks that run together share few strips of A and of B.
template <int GROUP = 8> __device__ __forceinline__ int2 grouped_tile(int block, int tiles_m, int tiles_n) {
    int first = block / (GROUP * tiles_n) * GROUP, rows = min(GROUP, tiles_m - first);
    int in_group = block - first * tiles_n;
    return make_int2(first + in_group % rows, in_group / rows);
}
