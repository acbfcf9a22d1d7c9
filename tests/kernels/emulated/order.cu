// What orders accesses and what does not: pairs of one fault and one correct kernel that differs in little.
// The line that must be reported carries the kernel's name.
#include "dlcli.cuh"
#include "reduce.cuh"

extern "C" {

// --- faults ----------------------------------------------------------------------------------------

__global__ void plain_and_atomic(int* y) {
    __shared__ int count;
    if (threadIdx.x == 0) count = 0;
    __syncthreads();
    atomicAdd(&count, 1);  // plain_and_atomic
    if (threadIdx.x == 5) count = 7;  // plain_and_atomic
    __syncthreads();
    y[threadIdx.x] = count;
}

__global__ void atomic_and_read(int* y) {
    atomicAdd(&y[0], 1);  // atomic_and_read
    if (threadIdx.x == 40) y[40] = y[0];  // atomic_and_read
}

__global__ void blocks_atomic_and_plain(int* y) {
    if (blockIdx.x == 0 && threadIdx.x == 0) y[0] = 0;  // blocks_atomic_and_plain
    if (threadIdx.x == 1) atomicAdd(&y[0], 1);  // blocks_atomic_and_plain
}

__global__ void same_byte(int* y) {
    __shared__ unsigned char bytes[64];
    bytes[threadIdx.x] = 0;
    __syncthreads();
    bytes[threadIdx.x / 2] = 1;  // same_byte
    __syncthreads();
    y[threadIdx.x] = bytes[threadIdx.x];
}

__global__ void byte_of_another(int* y) {
    __shared__ unsigned char bytes[64];
    bytes[threadIdx.x] = 1;  // byte_of_another
    y[threadIdx.x] = bytes[threadIdx.x ^ 1];  // byte_of_another
}

__global__ void word_of_bytes(int* y) {
    __shared__ __align__(4) unsigned char bytes[64];
    bytes[threadIdx.x] = 1;  // word_of_bytes
    y[threadIdx.x] = *reinterpret_cast<int*>(&bytes[threadIdx.x / 4 * 4]);  // word_of_bytes
}

__global__ void same_half_of_buffer(uint16_t* y) {
    y[threadIdx.x / 2] = 3;  // same_half_of_buffer
}

__global__ void sync_of_other_lanes(int* y) {  // the lanes that meet are not those that exchange
    __shared__ int shared[64];
    shared[threadIdx.x] = 0;
    __syncthreads();
    shared[threadIdx.x] = threadIdx.x;  // sync_of_other_lanes
    if (threadIdx.x % 32 < 16) __syncwarp(0x0000ffffu);
    else __syncwarp(0xffff0000u);
    y[threadIdx.x] = shared[threadIdx.x ^ 16];  // sync_of_other_lanes
}

__global__ void same_value(int* y) {
    __shared__ int flag;
    if (threadIdx.x > 3) flag = 1;  // same_value
    __syncthreads();
    y[threadIdx.x] = flag;
}

__global__ void flag_without_fence(int* y, volatile int* flag) {
    if (threadIdx.x == 0 && blockIdx.x == 0) {
        y[0] = 42;  // flag_without_fence
        *flag = 1;
    }
    if (threadIdx.x == 0 && blockIdx.x == 1) {
        while (*flag == 0) {
        }
        y[1] = y[0];  // flag_without_fence
    }
}

__global__ void last_block_without_fence(float* y, unsigned* count, float* sums) {
    __shared__ bool last;
    if (threadIdx.x == 0) {
        sums[blockIdx.x] = blockIdx.x;  // last_block_without_fence
        last = atomicAdd(count, 1u) == gridDim.x - 1;
    }
    __syncthreads();
    if (last && threadIdx.x == 0)
        for (int i = 0; i < gridDim.x; i++) y[0] += sums[i];  // last_block_without_fence
}

__global__ void fence_of_the_block_only(float* y, unsigned* count, float* sums) {
    if (threadIdx.x == 0) {
        sums[blockIdx.x] = blockIdx.x;  // fence_of_the_block_only
        __threadfence_block();
        if (atomicAdd(count, 1u) == gridDim.x - 1)
            for (int i = 0; i < gridDim.x; i++) y[0] += sums[i];  // fence_of_the_block_only
    }
}

__global__ void copied_by_memcpy(int* y) {
    __shared__ int shared[64];
    shared[threadIdx.x] = threadIdx.x;  // copied_by_memcpy
    memcpy(&y[threadIdx.x], &shared[threadIdx.x ^ 1], 4);  // copied_by_memcpy
}

__global__ void a_group_too_many(float* y, const float* x) {
    __shared__ float shared[2][64];
    for (int i = 0; i < 2; i++) {
        async_copy<4>(&shared[i][threadIdx.x], &x[threadIdx.x]);
        async_commit();
    }
    async_wait<1>();
    __syncthreads();
    y[threadIdx.x] = shared[1][threadIdx.x];  // a_group_too_many
}

// --- correct ones ----------------------------------------------------------------------------------

__global__ void neighbours_in_a_word(int* y) {
    __shared__ unsigned char bytes[64];
    __shared__ uint16_t halves[64];
    bytes[threadIdx.x] = threadIdx.x;
    halves[threadIdx.x] = 2 * threadIdx.x;
    bytes[threadIdx.x] = bytes[threadIdx.x] + 1;  // each its own
    halves[threadIdx.x] += 1;
    __syncthreads();
    y[threadIdx.x] = bytes[threadIdx.x ^ 1] + halves[threadIdx.x ^ 1];
}

__global__ void bytes_of_an_array_of_words(int* y) {
    auto* bytes = reinterpret_cast<unsigned char*>(y);
    for (int i = threadIdx.x; i < 256; i += 64) bytes[i] = bytes[i] + i / 64 + 1;
}

__global__ void halves_of_a_warp(int* y) {
    __shared__ int shared[64];
    shared[threadIdx.x] = threadIdx.x;
    if (threadIdx.x % 32 < 16) __syncwarp(0x0000ffffu);
    else __syncwarp(0xffff0000u);
    y[threadIdx.x] = shared[threadIdx.x ^ 8];
    __syncwarp();
    shared[threadIdx.x] = 0;
}

__global__ void one_reads_for_others(int* y) {  // lane 2 is ordered after the readers 0 and 1, and reads too
    __shared__ int shared[32];
    if (threadIdx.x == 31) shared[0] = 5;
    __syncthreads();
    int v = threadIdx.x < 3 ? shared[0] : 0;
    if (threadIdx.x < 3) __syncwarp(7u);
    if (threadIdx.x == 2) shared[0] = v + shared[0];
    __syncthreads();
    y[threadIdx.x] = shared[0];
}

__global__ void double_buffered(float* y, const float* x, int rounds) {  // one barrier a round
    __shared__ float buffer[2][64];
    float sum = 0;
    buffer[0][threadIdx.x] = x[threadIdx.x];
    for (int i = 0; i < rounds; i++) {
        __syncthreads();
        if (i + 1 < rounds) buffer[(i + 1) % 2][threadIdx.x] = x[(i + 1) * 64 + threadIdx.x];
        sum += buffer[i % 2][63 - threadIdx.x];
    }
    y[threadIdx.x] = sum;
}

__global__ void last_block(float* y, unsigned* count, volatile float* sums) {  // of the programming guide
    __shared__ bool last;
    if (threadIdx.x == 0) {
        sums[blockIdx.x] = blockIdx.x + 1;
        __threadfence();
        last = atomicInc(count, gridDim.x - 1) == gridDim.x - 1;
    }
    __syncthreads();
    if (!last) return;
    float sum = 0;
    for (int i = threadIdx.x; i < gridDim.x; i += blockDim.x) sum += sums[i];
    sum = warp_reduce<Sum>(sum);
    if (threadIdx.x == 0) y[0] = sum;
}

__global__ void last_block_of_all_threads(float* y, unsigned* count, float* sums) {  // partials of every thread
    __shared__ bool last;
    sums[blockIdx.x * 32 + threadIdx.x] = 1;
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) last = atomicAdd(count, 1u) == gridDim.x - 1;
    __syncthreads();
    __threadfence();
    if (!last) return;
    float sum = 0;
    for (int i = 0; i < gridDim.x; i++) sum += sums[i * 32 + 31 - threadIdx.x];
    y[threadIdx.x] = sum;
    if (threadIdx.x == 0) *count = 0;
}

