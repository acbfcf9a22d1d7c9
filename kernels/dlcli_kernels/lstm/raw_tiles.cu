// What comes before the steps by tiles (recurrent_tiles.cuh), whatever the cell: the weights laid out by slices of
// 8 units, and the first states.
#include "dlcli.cuh"

constexpr int UNITS = 8;

extern "C" {

// packed[slice][k][unit][gate] from w (gates · H, H): a block transposes the rows of 8 units by 32 columns.
// places: of gates, 1 or 4; those that w has no rows for are zeros.
__global__ void __launch_bounds__(256) recurrent_pack(float* packed, const float* w, int units, int gates, int places) {
    __shared__ float tile[4 * UNITS][33];
    int first = blockIdx.x * UNITS, k0 = blockIdx.y * 32, lane = threadIdx.x % 32, columns = UNITS * places;
    for (int row = threadIdx.x / 32; row < columns; row += 8) {
        int unit = first + row / places, gate = row % places, k = k0 + lane;
        bool inside = unit < units && gate < gates && k < units;
        tile[row][lane] = inside ? w[(size_t)(gate * units + unit) * units + k] : 0;
    }
    __syncthreads();
    for (int k = threadIdx.x / 32; k < 32 && k0 + k < units; k += 8)
        if (lane < columns) packed[((size_t)blockIdx.x * units + k0 + k) * columns + lane] = tile[lane][k];
}

// packed[slice][row of w][unit]; rows: gates · H.
__global__ void __launch_bounds__(256) recurrent_pack_grad(float* packed, const float* w, int units, int rows) {
    int i = blockIdx.y * 256 + threadIdx.x, row = i / UNITS, unit = blockIdx.x * UNITS + i % UNITS;
    if (row >= rows) return;
    packed[((size_t)blockIdx.x * rows + row) * UNITS + i % UNITS] =
        unit < units ? w[(size_t)row * units + unit] : 0;
}

// The states (n, units) before the first step: copies, or zeros where none are given. b may be null. passed: the
// first one for all blocks, transposed, or null. counter: of grid_sync.
__global__ void __launch_bounds__(256)
    recurrent_begin(float* a, float* b, float* passed, unsigned* counter, const float* a0, const float* b0, int n,
                    int units, int pitch) {
    if (blockIdx.x == 0 && threadIdx.x == 0) *counter = 0;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n * units; i += gridDim.x * blockDim.x) {
        a[i] = a0 ? a0[i] : 0;
        if (b) b[i] = b0 ? b0[i] : 0;
        if (passed) passed[(size_t)(i % units) * pitch + i / units] = a[i];
    }
}
}
