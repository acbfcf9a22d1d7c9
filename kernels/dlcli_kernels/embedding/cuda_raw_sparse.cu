// Which rows of a table a gradient is of, in order and each once, and where each of them stands: without sorting and
// without atomics of memory.
//
// The rows are bits, in chunks of 8,192. A block owns a chunk, reads all ids (they come from the L2) and sets the
// bits of its own in shared memory; it leaves them and their number behind. The next kernel knows from these numbers
// where the rows of each chunk begin, and lists them: 8 n V / 8,192 bytes of ids from the L2, V / 4 of bits and
// numbers. The place of an id among the rows is then a count of bits.
#include "reduce.cuh"
#include "wide.cuh"

constexpr int BLOCK = 256, CHUNK = 32 * BLOCK;  // a word of 32 rows to each thread

// The sum of v over the threads before this one; `total` becomes that over all. room: 8 words of shared memory.
__device__ __forceinline__ int sum_before(int v, int* room, int& total) {
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32, sum = v;
#pragma unroll
    for (int step = 1; step < 32; step *= 2) {
        int other = __shfl_up_sync(FULL_WARP, sum, step);
        if (lane >= step) sum += other;
    }
    if (lane == 31) room[warp] = sum;
    __syncthreads();
    int before = 0;
    total = 0;
    for (int w = 0; w < BLOCK / 32; w++) {
        if (w == warp) before = total;
        total += room[w];
    }
    __syncthreads();  // the room may be used again
    return before + sum - v;
}

__device__ __forceinline__ void mark(unsigned* bits, const long long* ids, int n, long long first, int rows,
                                     int padding) {
    for (int i = threadIdx.x; i < n; i += BLOCK) {
        long long id = ids[i], at = id - first;
        if (at >= 0 && at < CHUNK && id < rows && id != padding) atomicOr(bits + at / 32, 1u << at % 32);
    }
}

// The place of the first row not below `row` in an index that ascends.
__device__ __forceinline__ int find(const long long* index, int count, long long row) {
    int low = 0, high = count;
    while (low < high) {
        int middle = (low + high) / 2;
        if (index[middle] < row)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

extern "C" {

// bits (chunks · 256), counts (chunks). `more` may be null. padding: an id that counts for nothing, or −1.
__global__ void __launch_bounds__(BLOCK)
    used_rows(unsigned* bits, int* counts, const long long* ids, int n, const long long* more, int n_more, int rows,
              int padding) {
    __shared__ unsigned own[BLOCK];
    __shared__ int room[BLOCK / 32];
    own[threadIdx.x] = 0;
    __syncthreads();
    long long first = static_cast<long long>(blockIdx.x) * CHUNK;
    mark(own, ids, n, first, rows, padding);
    if (more) mark(own, more, n_more, first, rows, padding);
    __syncthreads();
    unsigned word = own[threadIdx.x];
    int total;
    sum_before(__popc(word), room, total);
    bits[blockIdx.x * BLOCK + threadIdx.x] = word;
    if (threadIdx.x == 0) counts[blockIdx.x] = total;
}

// index (most): the rows used, then `rows`. before (chunks · 256): how many rows are used before each word's.
__global__ void __launch_bounds__(BLOCK)
    list_rows(long long* index, int* before, const unsigned* bits, const int* counts, int rows, int most) {
    __shared__ int room[BLOCK / 32];
    int earlier = 0, all = 0;  // of this thread's share of the chunks
    for (int chunk = threadIdx.x; chunk < gridDim.x; chunk += BLOCK) {
        int count = counts[chunk];
        all += count;
        if (chunk < blockIdx.x) earlier += count;
    }
    int begin, used, in_chunk;
    sum_before(earlier, room, begin);
    sum_before(all, room, used);
    int word = blockIdx.x * BLOCK + threadIdx.x;
    unsigned left = bits[word];
    int place = begin + sum_before(__popc(left), room, in_chunk);
    before[word] = place;
    for (; left; left &= left - 1) index[place++] = static_cast<long long>(word) * 32 + __ffs(left) - 1;
    for (int i = used + word; i < most; i += gridDim.x * BLOCK) index[i] = rows;
}

// places (n): where each id's row stands in the index, −1 where it has none.
__global__ void __launch_bounds__(BLOCK)
    places_of(long long* places, const long long* ids, const unsigned* bits, const int* before, int n, int rows,
              int padding) {
    for (int i = blockIdx.x * BLOCK + threadIdx.x; i < n; i += gridDim.x * BLOCK) {
        long long id = ids[i];
        bool known = id >= 0 && id < rows && id != padding;
        unsigned below = known ? bits[id / 32] & ((1u << id % 32) - 1) : 0;
        places[i] = known ? before[id / 32] + __popc(below) : -1;
    }
}

// out (most, columns): for each row of `index` the sum of what two gradients have of it, zeros where it is none.
__global__ void __launch_bounds__(BLOCK)
    add_rows(float* __restrict__ out, const long long* __restrict__ index, const long long* __restrict__ a_index,
             const float* __restrict__ a, int a_count, const long long* __restrict__ b_index,
             const float* __restrict__ b, int b_count, int rows, int columns, int most) {
    int pieces = columns / WIDTH, n = most * pieces;
    for (int i = blockIdx.x * BLOCK + threadIdx.x; i < n; i += gridDim.x * BLOCK) {
        int place = i / pieces, column = (i - place * pieces) * WIDTH;
        long long row = index[place];
        float sum[WIDTH] = {}, other[WIDTH] = {};
        if (row < rows) {
            int from_a = find(a_index, a_count, row), from_b = find(b_index, b_count, row);
            if (from_a < a_count && a_index[from_a] == row)
                load_wide<WIDTH>(sum, a + (size_t)from_a * columns + column);
            if (from_b < b_count && b_index[from_b] == row)
                load_wide<WIDTH>(other, b + (size_t)from_b * columns + column);
        }
#pragma unroll
        for (int j = 0; j < WIDTH; j++) sum[j] += other[j];
        store_wide<WIDTH>(out + (size_t)i * WIDTH, sum);
    }
}
}
