// Products of bfloat16 on Hopper: bulk copies (TMA) by one warp, wgmma by two warpgroups. Compiled per
// TILE_N (128 or 256), per activation (ACT), and per form of the operands (A_DEEP: k is contiguous).
//
// A block makes tiles of 128 × TILE_N, one after the other, from strips of 64 values of k in STAGES buffers.
// The producer, one thread, waits until both consumers have left a buffer and starts the copies into it;
// each consumer multiplies 64 rows. A buffer has two barriers: `full` ends a phase when the bytes have
// arrived, `empty` when the eight warps of the consumers have done with them. Copies run ahead over tiles:
// the next tile's first strips arrive while this tile's results are written.
#include "activation.cuh"
#include "bfloat16.cuh"
#include "strips.cuh"
#include "wgmma.cuh"

constexpr int TILE_M = 128, STRIP = 64, HALF = 128, HALVES = TILE_N / HALF;
constexpr int PIECE = STRIP * SWIZZLE_ROW;  // bytes of 64 rows of an operand in a strip
constexpr int A_BYTES = TILE_M / 64 * PIECE, STAGE_BYTES = A_BYTES + TILE_N / 64 * PIECE;
constexpr int GROUP = 128, CONSUMER_WARPS = 8;

// The strip that begins at (row, k), in one box along k or in boxes of 64 rows.
template <bool DEEP, int ROWS>
__device__ __forceinline__ void load_strip(unsigned char* to, const TensorMap& map, int row, int k, uint64_t* bar) {
    if (DEEP) {
        tma_load(to, map, k, row, bar);
    } else {
#pragma unroll
        for (int piece = 0; piece < ROWS / 64; piece++) tma_load(to + piece * PIECE, map, row + piece * 64, k, bar);
    }
}

// Where the operand's rows from `row` (a multiple of 64) and 16 values of k from 16 · step begin in a strip.
template <bool DEEP> __device__ __forceinline__ uint64_t operand(const unsigned char* strip, int row, int step) {
    return wgmma_operand(strip + row / 64 * PIECE + step * (DEEP ? 32 : 16 * SWIZZLE_ROW), DEEP ? 16 : PIECE);
}

__device__ __forceinline__ void store_two(bfloat16* out, const bfloat16* bias, int m, int n, int row, int col, float x,
                                          float y) {
    if (row >= m || col >= n) return;
    bool both = col + 1 < n;
    if (bias) {
        x += to_float(bias[col]);
        if (both) y += to_float(bias[col + 1]);
    }
    x = activate(x, ACT), y = activate(y, ACT);
    bfloat16* to = out + (size_t)row * n + col;
    if (n % 2 == 0) {
        *reinterpret_cast<uint32_t*>(to) = pack_bfloat16(x, y);
    } else {
        to[0] = to_bfloat16(x);
        if (both) to[1] = to_bfloat16(y);
    }
}

// out = act(A · B + bias).
extern "C" __global__ void __launch_bounds__(384, 1)
    matmul_wgmma(bfloat16* __restrict__ out, const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap b,
                 const bfloat16* __restrict__ bias, int m, int n, int k) {
    extern __shared__ __align__(1024) unsigned char memory[];
    uint64_t* full = reinterpret_cast<uint64_t*>(memory + STAGES * STAGE_BYTES);
    uint64_t* empty = full + STAGES;
    if (threadIdx.x == 0) {
        for (int s = 0; s < STAGES; s++) {
            mbarrier_init(full + s, 1);
            mbarrier_init(empty + s, CONSUMER_WARPS);
        }
        mbarrier_init_done();
    }
    __syncthreads();
    int tiles_m = ceil_div(m, TILE_M), tiles_n = ceil_div(n, TILE_N), strips = ceil_div(k, STRIP);
    int stage = 0, parity = 0;  // of the buffer's use: 0 for the first, 1 for the second, …
    auto advance = [&] {
        if (++stage == STAGES) stage = 0, parity ^= 1;
    };
    if (threadIdx.x < GROUP) {
        fewer_registers<40>();
        if (threadIdx.x) return;
        for (int block = blockIdx.x; block < tiles_m * tiles_n; block += gridDim.x) {
            int2 tile = grouped_tile(block, tiles_m, tiles_n);
            for (int strip = 0; strip < strips; strip++, advance()) {
                unsigned char* to = memory + stage * STAGE_BYTES;
                mbarrier_wait(empty + stage, parity ^ 1);
                mbarrier_expect(full + stage, STAGE_BYTES);
                load_strip<A_DEEP, TILE_M>(to, a, tile.x * TILE_M, strip * STRIP, full + stage);
                load_strip<B_DEEP, TILE_N>(to + A_BYTES, b, tile.y * TILE_N, strip * STRIP, full + stage);
            }
        }
        return;
    }
    more_registers<232>();
    int row = (threadIdx.x / GROUP - 1) * 64, warp = threadIdx.x % GROUP / 32, lane = threadIdx.x % 32;
    for (int block = blockIdx.x; block < tiles_m * tiles_n; block += gridDim.x) {
        int2 tile = grouped_tile(block, tiles_m, tiles_n);
        float acc[HALVES][64];
        uint64_t* last = nullptr;  // of the strip whose products are under way
        for (int strip = 0; strip < strips; strip++, advance()) {
            const unsigned char* from = memory + stage * STAGE_BYTES;
            mbarrier_wait(full + stage, parity);
            wgmma_fence();
#pragma unroll
            for (int step = 0; step < STRIP / 16; step++)
#pragma unroll
                for (int half = 0; half < HALVES; half++)
                    wgmma<A_DEEP, B_DEEP>(acc[half], operand<A_DEEP>(from, row, step),
                                          operand<B_DEEP>(from + A_BYTES, half * HALF, step), strip + step > 0);
            wgmma_commit();
            wgmma_wait<1>();
            if (last && lane == 0) mbarrier_arrive(last);
            last = empty + stage;
        }
        wgmma_wait<0>();
        if (lane == 0) mbarrier_arrive(last);
        int m0 = tile.x * TILE_M + row + warp * 16 + lane / 4, n0 = tile.y * TILE_N + lane % 4 * 2;
#pragma unroll
        for (int half = 0; half < HALVES; half++)
#pragma unroll
            for (int e = 0; e < 64; e += 2)
                store_two(out, bias, m, n, m0 + e / 2 % 2 * 8, n0 + half * HALF + e / 4 * 8, acc[half][e],
                          acc[half][e + 1]);
    }
}
