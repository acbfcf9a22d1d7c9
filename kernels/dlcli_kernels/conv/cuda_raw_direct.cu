// Convolution of few channels, with bias, activation and max-pooling in the same pass.
//
// The first layer of a network has 9 … 147 products per result, too few for tiles of a product: it is
// bound by what it writes, so everything after it is done while the sums are in registers. A block keeps
// the filters of its channels in shared memory, (r, s, c) the slow axis and channels the fast one; a
// thread makes four neighbouring channels of a patch of PATCH_ROWS × PATCH_COLUMNS pixels. Threads along
// x are neighbours in channels: they read the same pixels (one broadcast) and write whole lines.
//
// FILTER: the side of a square filter at stride 1 and dilation 1, whose patch of x then is in registers
// and read once: for 3 × 3 and a patch of 2 × 2, 16 loads of x and 9 of 128 bits from shared memory for
// 144 products. 0: any filter; each product reads its x through the L1 cache.
#include "activation.cuh"
#include "conv.cuh"

constexpr int PATCH = PATCH_ROWS * PATCH_COLUMNS, LANES = 4;

__device__ __forceinline__ void add_products(float (&sum)[LANES], float x, float4 f) {
    sum[0] += x * f.x;
    sum[1] += x * f.y;
    sum[2] += x * f.z;
    sum[3] += x * f.w;
}

// filters: taps × 4 · blockDim.x, of channels first … first + 4 · blockDim.x − 1, zeros beyond the last.
__device__ __forceinline__ void load_filters(float* filters, const float* __restrict__ w, int first,
                                             const Geometry& g) {
    int taps = g.R * g.S * g.C, width = LANES * blockDim.x;
    for (int t = threadIdx.y; t < taps; t += blockDim.y)
        for (int i = threadIdx.x; i < width; i += blockDim.x)
            filters[t * width + i] = first + i < g.K ? w[(first + i) * taps + t] : 0.0f;
    __syncthreads();
}

// sums: the patch whose first pixel is (row, column) of the map. What lies outside of x counts as zero.
__device__ __forceinline__ void convolve(float (&sums)[PATCH][LANES], const float* filters,
                                         const float* __restrict__ x, int image, int row, int column,
                                         const Geometry& g) {
    int width = LANES * blockDim.x, above = row * g.sh - g.top, before = column * g.sw - g.left;
    const float* f = filters + LANES * threadIdx.x;
#pragma unroll
    for (int i = 0; i < PATCH; i++)
#pragma unroll
        for (int j = 0; j < LANES; j++) sums[i][j] = 0;
#if FILTER
    constexpr int HIGH = PATCH_ROWS + FILTER - 1, WIDE = PATCH_COLUMNS + FILTER - 1;
    for (int c = 0; c < g.C; c++) {
        float part[HIGH][WIDE];
#pragma unroll
        for (int i = 0; i < HIGH; i++)
#pragma unroll
            for (int j = 0; j < WIDE; j++) {
                int h = above + i, v = before + j;
                part[i][j] = within(h, g.H) && within(v, g.W) ? x[((image * g.H + h) * g.W + v) * g.C + c] : 0.0f;
            }
#pragma unroll
        for (int r = 0; r < FILTER; r++)
#pragma unroll
            for (int s = 0; s < FILTER; s++) {
                float4 weight = load4(f + ((r * FILTER + s) * g.C + c) * width);
#pragma unroll
                for (int i = 0; i < PATCH; i++)
                    add_products(sums[i], part[i / PATCH_COLUMNS + r][i % PATCH_COLUMNS + s], weight);
            }
    }
#else
    for (int r = 0; r < g.R; r++)
        for (int s = 0; s < g.S; s++)
            for (int c = 0; c < g.C; c++, f += width) {
                float4 weight = load4(f);
#pragma unroll
                for (int i = 0; i < PATCH; i++) {
                    int h = above + i / PATCH_COLUMNS * g.sh + r * g.dh;
                    int v = before + i % PATCH_COLUMNS * g.sw + s * g.dw;
                    float value = 0;
                    if (within(h, g.H) && within(v, g.W)) value = x[((image * g.H + h) * g.W + v) * g.C + c];
                    add_products(sums[i], value, weight);
                }
            }
#endif
}

