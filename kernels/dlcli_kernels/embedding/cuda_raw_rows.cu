// Rows of a table by their ids, and the sum of rows by the id that they belong to: WIDTH floats per access.
//
// The gradient is without atomics and adds in ascending order of position. A block owns some neighbouring
// rows of the table, and 32 · WIDTH columns of them, which it alone writes. It reads all ids, 1,024 at a time
// (they come from the L2), and makes a list of the positions whose id is one of its rows, in order. Each
// row belongs to one of its warps, which walks through the list and adds the row's gradients, four of them
// in flight, in registers. V/rows blocks read n ids each: 128 rows at most make that 8 n V/128 bytes of L2.
#include "wide.cuh"

constexpr int BLOCK = 256, WARPS = BLOCK / 32, EACH = 4, TILE = BLOCK * EACH, AHEAD = 4;

// The row of dtable that a warp adds to, in registers until another one's turn comes.
struct Accumulator {
    float* row;  // null: none
    float sum[WIDTH];
    __device__ __forceinline__ void leave() {
        if (row) store_wide<WIDTH>(row, sum);
    }
    __device__ __forceinline__ void add(float* to, const float (&v)[WIDTH]) {
        if (to != row) {
            leave();
            row = to;
            load_wide<WIDTH>(sum, to);
        }
#pragma unroll
        for (int j = 0; j < WIDTH; j++) sum[j] += v[j];
    }
};

// Appends to `list` the positions of the tile from `start` whose id is one of the rows first … first + count − 1,
// as row · TILE + place in the tile, in order. Returns how many there are, in all threads.
__device__ __forceinline__ int matches(int* list, int* of_warp, const long long* ids, int start, int n,
                                       long long first, int count, long long padding) {
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32, place = warp * 32 * EACH + lane;
    int row[EACH];
    unsigned votes[EACH];
    int mine = 0;
#pragma unroll
    for (int j = 0; j < EACH; j++) {
        int position = start + place + j * 32;
        long long id = position < n ? ids[position] : -1;
        bool match = id >= first && id < first + count && id != padding;
        row[j] = match ? static_cast<int>(id - first) : -1;
        votes[j] = __ballot_sync(0xffffffffu, match);
        mine += __popc(votes[j]);
    }
    if (lane == 0) of_warp[warp] = mine;
    __syncthreads();
    int at = 0, total = 0;
    for (int w = 0; w < WARPS; w++) {
        if (w == warp) at = total;
        total += of_warp[w];
    }
#pragma unroll
    for (int j = 0; j < EACH; j++) {
        if (row[j] >= 0) list[at + __popc(votes[j] & ((1u << lane) - 1))] = row[j] * TILE + place + j * 32;
        at += __popc(votes[j]);
    }
    __syncthreads();
    return total;
}

extern "C" {

// across: threads to a row, a power of two up to 256. An id that is no row of the table gives NaN.
__global__ void __launch_bounds__(BLOCK)
    embedding(float* __restrict__ out, const float* __restrict__ table, const long long* __restrict__ ids, int n,
              int rows, int columns, int across) {
    int at_once = BLOCK / across, lane = (threadIdx.x & (across - 1)) * WIDTH;
    for (int i = blockIdx.x * at_once + threadIdx.x / across; i < n; i += gridDim.x * at_once) {
        long long id = ids[i];
        bool known = id >= 0 && id < rows;
        const float* from = table + (known ? (size_t)id * columns : 0);
#pragma unroll 4
        for (int column = lane; column < columns; column += across * WIDTH) {
            float v[WIDTH];
            if (known) load_wide<WIDTH>(v, from + column);
#pragma unroll
            for (int j = 0; j < WIDTH; j++) v[j] = known ? v[j] : NAN;
            store_wide<WIDTH>(out + (size_t)i * columns + column, v);
        }
    }
}

// A block: rows blockIdx.x / tiles · share and on, columns blockIdx.x % tiles · 32 · WIDTH and on. padding: an
// id without a gradient, or −1.
__global__ void __launch_bounds__(BLOCK)
    embedding_grad(float* dtable, const float* __restrict__ dout, const long long* __restrict__ ids, int n, int rows,
                   int columns, int share, int tiles, int padding) {
    __shared__ int list[TILE], of_warp[WARPS];
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    int first = blockIdx.x / tiles * share, count = min(share, rows - first);
    int column = (blockIdx.x % tiles * 32 + lane) * WIDTH;
    bool inside = column < columns;
    float* mine = dtable + (size_t)first * columns + column;
    const float zeros[WIDTH] = {};
    if (inside)
        for (int row = warp; row < count; row += WARPS) store_wide<WIDTH>(mine + (size_t)row * columns, zeros);
    Accumulator acc{nullptr, {}};
    for (int start = 0; start < n; start += TILE) {
        int found = matches(list, of_warp, ids, start, n, first, count, padding);
        for (int i = 0; i < found; i += 32) {
            int entry = i + lane < found ? list[i + lane] : 0;
            unsigned left = __ballot_sync(0xffffffffu, i + lane < found && entry / TILE % WARPS == warp);
            while (left) {  // the same in all lanes
                float v[AHEAD][WIDTH];
                float* to[AHEAD];
#pragma unroll
                for (int k = 0; k < AHEAD; k++) {
                    int chosen = __shfl_sync(0xffffffffu, entry, left ? __ffs(left) - 1 : 0);
                    to[k] = left && inside ? mine + (size_t)(chosen / TILE) * columns : nullptr;
                    if (to[k]) load_wide<WIDTH>(v[k], dout + (size_t)(start + chosen % TILE) * columns + column);
                    left &= left - 1;
                }
#pragma unroll
                for (int k = 0; k < AHEAD; k++)
                    if (to[k]) acc.add(to[k], v[k]);
            }
        }
        __syncthreads();  // the list has been read before the next one is made
    }
    acc.leave();
}
}
