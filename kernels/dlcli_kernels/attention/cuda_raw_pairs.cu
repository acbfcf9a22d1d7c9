// Scores of a small network for pairs of query and key, their gradient, and softmax over a sequence's length.
#include "reduce.cuh"

constexpr int THREADS = 256, WARPS = THREADS / 32;

__device__ __forceinline__ int count_of(const int* lengths, int n, int keys) {
    return lengths ? min(max(lengths[n], 0), keys) : keys;
}

extern "C" {

// x and out (rows, keys), `each` rows to a sequence: a warp to a row, which its three passes find in the L1
// cache.
__global__ void __launch_bounds__(THREADS) masked_softmax(float* __restrict__ out, const float* __restrict__ x,
                                                          const int* __restrict__ lengths, int rows, int each,
                                                          int keys) {
    int lane = threadIdx.x % 32;
    for (int row = blockIdx.x * WARPS + threadIdx.x / 32; row < rows; row += gridDim.x * WARPS) {
        const float* from = x + (size_t)row * keys;
        float* to = out + (size_t)row * keys;
        int count = count_of(lengths, row / each, keys);
        float top = Max::none(), total = 0;
        for (int i = lane; i < count; i += 32) top = Max::of(top, from[i]);
        top = warp_reduce<Max>(top);
        for (int i = lane; i < count; i += 32) total += expf(from[i] - top);
        float share = 1 / warp_reduce<Sum>(total);
        for (int i = lane; i < keys; i += 32) to[i] = i < count ? expf(from[i] - top) * share : 0.0f;
    }
}

// out (N, Q, S): a warp to a pair, its lanes along the units.
__global__ void __launch_bounds__(THREADS)
    additive_scores(float* __restrict__ out, const float* __restrict__ queries, const float* __restrict__ keys,
                    const float* __restrict__ v, const int* __restrict__ lengths, int pairs, int q, int s, int u) {
    int lane = threadIdx.x % 32;
    for (int pair = blockIdx.x * WARPS + threadIdx.x / 32; pair < pairs; pair += gridDim.x * WARPS) {
        int row = pair / s, key = pair % s, n = row / q;
        float sum = 0;
        if (key < count_of(lengths, n, s)) {
            const float *of_query = queries + (size_t)row * u, *of_key = keys + ((size_t)n * s + key) * u;
            for (int i = lane; i < u; i += 32) sum = fmaf(v[i], tanhf(of_query[i] + of_key[i]), sum);
            sum = warp_reduce<Sum>(sum);
        }
        if (lane == 0) out[pair] = sum;
    }
}

// dqueries (N, Q, U), and of each query its share of dv: parts (N · Q, U). A thread to a unit of a query.
__global__ void __launch_bounds__(THREADS)
    additive_dqueries(float* __restrict__ dqueries, float* __restrict__ parts, const float* __restrict__ dout,
                      const float* __restrict__ queries, const float* __restrict__ keys, const float* __restrict__ v,
                      const int* __restrict__ lengths, int size, int q, int s, int u) {
    for (int at = blockIdx.x * THREADS + threadIdx.x; at < size; at += gridDim.x * THREADS) {
        int row = at / u, unit = at % u, n = row / q, count = count_of(lengths, n, s);
        const float *of_key = keys + (size_t)n * s * u + unit, *d = dout + (size_t)row * s;
        float query = queries[at], by = v[unit], sum = 0, part = 0;
        for (int key = 0; key < count; key++) {
            float h = tanhf(query + of_key[(size_t)key * u]);
            sum = fmaf(d[key] * by, 1 - h * h, sum);
            part = fmaf(d[key], h, part);
        }
        dqueries[at] = sum, parts[at] = part;
    }
}

// dkeys (N, S, U): a thread to a unit of a key, which makes every tanh again.
__global__ void __launch_bounds__(THREADS)
    additive_dkeys(float* __restrict__ dkeys, const float* __restrict__ dout, const float* __restrict__ queries,
                   const float* __restrict__ keys, const float* __restrict__ v, const int* __restrict__ lengths,
                   int size, int q, int s, int u) {
    for (int at = blockIdx.x * THREADS + threadIdx.x; at < size; at += gridDim.x * THREADS) {
        int row = at / u, unit = at % u, n = row / s, key = row % s;
        float known = keys[at], by = v[unit], sum = 0;
        if (key < count_of(lengths, n, s)) {
            const float *of_query = queries + (size_t)n * q * u + unit, *d = dout + (size_t)n * q * s + key;
            for (int query = 0; query < q; query++) {
                float h = tanhf(of_query[(size_t)query * u] + known);
                sum = fmaf(d[(size_t)query * s] * by, 1 - h * h, sum);
            }
        }
        dkeys[at] = sum;
    }
}

// dv (U,) = Σ over rows of parts (rows, U), in order: a block to 32 units, a warp to every eighth row.
__global__ void __launch_bounds__(THREADS) additive_dv(float* __restrict__ dv, const float* __restrict__ parts,
                                                       int rows, int u) {
    __shared__ double sums[WARPS][32];
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32, unit = blockIdx.x * 32 + lane;
    double sum = 0;
    if (unit < u)
        for (int row = warp; row < rows; row += WARPS) sum += parts[(size_t)row * u + unit];
    sums[warp][lane] = sum;
    __syncthreads();
    if (warp == 0 && unit < u) {
        for (int other = 1; other < WARPS; other++) sum += sums[other][lane];
        dv[unit] = float(sum);
    }
}
}
