// Batch norm: sums of columns in one pass over x (and dout), then one pass that applies them. Instance norm
// is that of each image by itself: blockIdx.z counts images of `rows` rows, one for batch norm.
//
// Compiled for WIDTH 1 or 4 columns to a thread. Training reads x twice and writes out once: 12 bytes per
// element, of which the second read comes from the L2 where x fits it (50 MB). Its gradient reads x and
// dout twice and writes dx once: 20 bytes.
#include "columns.cuh"

// The moments of a column: Σ x and Σ x².
struct Moments {
    const float* x;
    float *mean, *var, *inv_std, *low;  // low: what the rounding of the mean to float32 took from it
    int rows, columns;
    double eps;
    __device__ __forceinline__ void begin(int) {}
    __device__ __forceinline__ void add(int row, int column, double (&sums)[WIDTH], double (&squares)[WIDTH]) const {
        float v[WIDTH];
        load_wide<WIDTH>(v, x + (size_t)row * columns + column);
#pragma unroll
        for (int j = 0; j < WIDTH; j++) {
            double wide = v[j];
            sums[j] += wide, squares[j] += wide * wide;
        }
    }
    __device__ __forceinline__ void finish(int column, double sum, double square) const {
        double count = rows > 0 ? rows : 1, m = sum / count, v = square / count - m * m;
        v = v < 0 ? 0.0 : v;  // below 0 by rounding alone; a NaN stays
        mean[column] = static_cast<float>(m);
        low[column] = static_cast<float>(m - static_cast<float>(m));
        var[column] = static_cast<float>(v);
        if (inv_std) inv_std[column] = static_cast<float>(1 / sqrt(v + eps));
    }
};

// What an image begins with: of an array of `size` elements per image, or of none.
template <class T> __device__ __forceinline__ T* of_image(T* base, size_t size) {
    return base ? base + blockIdx.z * size : nullptr;
}

__device__ __forceinline__ float inverse_root(float var, double eps) {
    return 1.0f / sqrtf(var + static_cast<float>(eps));
}

// Σ dout · (x − mean) / σ, which is dgamma, and Σ dout, which is dbeta; in float64 too, for batchnorm_dx.
// dgamma and dbeta may be null.
struct Gradients {
    const float *x, *dout, *mean, *var;
    float *dgamma, *dbeta;
    double* totals;  // dgamma, then dbeta
    int columns;
    double eps;
    float centre[WIDTH];
    __device__ __forceinline__ void begin(int column) { load_wide<WIDTH>(centre, mean + column); }
    __device__ __forceinline__ void add(int row, int column, double (&scale)[WIDTH], double (&shift)[WIDTH]) const {
        float v[WIDTH], d[WIDTH];
        size_t at = (size_t)row * columns + column;
        load_wide<WIDTH>(v, x + at), load_wide<WIDTH>(d, dout + at);
#pragma unroll
        for (int j = 0; j < WIDTH; j++) {
            double wide = d[j];
            scale[j] += wide * (v[j] - centre[j]);
            shift[j] += wide;
        }
    }
    __device__ __forceinline__ void finish(int column, double scale, double shift) const {
        scale /= sqrt(var[column] + eps);
        if (dgamma) dgamma[column] = static_cast<float>(scale), dbeta[column] = static_cast<float>(shift);
        totals[column] = scale, totals[columns + column] = shift;
    }
};