// Bias and activation, and four channels from `first` on of pixel `at` are written.
__device__ __forceinline__ void finish(float* __restrict__ out, const float* __restrict__ b, float (&z)[LANES],
                                       int at, int first, int K, int act) {
#pragma unroll
    for (int j = 0; j < LANES; j++)
        if (first + j < K) z[j] = activate(b ? z[j] + b[first + j] : z[j], act);
    if (K % LANES == 0) {
        if (first < K) store_channels(out + (size_t)at * K + first, z);
    } else {
#pragma unroll
        for (int j = 0; j < LANES; j++)
            if (first + j < K) out[(size_t)at * K + first + j] = z[j];
    }
}

// g.rows × g.columns counts patches here.
extern "C" __global__ void __launch_bounds__(256, FILTER == 5 ? 2 : 3)
    conv_direct(float* __restrict__ out, const float* __restrict__ x, const float* __restrict__ w,
                const float* __restrict__ b, Geometry g, int patches, int act) {
    int block_first = blockIdx.y * LANES * blockDim.x, first = block_first + LANES * threadIdx.x;
    extern __shared__ __align__(16) float filters[];
    load_filters(filters, w, block_first, g);
    for (int i = blockIdx.x * blockDim.y + threadIdx.y; i < patches; i += gridDim.x * blockDim.y) {
        Pixel at = pixel_of(i, g.columns, g.by_columns, g.rows, g.by_rows);
        int row = at.row * PATCH_ROWS, column = at.column * PATCH_COLUMNS;
        float sums[PATCH][LANES];
        convolve(sums, filters, x, at.image, row, column, g);
#pragma unroll
        for (int j = 0; j < PATCH; j++) {
            int p = row + j / PATCH_COLUMNS, q = column + j % PATCH_COLUMNS;
            if (p < g.P && q < g.Q) finish(out, b, sums[j], (at.image * g.P + p) * g.Q + q, first, g.K, act);
        }
    }
}

// One window per thread, patch by patch: either the patch is the window or one pixel of it, so that the
// places of a window come in order and the first of equal maxima is kept. NaN is larger than everything.
extern "C" __global__ void __launch_bounds__(256, FILTER == 5 ? 2 : 3)
    conv_direct_pool(float* __restrict__ out, uint8_t* __restrict__ argmax, const float* __restrict__ x,
                     const float* __restrict__ w, const float* __restrict__ b, Geometry g, int windows,
                     int act) {
    int block_first = blockIdx.y * LANES * blockDim.x, first = block_first + LANES * threadIdx.x;
    extern __shared__ __align__(16) float filters[];
    load_filters(filters, w, block_first, g);
    for (int i = blockIdx.x * blockDim.y + threadIdx.y; i < windows; i += gridDim.x * blockDim.y) {
        Pixel at = pixel_of(i, g.columns, g.by_columns, g.rows, g.by_rows);
        float best[LANES];
        int place[LANES];
        int row = at.row * g.ph, column = at.column * g.pw;
        for (int u = 0; u < g.ph; u += PATCH_ROWS)
            for (int v = 0; v < g.pw; v += PATCH_COLUMNS) {
                float sums[PATCH][LANES];
                convolve(sums, filters, x, at.image, row + u, column + v, g);
#pragma unroll
                for (int j = 0; j < PATCH; j++) {
                    int here = PATCH > 1 ? j : u * g.pw + v;
#pragma unroll
                    for (int k = 0; k < LANES; k++) {
                        float z = sums[j][k];
                        if (here == 0 || z > best[k] || (z != z && best[k] == best[k])) best[k] = z, place[k] = here;
                    }
                }
            }
        finish(out, b, best, i, first, g.K, act);
        if (argmax) {
#pragma unroll
            for (int k = 0; k < LANES; k++)
                if (first + k < g.K) argmax[(size_t)i * g.K + first + k] = static_cast<uint8_t>(place[k]);
        }
    }
}
