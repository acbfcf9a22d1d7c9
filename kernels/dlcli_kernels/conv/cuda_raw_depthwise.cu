// Depthwise convolution, one filter per channel, and its gradients: nothing to share between channels, so
// that all three are bound by memory.
//
// CHANNELS: neighbouring channels per thread, 4 (128-bit accesses; C must be a multiple) or 1; neighbouring
// threads take neighbouring channels. Sums of a thread stay in registers.
#include "activation.cuh"
#include "conv.cuh"

// Filters of the block's channels into shared memory, channels the fast axis: (taps, CHANNELS · blockDim.x).
// reversed: the last tap first, which makes a convolution its own gradient.
__device__ __forceinline__ void load_filters(float* filters, const float* __restrict__ w, int first, const Geometry& g,
                                             bool reversed) {
    int taps = g.R * g.S, width = CHANNELS * blockDim.x;
    for (int t = threadIdx.y; t < taps; t += blockDim.y)
        for (int i = threadIdx.x; i < width; i += blockDim.x)
            filters[t * width + i] = first + i < g.C ? w[(first + i) * taps + (reversed ? taps - 1 - t : t)] : 0.0f;
    __syncthreads();
}

__device__ __forceinline__ void clear(float (&sum)[CHANNELS]) {
#pragma unroll
    for (int j = 0; j < CHANNELS; j++) sum[j] = 0;
}

__device__ __forceinline__ void add_products(float (&sum)[CHANNELS], const float (&a)[CHANNELS],
                                             const float (&b)[CHANNELS]) {
#pragma unroll
    for (int j = 0; j < CHANNELS; j++) sum[j] += a[j] * b[j];
}

__device__ __forceinline__ void finish(float* to, float (&z)[CHANNELS], const float* __restrict__ b, int c, int act) {
#pragma unroll
    for (int j = 0; j < CHANNELS; j++) z[j] = activate(b ? z[j] + b[c + j] : z[j], act);
    store_channels(to, z);
}

// A patch of 2 × 2 pixels per thread. FILTER: the side of a square filter at stride 1 and dilation 1, whose
// patch of x is in registers: for 3 × 3, 16 loads of x make four results, instead of 36. 0: any filter.
// g.rows × g.columns counts patches. reversed: this is dgrad, of the geometry with x and the map exchanged.
extern "C" __global__ void __launch_bounds__(256, FILTER ? 2 : 3)
    depthwise_forward(float* __restrict__ out, const float* __restrict__ x, const float* __restrict__ w,
                      const float* __restrict__ b, Geometry g, int patches, int reversed, int act) {
    extern __shared__ __align__(16) float filters[];
    int width = CHANNELS * blockDim.x, block_first = blockIdx.y * width, c = block_first + CHANNELS * threadIdx.x;
    load_filters(filters, w, block_first, g, reversed);
    if (c >= g.C) return;
    const float* f = filters + CHANNELS * threadIdx.x;
    for (int i = blockIdx.x * blockDim.y + threadIdx.y; i < patches; i += gridDim.x * blockDim.y) {
        Pixel at = pixel_of(i, g.columns, g.by_columns, g.rows, g.by_rows);
        int row = 2 * at.row, column = 2 * at.column;
        int above = row * g.sh - g.top, before = column * g.sw - g.left;
        float sums[4][CHANNELS], weight[CHANNELS];
#pragma unroll
        for (int j = 0; j < 4; j++) clear(sums[j]);
#if FILTER
        constexpr int SIDE = FILTER + 1;
#pragma unroll
        for (int u = 0; u < SIDE; u++) {  // row by row of x: each belongs to one tap of either row of the patch
            float part[SIDE][CHANNELS];
#pragma unroll
            for (int v = 0; v < SIDE; v++) {
                int h = above + u, k = before + v;
                clear(part[v]);
                if (within(h, g.H) && within(k, g.W))
                    load_channels(part[v], x + (size_t)((at.image * g.H + h) * g.W + k) * g.C + c);
            }
#pragma unroll
            for (int down = 0; down < 2; down++) {
                int r = u - down;
                if (r < 0 || r >= FILTER) continue;
#pragma unroll
                for (int s = 0; s < FILTER; s++) {
                    load_channels(weight, f + (r * FILTER + s) * width);
                    add_products(sums[2 * down], part[s], weight);
                    add_products(sums[2 * down + 1], part[s + 1], weight);
                }
            }
        }
#else
        for (int r = 0; r < g.R; r++)
            for (int s = 0; s < g.S; s++) {
                load_channels(weight, f + (r * g.S + s) * width);
#pragma unroll
                for (int j = 0; j < 4; j++) {
                    int h = above + j / 2 * g.sh + r * g.dh, k = before + j % 2 * g.sw + s * g.dw;
                    float part[CHANNELS];
                    clear(part);
                    if (within(h, g.H) && within(k, g.W))
                        load_channels(part, x + (size_t)((at.image * g.H + h) * g.W + k) * g.C + c);
                    add_products(sums[j], part, weight);
                }
            }
#endif
#pragma unroll
        for (int j = 0; j < 4; j++) {
            int p = row + j / 2, q = column + j % 2;
            float* to = out + (size_t)((at.image * g.P + p) * g.Q + q) * g.C + c;
            if (p < g.P && q < g.Q) finish(to, sums[j], b, c, act);
        }
    }
}