extern "C" {

__global__ void __launch_bounds__(256, 4)
    batchnorm_moments(float* mean, float* var, float* inv_std, float* low, double* chunks,
                      const float* __restrict__ x, int rows, int columns, int across, double eps) {
    size_t size = (size_t)rows * columns, sums = (size_t)gridDim.y * 2 * columns;
    Moments f{of_image(x, size), of_image(mean, columns), of_image(var, columns), inv_std, of_image(low, columns),
              rows, columns, eps};
    column_sums<WIDTH>(f, of_image(chunks, sums), rows, columns, across);
}

__global__ void __launch_bounds__(256)
    batchnorm_moments_end(float* mean, float* var, float* inv_std, float* low, const double* chunks, int count,
                          int rows, int columns, double eps) {
    Moments f{nullptr, of_image(mean, columns), of_image(var, columns), inv_std, of_image(low, columns),
              rows, columns, eps};
    add_chunks(f, of_image(chunks, (size_t)count * 2 * columns), count, columns);
}

// out = (x − mean) / √(var + eps) · gamma + beta. low: Moments', or null.
__global__ void __launch_bounds__(256)
    batchnorm_apply(float* __restrict__ out, const float* __restrict__ x, const float* __restrict__ mean,
                    const float* __restrict__ low, const float* __restrict__ var, const float* __restrict__ gamma,
                    const float* __restrict__ beta, int rows, int columns, int across, double eps) {
    Column<WIDTH> at(across);
    if (at.first >= columns) return;
    size_t size = (size_t)rows * columns, image = blockIdx.z * size, own = (size_t)blockIdx.z * columns + at.first;
    float centre[WIDTH], rest[WIDTH], inverse[WIDTH], scale[WIDTH], shift[WIDTH];
    load_wide<WIDTH>(centre, mean + own), load_wide<WIDTH>(inverse, var + own);
    load_wide_or<WIDTH>(rest, low, own, 0), load_wide_or<WIDTH>(scale, gamma, at.first, 1);
    load_wide_or<WIDTH>(shift, beta, at.first, 0);
#pragma unroll
    for (int j = 0; j < WIDTH; j++) inverse[j] = inverse_root(inverse[j], eps);
#pragma unroll 4
    for (int row = at.row; row < rows; row += at.step) {
        float v[WIDTH];
        size_t offset = image + (size_t)row * columns + at.first;
        load_wide<WIDTH>(v, x + offset);
#pragma unroll
        for (int j = 0; j < WIDTH; j++) v[j] = ((v[j] - centre[j]) - rest[j]) * inverse[j] * scale[j] + shift[j];
        store_wide<WIDTH>(out + offset, v);
    }
}

__global__ void __launch_bounds__(256, 4)
    batchnorm_sums(float* dgamma, float* dbeta, double* totals, double* chunks, const float* __restrict__ x,
                   const float* __restrict__ dout, const float* __restrict__ mean, const float* __restrict__ var,
                   int rows, int columns, int across, double eps) {
    size_t size = (size_t)rows * columns, pair = (size_t)2 * columns;
    Gradients f{of_image(x, size), of_image(dout, size), of_image(mean, columns), of_image(var, columns),
                dgamma, dbeta, of_image(totals, pair), columns, eps, {}};
    column_sums<WIDTH>(f, of_image(chunks, gridDim.y * pair), rows, columns, across);
}

__global__ void __launch_bounds__(256)
    batchnorm_sums_end(float* dgamma, float* dbeta, double* totals, const double* chunks, const float* var, int count,
                       int columns, double eps) {
    size_t pair = (size_t)2 * columns;
    Gradients f{nullptr, nullptr, nullptr, of_image(var, columns), dgamma, dbeta, of_image(totals, pair), columns,
                eps, {}};
    add_chunks(f, of_image(chunks, count * pair), count, columns);
}

// dx = γ/σ · (dout − dbeta/n − x̂ · dgamma/n) + dmean/n + 2 · dvar · (x − mean)/n, in float64: the terms may be
// much larger than their sum. totals: of Gradients.
__global__ void __launch_bounds__(256, 3)
    batchnorm_dx(float* __restrict__ dx, const float* __restrict__ x, const float* __restrict__ dout,
                 const float* __restrict__ gamma, const float* __restrict__ mean, const float* __restrict__ var,
                 const double* __restrict__ totals, const float* __restrict__ dmean, const float* __restrict__ dvar,
                 int rows, int columns, int across, double eps) {
    Column<WIDTH> at(across);
    if (at.first >= columns) return;
    size_t size = (size_t)rows * columns, image = blockIdx.z * size, own = (size_t)blockIdx.z * columns + at.first;
    const double* sums = of_image(totals, (size_t)2 * columns);
    float centre[WIDTH], scale[WIDTH], inverse[WIDTH], add[WIDTH], slope[WIDTH];
    load_wide<WIDTH>(centre, mean + own), load_wide<WIDTH>(inverse, var + own);
    load_wide_or<WIDTH>(scale, gamma, at.first, 1);
    load_wide_or<WIDTH>(add, dmean, at.first, 0), load_wide_or<WIDTH>(slope, dvar, at.first, 0);
    double of_d[WIDTH], of_x[WIDTH], mean_d[WIDTH];  // dx = of_d · (dout − mean_d) + of_x · (x − mean) + add
#pragma unroll
    for (int j = 0; j < WIDTH; j++) {
        double root = 1 / sqrt(inverse[j] + eps), along = sums[at.first + j] / rows;
        of_d[j] = scale[j] * root, mean_d[j] = sums[columns + at.first + j] / rows;
        of_x[j] = 2.0 * slope[j] / rows - of_d[j] * root * along, add[j] /= rows;
    }
#pragma unroll 2
    for (int row = at.row; row < rows; row += at.step) {
        float v[WIDTH], d[WIDTH];
        size_t offset = image + (size_t)row * columns + at.first;
        load_wide<WIDTH>(v, x + offset), load_wide<WIDTH>(d, dout + offset);
#pragma unroll
        for (int j = 0; j < WIDTH; j++)
            d[j] = static_cast<float>(of_d[j] * (d[j] - mean_d[j]) + (of_x[j] * (v[j] - centre[j]) + add[j]));
        store_wide<WIDTH>(dx + offset, d);
    }
}

// dgamma and dbeta of instance norm: the totals of all images, in their order.
__global__ void __launch_bounds__(256)
    instancenorm_affine(float* dgamma, float* dbeta, const double* __restrict__ totals, int images, int columns) {
    int column = blockIdx.x * blockDim.x + threadIdx.x;
    if (column >= columns) return;
    double scale = 0, shift = 0;
#pragma unroll 4
    for (int i = 0; i < images; i++) {
        const double* from = totals + (size_t)i * 2 * columns + column;
        scale += from[0], shift += from[columns];
    }
    dgamma[column] = static_cast<float>(scale), dbeta[column] = static_cast<float>(shift);
}

// dx = γ/σ · dout, where mean and var are constants.
__global__ void __launch_bounds__(256)
    batchnorm_inference_dx(float* __restrict__ dx, const float* __restrict__ dout, const float* __restrict__ gamma,
                           const float* __restrict__ var, int rows, int columns, int across, double eps) {
    Column<WIDTH> at(across);
    if (at.first >= columns) return;
    float scale[WIDTH], inverse[WIDTH];
    load_wide_or<WIDTH>(scale, gamma, at.first, 1), load_wide<WIDTH>(inverse, var + at.first);
#pragma unroll
    for (int j = 0; j < WIDTH; j++) scale[j] *= inverse_root(inverse[j], eps);
#pragma unroll 4
    for (int row = at.row; row < rows; row += at.step) {
        float d[WIDTH];
        size_t offset = (size_t)row * columns + at.first;
        load_wide<WIDTH>(d, dout + offset);
#pragma unroll
        for (int j = 0; j < WIDTH; j++) d[j] *= scale[j];
        store_wide<WIDTH>(dx + offset, d);
    }
}

// running ← (1 − momentum) · running + share · batch.
__global__ void __launch_bounds__(256)
    update_running(float* running, const float* batch, int n, float keep, float share) {
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
        running[i] = keep * running[i] + share * batch[i];
}
}
