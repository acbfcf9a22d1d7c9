// A convolution to start from: images NHWC, filters OHWI, one thread per element of the output.
//
// It is right for every stride, padding, dilation and number of groups, and slow: a block's threads
// read the same pixels again and again. The next steps: keep them in shared memory, and let a thread
// make several output channels of a pixel from what it has in registers.
#include "activation.cuh"  // activate(z, act): relu, tanh, …; numbered as the host does

extern "C" __global__ void my_conv2d(float* y, const float* x, const float* w, const float* b, int total, int H, int W,
                                     int C, int K, int R, int S, int P, int Q, int stride_h, int stride_w, int top,
                                     int left, int dilation_h, int dilation_w, int groups, int act) {
    int i = blockIdx.x * THREADS + threadIdx.x;  // neighbouring threads: neighbouring channels
    if (i >= total) return;                      // the last block reaches beyond the output
    int k = i % K, q = i / K % Q, p = i / K / Q % P, n = i / K / Q / P;
    int channels = C / groups, first = k / (K / groups) * channels;  // of this filter's group
    float sum = 0;
    for (int r = 0; r < R; r++) {
        int h = p * stride_h + r * dilation_h - top;
        if (h < 0 || h >= H) continue;  // padding is zero
        for (int s = 0; s < S; s++) {
            int v = q * stride_w + s * dilation_w - left;
            if (v < 0 || v >= W) continue;
            const float* pixel = x + (((size_t)n * H + h) * W + v) * C + first;
            const float* filter = w + (((size_t)k * R + r) * S + s) * channels;
            for (int c = 0; c < channels; c++) sum += pixel[c] * filter[c];
        }
    }
    y[i] = activate(b ? sum + b[k] : sum, act);
}
