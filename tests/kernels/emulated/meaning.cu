// Correct kernels whose results tell that the emulator means by CUDA's words what CUDA means.
#include "mma.cuh"
#include "reduce.cuh"

extern "C" {

// 8 sums of each thread's value over its warp, by every kind of shuffle; votes as bits.
__global__ void shuffles(float* sums, unsigned* votes, const float* x) {
    int lane = threadIdx.x % 32;
    float v = x[threadIdx.x], xored = warp_reduce<Sum>(v), down = v, up = v;
    for (int step = 16; step > 0; step /= 2) down += __shfl_down_sync(FULL_WARP, down, step);
    for (int step = 1; step < 32; step *= 2) {
        float below = __shfl_up_sync(FULL_WARP, up, step);
        if (lane >= step) up += below;
    }
    sums[threadIdx.x * 4] = xored;
    sums[threadIdx.x * 4 + 1] = __shfl_sync(FULL_WARP, down, 0);
    sums[threadIdx.x * 4 + 2] = up;
    sums[threadIdx.x * 4 + 3] = __shfl_xor_sync(FULL_WARP, v, 1, 8);
    unsigned positive = __ballot_sync(FULL_WARP, v > 0);
    int all = __all_sync(FULL_WARP, v > -100), any = __any_sync(FULL_WARP, v > 100);
    votes[threadIdx.x] = positive ^ (all && !any ? 0 : ~0u);
}

__global__ void blocks(float* out, const float* x, int n) {
    __shared__ float shared[32];
    int at = blockIdx.x * blockDim.x + threadIdx.x;
    float v = at < n ? x[at] : 0;
    float sum = block_reduce<Sum>(v, shared), largest = block_reduce<Max>(v, shared);
    int positive = __syncthreads_count(v > 0);
    if (threadIdx.x == 0) {
        out[blockIdx.x * 3] = sum;
        out[blockIdx.x * 3 + 1] = largest;
        out[blockIdx.x * 3 + 2] = positive;
    }
}

__global__ void histogram(int* counts, const int* x, int n) {
    __shared__ int mine[16];
    if (threadIdx.x < 16) mine[threadIdx.x] = 0;
    __syncthreads();
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) atomicAdd(&mine[x[i]], 1);
    __syncthreads();
    if (threadIdx.x < 16) atomicAdd(&counts[threadIdx.x], mine[threadIdx.x]);
}

__global__ void reversed(float* y, const float* x) {  // through dynamic shared memory, in 16-byte copies
    extern __shared__ float dynamic[];
    async_copy_if<16>(&dynamic[4 * threadIdx.x], &x[4 * threadIdx.x], threadIdx.x != 1);
    async_commit();
    async_wait<0>();
    __syncthreads();
    for (int i = 0; i < 4; i++) y[4 * threadIdx.x + i] = dynamic[4 * blockDim.x - 1 - 4 * threadIdx.x - i];
}

__global__ void ring(float* y, unsigned* counter, int rounds) {  // each block passes its value to the next
    float v = blockIdx.x;
    for (int i = 0; i < rounds; i++) {
        if (threadIdx.x == 0) y[blockIdx.x] = v;
        grid_sync(counter);
        v = y[(blockIdx.x + 1) % gridDim.x];
        grid_sync(counter);
    }
    if (threadIdx.x == 0) y[blockIdx.x] = v;
}

__global__ void product_tf32(float* d, const float* a, const float* b) {  // 16×8 times 8×8
    int g = threadIdx.x / 4, t = threadIdx.x % 4;
    float sum[4] = {};
    uint32_t x[4] = {to_tf32(a[g * 8 + t]), to_tf32(a[(g + 8) * 8 + t]), to_tf32(a[g * 8 + t + 4]),
                     to_tf32(a[(g + 8) * 8 + t + 4])};
    uint32_t y[2] = {to_tf32(b[t * 8 + g]), to_tf32(b[(t + 4) * 8 + g])};
    mma_tf32(sum, x, y);
    for (int e = 0; e < 4; e++) d[(g + e / 2 * 8) * 8 + 2 * t + e % 2] = sum[e];
}

__global__ void product_bf16(float* d, const float* a, const float* b) {  // 16×16 times 16×8, by ldmatrix
    __shared__ __align__(16) uint16_t left[16 * 16];
    __shared__ __align__(16) uint16_t right[16 * 8];
    int lane = threadIdx.x, g = lane / 4, t = lane % 4;
    for (int i = lane; i < 256; i += 32) left[i] = to_bfloat16(a[i]).bits;
    for (int i = lane; i < 128; i += 32) right[i] = to_bfloat16(b[i]).bits;
    __syncwarp();
    uint32_t x[4], both[4];
    ldmatrix<false>(x, left + lane % 16 * 16 + lane / 16 * 8);
    ldmatrix<true>(both, right + lane % 16 * 8);
    uint32_t y[2] = {both[0], both[1]};
    float sum[4] = {};
    mma_bf16(sum, x, y);
    for (int e = 0; e < 4; e++) d[(g + e / 2 * 8) * 8 + 2 * t + e % 2] = sum[e];
}
}
