// Two sums of each column of a (rows, columns) matrix, in float64 and in a fixed order, without atomics.
//
// A block of 256 threads takes a tile of `across` · W columns (at most 32: one line of memory) and every
// so many rows; blockIdx.x counts tiles, blockIdx.y chunks of rows. A chunk's sums are added in a tree in
// shared memory; the chunks' by a second kernel, unless there is one alone. Reading is all the cost: 8 rows
// or more per thread keep the loads of several in flight.
//
// float64: 1,000 squares of values whose mean is 1,000 times their deviation leave no digit of a float32
// variance, and ten of a float64 one, so that one pass is enough.
#pragma once
#include "wide.cuh"

constexpr int COLUMN_THREADS = 256;

// Where a thread stands. across: threads side by side, a power of two.
template <int W> struct Column {
    int first, row, down, step;  // its first column and row; rows of a turn of the block, and of the grid
    __device__ __forceinline__ explicit Column(int across) {
        first = (blockIdx.x * across + (threadIdx.x & (across - 1))) * W;
        down = COLUMN_THREADS / across;
        row = blockIdx.y * down + threadIdx.x / across;
        step = gridDim.y * down;
    }
};

// Adds up `f.add(row, column, sums, others)` and calls `f.finish(column, sum, other)` with each total, or,
// where there are several chunks, leaves their sums in `chunks` (gridDim.y, 2, columns) for `add_chunks`.
template <int W, class F>
__device__ __forceinline__ void column_sums(F f, double* chunks, int rows, int columns, int across) {
    __shared__ double shared[2 * W][COLUMN_THREADS];
    Column<W> at(across);
    double sums[W] = {}, others[W] = {};
    if (at.first < columns) {
        f.begin(at.first);
#pragma unroll 4
        for (int row = at.row; row < rows; row += at.step) f.add(row, at.first, sums, others);
    }
#pragma unroll
    for (int j = 0; j < W; j++) {
        shared[j][threadIdx.x] = sums[j];
        shared[W + j][threadIdx.x] = others[j];
    }
    for (int half = COLUMN_THREADS / 2; half >= across; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) {
#pragma unroll
            for (int j = 0; j < 2 * W; j++) shared[j][threadIdx.x] += shared[j][threadIdx.x + half];
        }
    }
    if (threadIdx.x >= across || at.first >= columns) return;
#pragma unroll
    for (int j = 0; j < W; j++) {  // what this thread wrote itself last
        double sum = shared[j][threadIdx.x], other = shared[W + j][threadIdx.x];
        if (gridDim.y == 1) {
            f.finish(at.first + j, sum, other);
        } else {
            double* to = chunks + (size_t)blockIdx.y * 2 * columns + at.first + j;
            to[0] = sum, to[columns] = other;
        }
    }
}

// The totals over `count` chunks: a block of 256 threads for 32 columns, eight threads to a column.
template <class F> __device__ __forceinline__ void add_chunks(F f, const double* chunks, int count, int columns) {
    __shared__ double shared[2][COLUMN_THREADS];
    int lane = threadIdx.x % 32, column = blockIdx.x * 32 + lane;
    double sum = 0, other = 0;
    if (column < columns) {
#pragma unroll 4
        for (int i = threadIdx.x / 32; i < count; i += COLUMN_THREADS / 32) {
            const double* from = chunks + (size_t)i * 2 * columns + column;
            sum += from[0], other += from[columns];
        }
    }
    shared[0][threadIdx.x] = sum, shared[1][threadIdx.x] = other;
    __syncthreads();
    if (threadIdx.x >= 32 || column >= columns) return;
    for (int i = 1; i < COLUMN_THREADS / 32; i++)
        sum += shared[0][i * 32 + lane], other += shared[1][i * 32 + lane];
    f.finish(column, sum, other);
}
