// Attention and its gradient in tiles (attention.cuh), after FlashAttention-2 (Dao 2023), in float32: weights
// live in registers and shared memory, never in global memory.
//
// Forward: a block owns OWN queries. The next tile of keys is on its way while the values are weighed, the
// values while scores are made. Gradient: without atomics, in two kernels that make the weights anew, so
// that every run gives the same bits: one owns keys and goes along queries (dk, dv), one owns queries and
// goes along keys (dq); seven products where atomics would need five.
#include "attention.cuh"

constexpr int BLOCKS = D > 64 ? 2 : 3;  // to a multiprocessor, of the forward pass: what shared memory holds too

// What a block works on: tile of a head of a sequence; the last tiles first, which have most to do where
// attention is causal.
struct Place {
    int n, h, first;
    __device__ __forceinline__ Place(int rows, int heads) {
        int tiles = ceil_div(rows, OWN), head = blockIdx.x / tiles;
        n = head / heads, h = head % heads, first = (tiles - 1 - blockIdx.x % tiles) * OWN;
    }
};

extern "C" {

// out (N, T, heads, d) and lse (N, heads, T), which may be null.
__global__ void __launch_bounds__(THREADS, BLOCKS) attention_forward(float* __restrict__ out, float* __restrict__ lse,
                                                             const float* __restrict__ q, const float* __restrict__ k,
                                                             const float* __restrict__ v,
                                                             const int* __restrict__ lengths, int t, int s, int heads,
                                                             int d, int causal, float scale) {
    extern __shared__ float4 memory[];
    float* own = reinterpret_cast<float*>(memory);
    float *keys = own + OWN_TILE, *values = keys + OTHER_TILE;
    int group = threadIdx.x / LANES, lane = threadIdx.x % LANES;
    float *mine = own + group * ROWS * PITCH, *w = values + OTHER_TILE + group * ROWS * W_PITCH;
    Place at(t, heads);
    Head queries(q, at.n, at.h, t, heads, d), all_keys(k, at.n, at.h, s, heads, d), all_values(v, at.n, at.h, s, heads, d);
    int count = keys_of(lengths, at.n, s), last = causal ? min(count, at.first + OWN) : count;
    int row0 = at.first + group * ROWS;

    float found[ROWS][FEATURES] = {}, largest[ROWS], total[ROWS] = {};
#pragma unroll
    for (int i = 0; i < ROWS; i++) largest[i] = -INFINITY;
    if (last > 0) {
        copy_rows<OWN>(own, queries, at.first, d);
        copy_rows<OTHERS>(keys, all_keys, 0, d);
    }
    async_commit();
    for (int s0 = 0; s0 < last; s0 += OTHERS) {
        copy_rows<OTHERS>(values, all_values, s0, d);
        async_commit();
        async_wait<1>();
        __syncthreads();  // the keys have arrived
        float p[ROWS][J];
        dots(p, mine, keys, lane, d);
        __syncthreads();  // nobody reads them any more
        if (s0 + OTHERS < last) copy_rows<OTHERS>(keys, all_keys, s0 + OTHERS, d);
        async_commit();
#pragma unroll
        for (int i = 0; i < ROWS; i++) {
            int end = causal ? min(count, row0 + i + 1) : count;
            float top = largest[i];
#pragma unroll
            for (int j = 0; j < J; j++) {
                p[i][j] = s0 + lane + j * LANES < end ? p[i][j] * scale : -INFINITY;
                top = Max::of(top, p[i][j]);
            }
            top = group_reduce<Max>(top);
            float shift = top == -INFINITY ? 0.0f : top, share = expf(largest[i] - shift);
            largest[i] = top;
            total[i] *= share;
#pragma unroll
            for (int f = 0; f < FEATURES; f++) found[i][f] *= share;
#pragma unroll
            for (int j = 0; j < J; j++) {
                p[i][j] = expf(p[i][j] - shift);
                total[i] += p[i][j];
            }
        }
        put_weights(w, p, lane);
        async_wait<1>();
        __syncthreads();  // the values have arrived
        weigh(found, w, values, lane);
        __syncthreads();  // nobody reads them any more
    }
#pragma unroll
    for (int i = 0; i < ROWS; i++) {
        float sum = group_reduce<Sum>(total[i]);
        int row = row0 + i;
        if (row >= t) continue;
        float* to = out + (((size_t)at.n * t + row) * heads + at.h) * d;
        store_features(to, found[i], count ? 1 / sum : 0.0f, lane, d);
        if (lse && lane == 0) lse[((size_t)at.n * heads + at.h) * t + row] = largest[i] + logf(sum);
    }
}

// delta (N, heads, T) = Σ over d of dout · out: 16 lanes to a row.
__global__ void __launch_bounds__(THREADS) attention_delta(float* __restrict__ delta, const float* __restrict__ dout,
                                                           const float* __restrict__ out, int rows, int t, int heads,
                                                           int d) {
    int lane = threadIdx.x % LANES;
    for (int first = blockIdx.x * GROUPS; first < rows; first += gridDim.x * GROUPS) {
        int row = first + threadIdx.x / LANES;  // (n · T + t) · heads + h
        float sum = 0;
        if (row < rows)
            for (int c = lane; c < d; c += LANES) sum = fmaf(dout[(size_t)row * d + c], out[(size_t)row * d + c], sum);
        sum = group_reduce<Sum>(sum);
        int n = row / heads / t;
        if (row < rows && lane == 0) delta[((size_t)n * heads + row % heads) * t + row / heads % t] = sum;
    }
}

// dk and dv (N, S, heads, d): the block owns keys, the tiles are of queries.
__global__ void __launch_bounds__(THREADS, 2)
    attention_dkv(float* __restrict__ dk, float* __restrict__ dv, const float* __restrict__ dout,
                  const float* __restrict__ lse, const float* __restrict__ delta, const float* __restrict__ q,
                  const float* __restrict__ k, const float* __restrict__ v, const int* __restrict__ lengths, int t,
                  int s, int heads, int d, int causal, float scale) {
    extern __shared__ float4 memory[];
    float* keys = reinterpret_cast<float*>(memory);
    float *values = keys + OWN_TILE, *queries = values + OWN_TILE, *douts = queries + OTHER_TILE;
    int group = threadIdx.x / LANES, lane = threadIdx.x % LANES, mine = group * ROWS * PITCH;
    float* w = douts + OTHER_TILE + group * ROWS * W_PITCH;
    Place at(s, heads);
    Head all_queries(q, at.n, at.h, t, heads, d), all_douts(dout, at.n, at.h, t, heads, d);
    int count = keys_of(lengths, at.n, s), row0 = at.first + group * ROWS;
    const float* of_head = lse + ((size_t)at.n * heads + at.h) * t;
    const float* delta_of_head = delta + ((size_t)at.n * heads + at.h) * t;

    float sum_k[ROWS][FEATURES] = {}, sum_v[ROWS][FEATURES] = {};
    copy_rows<OWN>(keys, Head(k, at.n, at.h, s, heads, d), at.first, d);
    copy_rows<OWN>(values, Head(v, at.n, at.h, s, heads, d), at.first, d);
    for (int t0 = causal ? at.first / OTHERS * OTHERS : 0; t0 < t && at.first < count; t0 += OTHERS) {
        copy_rows<OTHERS>(queries, all_queries, t0, d);
        copy_rows<OTHERS>(douts, all_douts, t0, d);
        async_commit();
        async_wait<0>();
        __syncthreads();  // the tile has arrived
        float p[ROWS][J], ds[ROWS][J];
        dots(p, keys + mine, queries, lane, d);
#pragma unroll
        for (int j = 0; j < J; j++) {
            int query = t0 + lane + j * LANES;
            float shift = query < t ? of_head[query] : 0.0f;
#pragma unroll
            for (int i = 0; i < ROWS; i++) {
                bool seen = query < t && row0 + i < count && (!causal || row0 + i <= query);
                p[i][j] = seen ? expf(p[i][j] * scale - shift) : 0.0f;
            }
        }
        put_weights(w, p, lane);
        weigh(sum_v, w, douts, lane);
        dots(ds, values + mine, douts, lane, d);
#pragma unroll
        for (int j = 0; j < J; j++) {
            int query = t0 + lane + j * LANES;
            float less = query < t ? delta_of_head[query] : 0.0f;
#pragma unroll
            for (int i = 0; i < ROWS; i++) {
                bool seen = query < t && row0 + i < count && (!causal || row0 + i <= query);
                ds[i][j] = seen ? p[i][j] * (ds[i][j] - less) : 0.0f;
            }
        }
        put_weights(w, ds, lane);
        weigh(sum_k, w, queries, lane);
        __syncthreads();  // nobody reads the tile any more
    }
#pragma unroll
    for (int i = 0; i < ROWS; i++) {
        if (row0 + i >= s) continue;
        size_t to = (((size_t)at.n * s + row0 + i) * heads + at.h) * d;
        store_features(dk + to, sum_k[i], scale, lane, d);
        store_features(dv + to, sum_v[i], 1, lane, d);
    }
}

// dq (N, T, heads, d): the block owns queries, the tiles are of keys.
__global__ void __launch_bounds__(THREADS, 2)
    attention_dq(float* __restrict__ dq, const float* __restrict__ dout, const float* __restrict__ lse,
                 const float* __restrict__ delta, const float* __restrict__ q, const float* __restrict__ k,
                 const float* __restrict__ v, const int* __restrict__ lengths, int t, int s, int heads, int d,
                 int causal, float scale) {
    extern __shared__ float4 memory[];
    float* queries = reinterpret_cast<float*>(memory);
    float *douts = queries + OWN_TILE, *keys = douts + OWN_TILE, *values = keys + OTHER_TILE;
    int group = threadIdx.x / LANES, lane = threadIdx.x % LANES, mine = group * ROWS * PITCH;
    float* w = values + OTHER_TILE + group * ROWS * W_PITCH;
    Place at(t, heads);
    Head all_keys(k, at.n, at.h, s, heads, d), all_values(v, at.n, at.h, s, heads, d);
    int count = keys_of(lengths, at.n, s), last = causal ? min(count, at.first + OWN) : count;
    int row0 = at.first + group * ROWS;

    float sum[ROWS][FEATURES] = {}, shift[ROWS], less[ROWS];
#pragma unroll
    for (int i = 0; i < ROWS; i++) {
        size_t row = ((size_t)at.n * heads + at.h) * t + row0 + i;
        shift[i] = row0 + i < t ? lse[row] : 0.0f, less[i] = row0 + i < t ? delta[row] : 0.0f;
    }
    copy_rows<OWN>(queries, Head(q, at.n, at.h, t, heads, d), at.first, d);
    copy_rows<OWN>(douts, Head(dout, at.n, at.h, t, heads, d), at.first, d);
    for (int s0 = 0; s0 < last; s0 += OTHERS) {
        copy_rows<OTHERS>(keys, all_keys, s0, d);
        copy_rows<OTHERS>(values, all_values, s0, d);
        async_commit();
        async_wait<0>();
        __syncthreads();  // the tile has arrived
        float p[ROWS][J], ds[ROWS][J];
        dots(p, queries + mine, keys, lane, d);
        dots(ds, douts + mine, values, lane, d);
#pragma unroll
        for (int i = 0; i < ROWS; i++) {
            int end = row0 + i < t ? causal ? min(count, row0 + i + 1) : count : 0;
#pragma unroll
            for (int j = 0; j < J; j++) {
                bool seen = s0 + lane + j * LANES < end;
                ds[i][j] = seen ? expf(p[i][j] * scale - shift[i]) * (ds[i][j] - less[i]) : 0.0f;
            }
        }
        put_weights(w, ds, lane);
        weigh(sum, w, keys, lane);
        __syncthreads();  // nobody reads the tile any more
    }
#pragma unroll
    for (int i = 0; i < ROWS; i++) {
        if (row0 + i >= t) continue;
        store_features(dq + (((size_t)at.n * t + row0 + i) * heads + at.h) * d, sum[i], scale, lane, d);
    }
}
}
