// Rows of a matrix, each by a team of threads that meets in reductions: softmax and what is made of it.
//
// A team is 1, 2, 4 … 32 lanes of a warp, or a whole block. Each thread holds ITEMS elements of each operand
// in registers, so that a row is read from memory once, whatever is computed from it; 16 of them are 64
// bytes on their way per thread, at 1,024 threads more than the latency of memory times one multiprocessor's
// share of the bandwidth. Rows of up to 32 elements are dealt with four per team at a time, for the same
// reason. ITEMS 0: the row is too long, and is read again for each pass, from the L2 cache mostly.
//
// VEC 4: 128-bit accesses; the length of a row is then a multiple of four. An algorithm is written once, as
// passes of `each` and `write` over a row.
#pragma once
#include "reduce.cuh"

#ifndef ITEMS
#define ITEMS 4
#endif
#ifndef VEC
#define VEC 1
#endif

constexpr int HELD = ITEMS > 0 ? ITEMS : 1;
constexpr int ROWS_AT_ONCE = ITEMS == 1 ? 4 : 1;  // per team
static_assert(HELD % VEC == 0 && (ITEMS > 0 || VEC == 1), "whole vectors in registers");

// A team's place on one row of `count` elements; none where the row is beyond the last.
struct Team {
    int rank, size, count;

    // f(i, j) for each of this thread's elements: j is its column, i its register.
    template <class F> __device__ __forceinline__ void each(F f) const {
        if constexpr (ITEMS == 0) {
            for (int j = rank; j < count; j += size) f(0, j);
        } else {
#pragma unroll
            for (int i = 0; i < ITEMS; i += VEC) {
                int j = i * size + rank * VEC;
                if (j >= count) continue;
#pragma unroll
                for (int e = 0; e < VEC; e++) f(i + e, j + e);
            }
        }
    }

    // out[j] = f(i, j)
    template <class F> __device__ __forceinline__ void write(float* __restrict__ out, F f) const {
        if constexpr (VEC == 1) {
            each([&](int i, int j) { out[j] = f(i, j); });
        } else {
#pragma unroll
            for (int i = 0; i < ITEMS; i += 4) {
                int j = i * size + rank * 4;
                if (j >= count) continue;
                store4(out + j, make_float4(f(i, j), f(i + 1, j + 1), f(i + 2, j + 2), f(i + 3, j + 3)));
            }
        }
    }

    // Over all threads of the team, in all of them. Every thread of the block must call it.
    template <class Op, class T> __device__ __forceinline__ T reduce(T v) const { return team_reduce<Op>(v, size); }
};

// A row of one operand: f(i, j) is its element in column j.
struct Row {
    const float* from;
    float held[HELD];

    __device__ __forceinline__ void load(const float* row, const Team& team) {
        from = row;
        if constexpr (VEC == 4) {
#pragma unroll
            for (int i = 0; i < ITEMS; i += 4) {
                int j = i * team.size + team.rank * 4;
                if (j >= team.count) continue;
                float4 v = load4(row + j);
                held[i] = v.x, held[i + 1] = v.y, held[i + 2] = v.z, held[i + 3] = v.w;
            }
        } else if constexpr (ITEMS > 0) {
            team.each([&](int i, int j) { held[i] = row[j]; });
        }
    }
    __device__ __forceinline__ float operator()(int i, int j) const { return ITEMS > 0 ? held[i] : from[j]; }
};

// Runs `f(team, row, operands)` for every row of matrices (rows, columns): Row operands[COUNT], loaded before
// the first of a team's rows is begun. `row` may be beyond the last: the team's count is 0 then.
// team_size: threads of a row, the block's or a power of two up to 32.
template <int COUNT, class F>
__device__ __forceinline__ void for_rows(const float* const (&matrices)[COUNT], int rows, int columns, int team_size,
                                         F f) {
    int teams = blockDim.x / team_size, rank = threadIdx.x % team_size, team = threadIdx.x / team_size;
    int first = blockIdx.x * teams * ROWS_AT_ONCE + team;
    Row operands[ROWS_AT_ONCE][COUNT];
#pragma unroll
    for (int u = 0; u < ROWS_AT_ONCE; u++) {
        int row = first + u * teams;
        Team mine = {rank, team_size, row < rows ? columns : 0};
#pragma unroll
        for (int o = 0; o < COUNT; o++) operands[u][o].load(matrices[o] + (size_t)row * columns, mine);
    }
#pragma unroll
    for (int u = 0; u < ROWS_AT_ONCE; u++) {
        int row = first + u * teams;
        f(Team{rank, team_size, row < rows ? columns : 0}, row, operands[u]);
    }
}

// The largest element of a row, NaN if there is one.
__device__ __forceinline__ float largest(const Team& team, const Row& x) {
    float top = Max::none();
    team.each([&](int i, int j) { top = Max::of(top, x(i, j)); });
    return team.reduce<Max>(top);
}

// Σ exp(x − top) of a row.
__device__ __forceinline__ float exponentials(const Team& team, const Row& x, float top) {
    float total = 0;
    team.each([&](int i, int j) { total += expf(x(i, j) - top); });
    return team.reduce<Sum>(total);
}

// Σ f(i, j) over a row, in double precision.
template <class F> __device__ __forceinline__ double total(const Team& team, F f) {
    double sum = 0;
    team.each([&](int i, int j) { sum += f(i, j); });
    return team.reduce<Sum>(sum);
}