__global__ void flags_between_blocks(int* y, volatile int* flags) {  // each waits for the next
    if (blockIdx.x + 1 < gridDim.x)
        while (flags[blockIdx.x + 1] == 0) {
        }
    __threadfence();
    y[blockIdx.x] = blockIdx.x + 1 < gridDim.x ? y[blockIdx.x + 1] + 1 : 1;
    __threadfence();
    flags[blockIdx.x] = 1;
}

__global__ void flag_between_warps(int* y) {
    __shared__ int values[32];
    __shared__ int ready;
    if (threadIdx.x == 0) ready = 0;
    __syncthreads();
    if (threadIdx.x >= 32) {
        values[threadIdx.x - 32] = 3 * threadIdx.x;
        __syncwarp();
        __threadfence_block();
        if (threadIdx.x == 32) atomicExch(&ready, 1);
    } else {
        if (threadIdx.x == 0)
            while (atomicAdd(&ready, 0) == 0) {
            }
        __syncwarp();
        y[threadIdx.x] = values[31 - threadIdx.x];
    }
}

__global__ void reused_shared(float* y, const float* x) {  // as floats, then as integers
    __shared__ union { float floats[64]; int ints[64]; } shared;
    shared.floats[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    float v = shared.floats[63 - threadIdx.x];
    __syncthreads();
    shared.ints[threadIdx.x] = threadIdx.x;
    __syncthreads();
    y[threadIdx.x] = v + shared.ints[63 - threadIdx.x];
}

__global__ void scan(int* y, const int* x) {  // Hillis and Steele, inclusive, of one block of any size
    extern __shared__ int both[];
    int n = blockDim.x, from = 0;
    both[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    for (int step = 1; step < n; step *= 2) {
        int v = both[from * n + threadIdx.x];
        if (threadIdx.x >= step) v += both[from * n + threadIdx.x - step];
        from = 1 - from;
        both[from * n + threadIdx.x] = v;
        __syncthreads();
    }
    y[threadIdx.x] = both[from * n + threadIdx.x];
}
}
