// Layer norm: THREADS threads to a row (a warp, or a block where rows are long), WIDTH floats per access.
//
// A row is read twice, once for its sums and once to be written: the second time it comes from the L1 cache,
// where the rows of all warps of a multiprocessor fit up to 1,024 floats (8,192 by blocks). 8 bytes per
// element forwards. The gradient's sums over a row and those over the columns (dgamma, dbeta) are two
// kernels, each of which reads x and dout once: 20 bytes per element.
#include "columns.cuh"

constexpr int BLOCK = 256, AT_ONCE = BLOCK / THREADS;

struct Pair { double first, second; };

// The sums over the threads of a row, in all of them and in a fixed order.
__device__ __forceinline__ Pair row_sums(Pair v) {
#pragma unroll
    for (int step = 16; step > 0; step /= 2) {
        v.first += __shfl_xor_sync(0xffffffffu, v.first, step);
        v.second += __shfl_xor_sync(0xffffffffu, v.second, step);
    }
    if constexpr (THREADS == 32) return v;
    __shared__ double warps[2][BLOCK / 32];
    if (threadIdx.x % 32 == 0) warps[0][threadIdx.x / 32] = v.first, warps[1][threadIdx.x / 32] = v.second;
    __syncthreads();
    v = {0, 0};
#pragma unroll
    for (int i = 0; i < BLOCK / 32; i++) v.first += warps[0][i], v.second += warps[1][i];
    __syncthreads();  // all have read them before the next row's are written
    return v;
}

// Σ dout · x̂ and Σ dout of each column, over rows that have a mean and a deviation of their own.
struct ColumnGradients {
    const float *x, *dout, *mean, *rstd;
    float *dgamma, *dbeta;
    int columns;
    __device__ __forceinline__ void begin(int) {}
    __device__ __forceinline__ void add(int row, int column, double (&scale)[WIDTH], double (&shift)[WIDTH]) const {
        float v[WIDTH], d[WIDTH], centre = mean[row], inverse = rstd[row];
        size_t at = (size_t)row * columns + column;
        load_wide<WIDTH>(v, x + at), load_wide<WIDTH>(d, dout + at);
#pragma unroll
        for (int j = 0; j < WIDTH; j++) {
            scale[j] += d[j] * ((v[j] - centre) * inverse);
            shift[j] += d[j];
        }
    }
    __device__ __forceinline__ void finish(int column, double scale, double shift) const {
        dgamma[column] = static_cast<float>(scale), dbeta[column] = static_cast<float>(shift);
    }
};

extern "C" {

// mean and rstd may be null.
__global__ void __launch_bounds__(BLOCK)
    layernorm(float* __restrict__ out, float* __restrict__ mean, float* __restrict__ rstd,
              const float* __restrict__ x, const float* __restrict__ gamma, const float* __restrict__ beta, int rows,
              int columns, double eps) {
    int lane = threadIdx.x % THREADS;
    for (int row = blockIdx.x * AT_ONCE + threadIdx.x / THREADS; row < rows; row += gridDim.x * AT_ONCE) {
        const float* from = x + (size_t)row * columns;
        Pair sums = {0, 0};
#pragma unroll 4
        for (int i = lane * WIDTH; i < columns; i += THREADS * WIDTH) {
            float v[WIDTH];
            load_wide<WIDTH>(v, from + i);
#pragma unroll
            for (int j = 0; j < WIDTH; j++) {
                double wide = v[j];
                sums.first += wide, sums.second += wide * wide;
            }
        }
        sums = row_sums(sums);
        double count = columns > 0 ? columns : 1, m = sums.first / count, var = sums.second / count - m * m;
        float inverse = static_cast<float>(1 / sqrt((var < 0 ? 0.0 : var) + eps));
        float centre = static_cast<float>(m), rest = static_cast<float>(m - centre);
        if (lane == 0 && mean) mean[row] = centre;
        if (lane == 0 && rstd) rstd[row] = inverse;
        for (int i = lane * WIDTH; i < columns; i += THREADS * WIDTH) {
            float v[WIDTH], scale[WIDTH], shift[WIDTH];
            load_wide<WIDTH>(v, from + i);
            load_wide_or<WIDTH>(scale, gamma, i, 1), load_wide_or<WIDTH>(shift, beta, i, 0);
#pragma unroll
            for (int j = 0; j < WIDTH; j++) v[j] = ((v[j] - centre) - rest) * inverse * scale[j] + shift[j];
            store_wide<WIDTH>(out + (size_t)row * columns + i, v);
        }
    }
}

// dx = rstd · (d − Σd/n − x̂ · Σ(d·x̂)/n) with d = dout · gamma, sums over the row.
__global__ void __launch_bounds__(BLOCK, 4)
    layernorm_dx(float* __restrict__ dx, const float* __restrict__ x, const float* __restrict__ gamma,
                 const float* __restrict__ mean, const float* __restrict__ rstd, const float* __restrict__ dout,
                 int rows, int columns) {
    int lane = threadIdx.x % THREADS;
    for (int row = blockIdx.x * AT_ONCE + threadIdx.x / THREADS; row < rows; row += gridDim.x * AT_ONCE) {
        size_t base = (size_t)row * columns;
        float centre = mean[row], inverse = rstd[row];
        Pair sums = {0, 0};
#pragma unroll 2
        for (int i = lane * WIDTH; i < columns; i += THREADS * WIDTH) {
            float v[WIDTH], d[WIDTH], scale[WIDTH];
            load_wide<WIDTH>(v, x + base + i), load_wide<WIDTH>(d, dout + base + i);
            load_wide_or<WIDTH>(scale, gamma, i, 1);
#pragma unroll
            for (int j = 0; j < WIDTH; j++) {
                d[j] *= scale[j];
                sums.first += d[j], sums.second += d[j] * ((v[j] - centre) * inverse);
            }
        }
        sums = row_sums(sums);
        float mean_d = static_cast<float>(sums.first / columns), along = static_cast<float>(sums.second / columns);
        for (int i = lane * WIDTH; i < columns; i += THREADS * WIDTH) {
            float v[WIDTH], d[WIDTH], scale[WIDTH];
            load_wide<WIDTH>(v, x + base + i), load_wide<WIDTH>(d, dout + base + i);
            load_wide_or<WIDTH>(scale, gamma, i, 1);
#pragma unroll
            for (int j = 0; j < WIDTH; j++)
                d[j] = inverse * ((d[j] * scale[j] - mean_d) - (v[j] - centre) * inverse * along);
            store_wide<WIDTH>(dx + base + i, d);
        }
    }
}

__global__ void __launch_bounds__(BLOCK)
    layernorm_sums(float* dgamma, float* dbeta, double* chunks, const float* __restrict__ x,
                   const float* __restrict__ dout, const float* __restrict__ mean, const float* __restrict__ rstd,
                   int rows, int columns, int across) {
    column_sums<WIDTH>(ColumnGradients{x, dout, mean, rstd, dgamma, dbeta, columns}, chunks, rows, columns, across);
}

__global__ void __launch_bounds__(BLOCK)
    layernorm_sums_end(float* dgamma, float* dbeta, const double* chunks, int count, int columns) {
    add_chunks(ColumnGradients{nullptr, nullptr, nullptr, nullptr, dgamma, dbeta, columns}, chunks, count, columns);
}
}
