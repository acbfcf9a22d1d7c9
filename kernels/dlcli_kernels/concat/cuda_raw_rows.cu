// Rows put together of parts of other rows: all of a concatenation, a range of columns, and its gradient.
//
// out (rows, columns) is `a` in its first columns, then `b`, then zeros; a null one is zeros. A thread copies WIDTH
// neighbours (4 where everything begins on a boundary of 16 bytes), neighbouring threads neighbouring ones: every
// element is read and written once, in whole lines of memory.
#include "wide.cuh"

// a: its first row's first element that counts; a_pitch: from row to row. a_end, b_end: columns where they end in
// out. n: rows · columns / WIDTH.
extern "C" __global__ void __launch_bounds__(256)
    rows_of_two(float* __restrict__ out, const float* __restrict__ a, const float* __restrict__ b, int n, int columns,
                int a_pitch, int a_first, int a_end, int b_pitch, int b_end) {
    int pieces = columns / WIDTH;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
        int row = i / pieces, column = (i - row * pieces) * WIDTH;
        float values[WIDTH] = {};
        if (column < a_end) {
            if (a) load_wide<WIDTH>(values, a + (size_t)row * a_pitch + a_first + column);
        } else if (column < b_end) {
            load_wide<WIDTH>(values, b + (size_t)row * b_pitch + column - a_end);
        }
        store_wide<WIDTH>(out + (size_t)i * WIDTH, values);
    }
}
