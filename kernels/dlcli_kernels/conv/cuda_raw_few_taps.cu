// The gradient for the filters of a first layer, R · S · C a few: as a product its result would be a tile of
// one column.
//
// A thread has one filter k and the sums of TAPS of its taps in registers; the 32 lanes of a warp have
// neighbours in k, so that dout and argmax are read in whole lines and x by broadcast (lanes whose maxima
// lie elsewhere in a window read neighbours). Behind pooling one pixel of each window has a gradient, and
// only that one is multiplied: a quarter of the work for windows of four.
#include "conv.cuh"

constexpr int ROWS = 8;

// Sums over a range of windows (pixels where g.ph = g.pw = 1; argmax is null then) for each blockIdx.y, of
// the taps from blockIdx.z · TAPS on and, by the first of these, of dout: sums (gridDim.y, taps + 1, K).
// Warps take every eighth window; their sums are added in order.
extern "C" __global__ void __launch_bounds__(32 * ROWS, 3)
    conv_few_taps(float* __restrict__ sums, const float* __restrict__ dout, const uint8_t* __restrict__ argmax,
                  const float* __restrict__ x, Geometry g) {
    __shared__ float partial[ROWS][32];
    int lane = threadIdx.x, k = blockIdx.x * 32 + lane, taps = g.R * g.S * g.C, first = blockIdx.z * TAPS;
    int windows = g.N * g.rows * g.columns, each = ceil_div(windows, gridDim.y);
    int begin = blockIdx.y * each, end = min(begin + each, windows);
    int down[TAPS], right[TAPS], offset[TAPS];  // where a tap lies from the corner
#pragma unroll
    for (int t = 0; t < TAPS; t++) {
        int tap = first + t, pixel = g.C ? tap / g.C : 0, r = pixel / g.S, s = pixel - r * g.S;
        down[t] = tap < taps ? r * g.dh : 1 << 30;  // never inside
        right[t] = s * g.dw;
        offset[t] = (r * g.dh * g.W + s * g.dw) * g.C + tap - pixel * g.C;
    }
    float acc[TAPS + 1];
#pragma unroll
    for (int t = 0; t <= TAPS; t++) acc[t] = 0;
    for (int i = begin + threadIdx.y; i < end && k < g.K; i += ROWS) {
        Pixel at = pixel_of(i, g.columns, g.by_columns, g.rows, g.by_rows);
        float dz = dout[(size_t)i * g.K + k];
        int place = argmax ? argmax[(size_t)i * g.K + k] : 0, lower = g.by_pw.divide(place);
        int h = (at.row * g.ph + lower) * g.sh - g.top;
        int v = (at.column * g.pw + place - lower * g.pw) * g.sw - g.left;
        int corner = ((at.image * g.H + h) * g.W + v) * g.C;
#pragma unroll
        for (int t = 0; t < TAPS; t++) {
            bool inside = within(h + down[t], g.H) && within(v + right[t], g.W);
            acc[t] += (inside ? x[corner + offset[t]] : 0.0f) * dz;
        }
        acc[TAPS] += dz;
    }
#pragma unroll
    for (int t = 0; t <= TAPS; t++) {
        int tap = t == TAPS ? taps : first + t;
        if (t == TAPS ? first > 0 : tap >= taps) continue;  // the same for the whole block
        partial[threadIdx.y][lane] = acc[t];
        __syncthreads();
        if (threadIdx.y == 0 && k < g.K) {
            float sum = partial[0][lane];
            for (int row = 1; row < ROWS; row++) sum += partial[row][lane];
            sums[((size_t)blockIdx.y * (taps + 1) + tap) * g.K + k] = sum;
        }
        __syncthreads();
    }
}