// dx of a convolution with strides: each pixel of x gathers from those of the map that it was a part of.
extern "C" __global__ void __launch_bounds__(256, 4)
    depthwise_dgrad(float* __restrict__ dx, const float* __restrict__ dout, const float* __restrict__ w, Geometry g,
                    int pixels) {
    extern __shared__ __align__(16) float filters[];
    int width = CHANNELS * blockDim.x, block_first = blockIdx.y * width, c = block_first + CHANNELS * threadIdx.x;
    load_filters(filters, w, block_first, g, false);
    if (c >= g.C) return;
    for (int i = blockIdx.x * blockDim.y + threadIdx.y; i < pixels; i += gridDim.x * blockDim.y) {
        Pixel at = pixel_of(i, g.W, g.by_W, g.H, g.by_H);
        float sum[CHANNELS], weight[CHANNELS], part[CHANNELS];
        clear(sum);
        for (int r = 0; r < g.R; r++) {
            int below = at.row + g.top - r * g.dh, p = below / g.sh;
            if (below < 0 || p * g.sh != below || p >= g.P) continue;
            for (int s = 0; s < g.S; s++) {
                int behind = at.column + g.left - s * g.dw, q = behind / g.sw;
                if (behind < 0 || q * g.sw != behind || q >= g.Q) continue;
                load_channels(weight, filters + (r * g.S + s) * width + CHANNELS * threadIdx.x);
                load_channels(part, dout + (size_t)((at.image * g.P + p) * g.Q + q) * g.C + c);
                add_products(sum, part, weight);
            }
        }
        store_channels(dx + (size_t)i * g.C + c, sum);
    }
}

// Sums over a range of pixels for each blockIdx.y, of TAPS taps from blockIdx.z · TAPS on and, by the first
// of these, of dout itself: sums (gridDim.y, taps + 1, C). A row of threads takes every blockDim.y-th pixel;
// the rows' sums are added in order.
extern "C" __global__ void __launch_bounds__(256, 2)
    depthwise_wgrad(float* __restrict__ sums, const float* __restrict__ dout, const float* __restrict__ x,
                    Geometry g) {
    extern __shared__ __align__(16) float rows[];  // blockDim.y × CHANNELS · blockDim.x
    int width = CHANNELS * blockDim.x, c = blockIdx.x * width + CHANNELS * threadIdx.x;
    int taps = g.R * g.S, first = blockIdx.z * TAPS, pixels = g.N * g.P * g.Q;
    int each = ceil_div(pixels, gridDim.y), begin = blockIdx.y * each, end = min(begin + each, pixels);
    int down[TAPS], right[TAPS];  // where a tap lies from the corner
#pragma unroll
    for (int t = 0; t < TAPS; t++) {
        int r = (first + t) / g.S;
        down[t] = first + t < taps ? r * g.dh : 1 << 30;  // never inside
        right[t] = (first + t - r * g.S) * g.dw;
    }
    float acc[TAPS + 1][CHANNELS];
#pragma unroll
    for (int t = 0; t <= TAPS; t++) clear(acc[t]);
    for (int i = begin + threadIdx.y; i < end && c < g.C; i += blockDim.y) {
        Pixel at = pixel_of(i, g.Q, g.by_Q, g.P, g.by_P);
        int h = at.row * g.sh - g.top, k = at.column * g.sw - g.left;
        float dz[CHANNELS], part[CHANNELS];
        load_channels(dz, dout + (size_t)i * g.C + c);
#pragma unroll
        for (int t = 0; t < TAPS; t++) {
            int row = h + down[t], column = k + right[t];
            clear(part);
            if (within(row, g.H) && within(column, g.W))
                load_channels(part, x + (size_t)((at.image * g.H + row) * g.W + column) * g.C + c);
            add_products(acc[t], part, dz);
        }
#pragma unroll
        for (int j = 0; j < CHANNELS; j++) acc[TAPS][j] += dz[j];
    }
    float* mine = rows + threadIdx.y * width + CHANNELS * threadIdx.x;
#pragma unroll
    for (int t = 0; t <= TAPS; t++) {
        int tap = t == TAPS ? taps : first + t;
        bool wanted = t == TAPS ? first == 0 : tap < taps;  // the same for the whole block
        if (!wanted) continue;
        store_channels(mine, acc[t]);
        __syncthreads();
        for (int i = threadIdx.y * blockDim.x + threadIdx.x; i < width; i += blockDim.x * blockDim.y) {
            float sum = 0;
            for (int row = 0; row < blockDim.y; row++) sum += rows[row * width + i];
            if (blockIdx.x * width + i < g.C)
                sums[((size_t)blockIdx.y * (taps + 1) + tap) * g.C + blockIdx.x * width + i] = sum;
        }
        __syncthreads();
    }
}
