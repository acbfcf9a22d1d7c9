// Steps of a recurrent layer, or of its gradient, of any number of units: a block makes 8 units of tiles of 16
// sequences. The cell is a template argument (recurrent.cuh). Launched once for all steps, with a barrier of the
// grid between two (RESIDENT 1: a block keeps its weights in shared memory, 128 H bytes for an LSTM), or once per
// step (RESIDENT 0: it reads them from the L2 each time).
//
//     run       z (16, 8 · gates) = zx + h (16, H) · wᵀ, then the gates; the next h
//     gradient  what is passed on of a step, dz (16, 8 · gates), then dh (16, 8) = dz · w by all that need it
//
// What a step passes to others goes through memory, transposed: (inputs, sequences), so that a chunk of it is what
// a thread multiplies: 4 sequences by 4 results in registers, 16 FMAs for two 128-bit reads of shared memory. The
// results are the gates of a unit, of which a GRU leaves the fourth alone, or 4 units. The warps share the depth
// of the product, each copies chunks of its own ahead (cp.async, past the L1 cache, which may be stale), and their
// sums are added in order.
// A step of N sequences through an LSTM reads 64 H N / 16 · H/8 bytes of h from the L2, and w where it is not kept.
#pragma once
#include "recurrent.cuh"

constexpr int TILE = 16, OWN_UNITS = 8, THREADS = 256, WARPS = 8, CHUNK = 32;

template <int COLUMNS> struct Stage {  // floats of a chunk: inputs and, where they are not kept, weights
    static constexpr int SIZE = CHUNK * (TILE + (RESIDENT ? 0 : COLUMNS)), ALL = WARPS * 2 * SIZE;
    static_assert(WARPS * TILE * COLUMNS <= ALL, "the warps' sums lie in their place");
};
// Results of a block per sequence: places for four gates of each unit, or the units.
__device__ constexpr int columns_of(int products) { return products > 1 ? 4 * OWN_UNITS : OWN_UNITS; }

// sum[] = Σ_k inputs[k][n] · weights[k][unit's columns] for threads 0 … 127: n is threadIdx.x / 8, the unit
// threadIdx.x % 8. `kept`: the weights in shared memory, up to a whole chunk of zeros; else they are `weights`.
template <int PRODUCTS>
__device__ __forceinline__ void product(float (&sum)[PRODUCTS], const float* kept, float* stages, const float* inputs,
                                        int pitch, const float* weights, int depth) {
    constexpr int COLUMNS = columns_of(PRODUCTS), SLICES = 32 / COLUMNS, SIZE = Stage<COLUMNS>::SIZE;
    constexpr int USED = PRODUCTS > 1 ? PRODUCTS : 4;  // of a thread's four columns
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32, chunks = ceil_div(depth, CHUNK);
    int slice = lane / COLUMNS, row = lane % 4 * 4, column = lane % COLUMNS / 4 * 4;
    float* mine = stages + warp * 2 * SIZE;
    auto issue = [&](int chunk, int turn) {  // an empty group beyond the last
        float* to = mine + turn % 2 * SIZE;
        if (chunk < chunks) {
#pragma unroll
            for (int i = lane; i < CHUNK * TILE / 4; i += 32) {
                int k = chunk * CHUNK + i / 4;
                async_copy_if<16>(to + i * 4, inputs + (size_t)(k < depth ? k : 0) * pitch + i % 4 * 4, k < depth);
            }
            if (!RESIDENT) {
#pragma unroll
                for (int i = lane; i < CHUNK * COLUMNS / 4; i += 32) {
                    int k = chunk * CHUNK + i / (COLUMNS / 4);
                    const float* from = weights + (k < depth ? (size_t)chunk * CHUNK * COLUMNS + i * 4 : 0);
                    async_copy_if<16>(to + CHUNK * TILE + i * 4, from, k < depth);
                }
            }
        }
        async_commit();
    };
    float acc[4][4] = {};
    issue(warp, 0);
    for (int chunk = warp, turn = 0; chunk < chunks; chunk += WARPS, turn++) {
        issue(chunk + WARPS, turn + 1);
        async_wait<1>();
        __syncwarp();
        const float* a = mine + turn % 2 * SIZE;
        const float* b = RESIDENT ? kept + chunk * CHUNK * COLUMNS : a + CHUNK * TILE;
#ifdef DLCLI_EMULATE
#pragma unroll 1
#else
#pragma unroll 8
#endif
        for (int k = slice; k < CHUNK; k += SLICES) {
            float4 v = load4(a + k * TILE + row), w = load4(b + k * COLUMNS + column);
            const float rows[4] = {v.x, v.y, v.z, v.w}, columns[4] = {w.x, w.y, w.z, w.w};
#pragma unroll
            for (int i = 0; i < 4; i++)
#pragma unroll
                for (int j = 0; j < USED; j++) acc[i][j] += rows[i] * columns[j];
        }
        __syncwarp();  // all lanes have read what is overwritten next
    }
#pragma unroll
    for (int distance = COLUMNS; distance < 32; distance *= 2)
#pragma unroll
        for (int i = 0; i < 4; i++)
#pragma unroll
            for (int j = 0; j < USED; j++) acc[i][j] += __shfl_xor_sync(0xffffffffu, acc[i][j], distance);
    __syncthreads();  // nobody reads a stage any more, and the copies still under way are empty ones
    if (slice == 0)
#pragma unroll
        for (int i = 0; i < 4; i++)
            store4(stages + (warp * TILE + row + i) * COLUMNS + column,
                   make_float4(acc[i][0], acc[i][1], acc[i][2], acc[i][3]));
    __syncthreads();
#pragma unroll
    for (int j = 0; j < PRODUCTS; j++) {
        sum[j] = 0;
        if (threadIdx.x < TILE * OWN_UNITS)
            for (int w = 0; w < WARPS; w++)
                sum[j] += stages[w * TILE * COLUMNS + threadIdx.x * (COLUMNS / OWN_UNITS) + j];
    }
    __syncthreads();  // the sums have been read
}

