// Tiles of attention in float32 on CUDA cores: a block owns OWN rows of a head (queries, or keys), and goes
// along the rows of the other side OTHERS at a time.
//
// 128 threads in 8 groups of 16 lanes. A group has ROWS of the block's own rows; of a tile of scores a lane
// has others lane, lane + 16 …, of a result features in runs of RUN. Both products read shared memory in 128
// bits along the axis that is summed: `dots` 4 · (ROWS + J) floats for 4 · ROWS · J FMAs (ROWS 8, J 4: 1.5
// bytes per FMA, of which a group's own rows are one broadcast), `weigh` likewise. Rows are padded by four
// words, so that eight lanes reading eight rows touch 32 banks. Weights pass between the lanes of a group
// through shared memory, which needs no more than the warp's barrier.
//
// Both loops are left rolled: a turn is 128 FMAs of a thread already, and two turns at once need more registers
// than three blocks to a multiprocessor leave.
//
// Compiled per D (features of a head at most: 32, 64 or 128; missing ones are zeros), ROWS and OTHERS. Global
// memory is accessed in 128 bits where d is a multiple of four, so that every row lies on a boundary of them.
#pragma once
#include "reduce.cuh"

#ifndef D
#define D 64
#endif
#ifndef ROWS
#define ROWS 8
#endif
#ifndef OTHERS
#define OTHERS 64
#endif

constexpr int THREADS = 128, LANES = 16, GROUPS = THREADS / LANES, OWN = GROUPS * ROWS, J = OTHERS / LANES;
constexpr int PITCH = D + 4, W_PITCH = OTHERS + 4;  // of rows of features, of rows of weights
constexpr int RUN = D < 64 ? D / LANES : 4, FEATURES = D / LANES;  // a lane's neighbouring features; all of them
constexpr int OWN_TILE = OWN * PITCH, OTHER_TILE = OTHERS * PITCH, W_TILE = OWN * W_PITCH;  // floats
static_assert(D % 32 == 0 && (D <= 64 || D % 64 == 0) && OTHERS % LANES == 0, "whole runs and lanes");

// One head of an array (N, rows, heads, d): its first element, elements from row to row, rows.
struct Head {
    const float* from;
    int ld, rows;
    __device__ __forceinline__ Head(const float* array, int n, int h, int rows, int heads, int d)
        : from(array + ((size_t)n * rows * heads + h) * d), ld(heads * d), rows(rows) {}
};

template <int COUNT, int WIDTH> __device__ __forceinline__ void copy_units(float* to, const Head& head, int first, int d) {
    constexpr int UNITS = D / WIDTH;
    for (int i = threadIdx.x; i < COUNT * UNITS; i += THREADS) {
        int row = i / UNITS, c = i % UNITS * WIDTH;
        bool inside = first + row < head.rows && c < d;
        const float* from = inside ? head.from + (size_t)(first + row) * head.ld + c : head.from;
        async_copy_if<4 * WIDTH>(to + row * PITCH + c, from, inside);
    }
}

// Copies COUNT rows from `first` on to shared memory, asynchronously; zeros beyond the last row and beyond d.
template <int COUNT> __device__ __forceinline__ void copy_rows(float* to, const Head& head, int first, int d) {
    if (d % 4 == 0)
        copy_units<COUNT, 4>(to, head, first, d);
    else
        copy_units<COUNT, 1>(to, head, first, d);
}

__device__ __forceinline__ float dot(float4 a, float4 b, float sum) {
    return fmaf(a.w, b.w, fmaf(a.z, b.z, fmaf(a.y, b.y, fmaf(a.x, b.x, sum))));
}

// out[i][j] = Σ over features of own row i and other row lane + 16 j. `own` begins with the group's rows.
__device__ __forceinline__ void dots(float (&out)[ROWS][J], const float* own, const float* others, int lane, int d) {
#pragma unroll
    for (int i = 0; i < ROWS; i++)
#pragma unroll
        for (int j = 0; j < J; j++) out[i][j] = 0;
#pragma unroll 1
    for (int c = 0; c < d; c += 4) {
        float4 row[ROWS];
#pragma unroll
        for (int i = 0; i < ROWS; i++) row[i] = load4(own + i * PITCH + c);
#pragma unroll
        for (int j = 0; j < J; j++) {
            float4 other = load4(others + (lane + j * LANES) * PITCH + c);
#pragma unroll
            for (int i = 0; i < ROWS; i++) out[i][j] = dot(row[i], other, out[i][j]);
        }
    }
}

// Passes the weights on to the lanes of the group.
__device__ __forceinline__ void put_weights(float* w, const float (&p)[ROWS][J], int lane) {
    __syncwarp();  // those of the tile before have been read
#pragma unroll
    for (int i = 0; i < ROWS; i++)
#pragma unroll
        for (int j = 0; j < J; j++) w[i * W_PITCH + lane + j * LANES] = p[i][j];
    __syncwarp();
}

// A lane's feature number f: runs of RUN, all lanes' first runs before all second ones.
__device__ __forceinline__ int feature(int lane, int f) { return f / RUN * (LANES * RUN) + lane * RUN + f % RUN; }

// acc[i][f] += Σ over others of w[i][other] · x[other][feature f]
__device__ __forceinline__ void weigh(float (&acc)[ROWS][FEATURES], const float* w, const float* x, int lane) {
#pragma unroll 1
    for (int o = 0; o < OTHERS; o += 4) {
        float4 weights[ROWS];
#pragma unroll
        for (int i = 0; i < ROWS; i++) weights[i] = load4(w + i * W_PITCH + o);
#pragma unroll
        for (int e = 0; e < 4; e++) {
            float values[FEATURES];
            const float* row = x + (o + e) * PITCH;
#pragma unroll
            for (int f = 0; f < FEATURES; f += RUN) {
                if constexpr (RUN == 4) {
                    float4 four = load4(row + feature(lane, f));
                    values[f] = four.x, values[f + 1] = four.y, values[f + 2] = four.z, values[f + 3] = four.w;
                } else {
                    float2 two = *reinterpret_cast<const float2*>(row + feature(lane, f));
                    values[f] = two.x, values[f + 1] = two.y;
                }
            }
#pragma unroll
            for (int i = 0; i < ROWS; i++) {
                float weight = e == 0 ? weights[i].x : e == 1 ? weights[i].y : e == 2 ? weights[i].z : weights[i].w;
#pragma unroll
                for (int f = 0; f < FEATURES; f++) acc[i][f] = fmaf(weight, values[f], acc[i][f]);
            }
        }
    }
}

// The reduction over the 16 lanes of a group, in all of them.
template <class Op> __device__ __forceinline__ float group_reduce(float v) {
#pragma unroll
    for (int step = LANES / 2; step > 0; step /= 2) v = Op::of(v, __shfl_xor_sync(FULL_WARP, v, step));
    return v;
}

// Writes a row of the results times `by`.
__device__ __forceinline__ void store_features(float* row, const float (&acc)[FEATURES], float by, int lane, int d) {
#pragma unroll
    for (int f = 0; f < FEATURES; f += RUN) {
        int c = feature(lane, f);
        if (RUN == 4 && d % 4 == 0) {
            if (c < d) store4(row + c, make_float4(acc[f] * by, acc[f + 1] * by, acc[f + 2] * by, acc[f + 3] * by));
        } else {
#pragma unroll
            for (int e = 0; e < RUN; e++)
                if (c + e < d) row[c + e] = acc[f + e] * by;
        }
    }
}

__device__ __forceinline__ int keys_of(const int* lengths, int n, int keys) {
    return lengths ? min(max(lengths[n], 0), keys) : keys;
}