// Fills `kept` with a block's weights and, up to a whole chunk, zeros, where they are kept: how many floats that is.
template <int COLUMNS> __device__ __forceinline__ int keep(float* kept, const float* weights, int depth) {
    if constexpr (RESIDENT) {
        int count = depth * COLUMNS, whole = ceil_div(depth, CHUNK) * CHUNK * COLUMNS;
        for (int i = threadIdx.x * 4; i < whole; i += THREADS * 4)
            async_copy_if<16>(kept + i, weights + (i < count ? i : 0), i < count);
        async_commit();
        async_wait<0>();
        __syncthreads();
        return whole;
    }
    return 0;
}

// What blocks share: packed weights, what they pass on (twice: (inputs, pitch)), and the counter of grid_sync.
struct Shared {
    const float* packed;
    float* passed;
    unsigned* counter;
    int pitch;
};

// Steps first … last − 1. The cell's states are in place: what it loads is what it stored.
template <class Cell>
__device__ __forceinline__ void run_steps(const Cell& cell, const Shared& shared, const Sequences& all, int first,
                                          int last) {
    extern __shared__ __align__(16) float memory[];
    constexpr int COLUMNS = columns_of(Cell::PRODUCTS);
    int units = all.units, pitch = shared.pitch, unit = blockIdx.x * OWN_UNITS + threadIdx.x % OWN_UNITS;
    const float* weights = shared.packed + (size_t)blockIdx.x * units * COLUMNS;
    float* stages = memory + keep<COLUMNS>(memory, weights, units);
    for (int step = first; step < last; step++) {
        if (step > first) grid_sync(shared.counter);
        int t = all.time(step);
        const float* from = shared.passed + (size_t)(step % 2) * units * pitch;
        float* to = shared.passed + (size_t)((step + 1) % 2) * units * pitch;
        for (int tile = blockIdx.y * TILE; tile < all.count; tile += gridDim.y * TILE) {
            int n = tile + threadIdx.x / OWN_UNITS;
            bool mine = threadIdx.x < TILE * OWN_UNITS && n < all.count && unit < units;
            bool live = mine && t < all.end(n);
            int state = n * units + unit, at = n * all.steps + t;
            float sum[Cell::PRODUCTS];
            typename Cell::Carried carried = {};
            typename Cell::Input input = {};  // read ahead of the product, which takes as long
            if (mine) carried = cell.load(state);
            if (live) input = cell.read(at, unit);
            product(sum, memory, stages, from + tile, pitch, weights, units);
            if (!mine) continue;
            typename Cell::Made made = {};
            if (live) {
                made = cell.run(carried, input, sum);
                cell.store(state, carried);
            }
            to[(size_t)unit * pitch + n] = carried.h;
            cell.write(at, unit, carried, made, live);
        }
    }
}

// Turns first … last − 1 of steps + 1. A turn ends the gradient of the step that came after (in time) with its
// product, then makes the gradients of its own. The cell's states are in place.
template <class Cell>
__device__ __forceinline__ void run_steps_grad(const Cell& cell, const Shared& shared, const Sequences& all,
                                               int first, int last) {
    extern __shared__ __align__(16) float memory[];
    int units = all.units, depth = Cell::PASSED * units, pitch = shared.pitch;
    const float* weights = shared.packed + (size_t)blockIdx.x * depth * OWN_UNITS;
    float* stages = memory + keep<OWN_UNITS>(memory, weights, depth);
    int unit = blockIdx.x * OWN_UNITS + threadIdx.x % OWN_UNITS;
    for (int turn = first; turn < last; turn++) {
        if (turn > first) grid_sync(shared.counter);
        int step = all.steps - 1 - turn, t = all.time(step);
        const float* from = shared.passed + (size_t)((turn + 1) % 2) * depth * pitch;
        float* to = shared.passed + (size_t)(turn % 2) * depth * pitch;
        for (int tile = blockIdx.y * TILE; tile < all.count; tile += gridDim.y * TILE) {
            int n = tile + threadIdx.x / OWN_UNITS;
            bool mine = threadIdx.x < TILE * OWN_UNITS && n < all.count && unit < units;
            int end = mine ? all.end(n) : 0, state = n * units + unit, at = n * all.steps + t;
            bool live = step >= 0 && t < end, ends = mine && turn > 0 && all.time(step + 1) < end;
            float sum[1], before = 0;
            typename Cell::Carried carried = {};
            typename Cell::Saved saved = {};
            if (mine) carried = cell.load(state);
            if (live) {  // read ahead of the product, which takes as long
                int earlier = all.time(step - 1);
                saved = cell.read(at, unit);
                before = step > 0 && earlier < end ? cell.before(n * all.steps + earlier, unit) : cell.first(state);
            }
            if (turn > 0) product(sum, memory, stages, from + tile, pitch, weights, depth);
            if (!mine) continue;
            if (ends) carried.h += sum[0];
            typename Cell::Made made = {};
            if (live) made = cell.run(carried, saved, before);
            if (live || ends) cell.store(state, carried);
            if (step < 0) continue;
            cell.write(at, unit, made);
#pragma unroll
            for (int k = 0; k < Cell::PASSED; k++) to[(size_t)(k * units + unit) * pitch + n] = made.passed[k];
        }
    }
}
