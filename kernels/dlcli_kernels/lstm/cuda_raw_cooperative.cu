// Steps of an LSTM, or of its gradient, of any number of units: a block makes 8 units of tiles of 16
// sequences. Launched once for all steps, with a barrier of the grid between two (RESIDENT 1: a block keeps its
// weights in shared memory, 128 H bytes), or once per step (RESIDENT 0: it reads them from the L2 each time).
//
//     forward   z (16, 8 · 4 gates) = zx + h (16, H) · wᵀ, then the gates; the next h
//     gradient  dz (16, 8 · 4) of a step, then dh (16, 8) = dz (16, 4H) · w by all that need it
//
// What a step passes to others, h or dz, goes through memory, transposed: (H or 4H, sequences), so that a
// chunk of it is what a thread multiplies: 4 sequences by 4 results in registers, 16 FMAs for two 128-bit
// reads of shared memory. The warps share the depth of the product, each copies chunks of its own ahead
// (cp.async, past the L1 cache, which may be stale), and their sums are added in order.
// A step of N sequences reads 64 H N / 16 · H/8 bytes of h from the L2, and w where it is not kept.
#include "lstm.cuh"

constexpr int TILE = 16, UNITS = 8, THREADS = 256, WARPS = 8, CHUNK = 32;
#ifdef DLCLI_EMULATE
constexpr int UNROLLED = 1;  // compiling is what takes long there
#else
constexpr int UNROLLED = 8;
#endif

template <int COLUMNS> struct Stage {  // floats of a chunk: inputs and, where they are not kept, weights
    static constexpr int SIZE = CHUNK * (TILE + (RESIDENT ? 0 : COLUMNS)), ALL = WARPS * 2 * SIZE;
    static_assert(WARPS * TILE * COLUMNS <= ALL, "the warps' sums lie in their place");
};

// sum[] = Σ_k inputs[k][n] · weights[k][unit's columns] for threads 0 … 127: n is threadIdx.x / 8, the unit
// threadIdx.x % 8. `kept`: the weights in shared memory, up to a whole chunk of zeros; else they are `weights`.
template <int COLUMNS>
__device__ __forceinline__ void product(float (&sum)[COLUMNS / UNITS], const float* kept, float* stages,
                                        const float* inputs, int pitch, const float* weights, int depth) {
    constexpr int SLICES = 32 / COLUMNS, SIZE = Stage<COLUMNS>::SIZE;
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
#pragma unroll UNROLLED
        for (int k = slice; k < CHUNK; k += SLICES) {
            float4 v = load4(a + k * TILE + row), w = load4(b + k * COLUMNS + column);
            const float rows[4] = {v.x, v.y, v.z, v.w}, columns[4] = {w.x, w.y, w.z, w.w};
#pragma unroll
            for (int i = 0; i < 4; i++)
#pragma unroll
                for (int j = 0; j < 4; j++) acc[i][j] += rows[i] * columns[j];
        }
        __syncwarp();  // all lanes have read what is overwritten next
    }
#pragma unroll
    for (int distance = COLUMNS; distance < 32; distance *= 2)
#pragma unroll
        for (int i = 0; i < 4; i++)
#pragma unroll
            for (int j = 0; j < 4; j++) acc[i][j] += __shfl_xor_sync(0xffffffffu, acc[i][j], distance);
    async_wait<0>();
    __syncthreads();  // nobody reads a stage any more
    if (slice == 0)
#pragma unroll
        for (int i = 0; i < 4; i++)
            store4(stages + (warp * TILE + row + i) * COLUMNS + column,
                   make_float4(acc[i][0], acc[i][1], acc[i][2], acc[i][3]));
    __syncthreads();
#pragma unroll
    for (int j = 0; j < COLUMNS / UNITS; j++) {
        sum[j] = 0;
        if (threadIdx.x < TILE * UNITS)
            for (int w = 0; w < WARPS; w++)
                sum[j] += stages[w * TILE * COLUMNS + threadIdx.x * (COLUMNS / UNITS) + j];
    }
    __syncthreads();  // the sums have been read
}

// Fills `kept` with a block's weights and, up to a whole chunk, zeros.
template <int COLUMNS> __device__ __forceinline__ void keep(float* kept, const float* weights, int depth) {
    int count = depth * COLUMNS, whole = ceil_div(depth, CHUNK) * CHUNK * COLUMNS;
    for (int i = threadIdx.x * 4; i < whole; i += THREADS * 4)
        async_copy_if<16>(kept + i, weights + (i < count ? i : 0), i < count);
    async_commit();
    async_wait<0>();
    __syncthreads();
}

extern "C" {

// packed[slice][k][unit][gate] from w (4H, H): a block transposes 32 rows (8 units, 4 gates) by 32 columns.
__global__ void __launch_bounds__(256) lstm_pack(float* packed, const float* w, int units) {
    __shared__ float tile[32][33];
    int first = blockIdx.x * UNITS, k0 = blockIdx.y * 32, lane = threadIdx.x % 32;
    for (int row = threadIdx.x / 32; row < 32; row += 8) {
        int unit = first + row / 4, k = k0 + lane;
        tile[row][lane] = unit < units && k < units ? w[(size_t)(row % 4 * units + unit) * units + k] : 0;
    }
    __syncthreads();
    for (int k = threadIdx.x / 32; k < 32 && k0 + k < units; k += 8)
        packed[((size_t)blockIdx.x * units + k0 + k) * 32 + lane] = tile[lane][k];
}

// packed[slice][row of w][unit].
__global__ void __launch_bounds__(256) lstm_pack_grad(float* packed, const float* w, int units) {
    int i = blockIdx.y * 256 + threadIdx.x, row = i / UNITS, unit = blockIdx.x * UNITS + i % UNITS;
    if (row >= 4 * units) return;
    packed[((size_t)blockIdx.x * 4 * units + row) * UNITS + i % UNITS] =
        unit < units ? w[(size_t)row * units + unit] : 0;
}

// The states (n, units) before the first step: copies, or zeros where none are given. shared: the first one for
// all blocks, transposed, or null. counter: of grid_sync.
__global__ void __launch_bounds__(256)
    lstm_begin(float* a, float* b, float* shared, unsigned* counter, const float* a0, const float* b0, int n,
               int units, int pitch) {
    if (blockIdx.x == 0 && threadIdx.x == 0) *counter = 0;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n * units; i += gridDim.x * blockDim.x) {
        a[i] = a0 ? a0[i] : 0, b[i] = b0 ? b0[i] : 0;
        if (shared) shared[(size_t)(i % units) * pitch + i / units] = a[i];
    }
}

// Steps first … last − 1. h and c: the state, in place; shared: h of all blocks, twice (units, pitch). gates and
// cells may be null, and lengths.
__global__ void __launch_bounds__(THREADS, 2)
    lstm_steps(float* out, float* h, float* c, float* gates, float* cells, float* shared, unsigned* counter,
               const float* packed, const float* zx, const int* lengths, int sequences, int steps, int units,
               int pitch, int reverse, int first, int last) {
    extern __shared__ __align__(16) float memory[];
    const float* weights = packed + (size_t)blockIdx.x * units * 32;
    float* stages = memory + (RESIDENT ? ceil_div(units, CHUNK) * CHUNK * 32 : 0);
    if (RESIDENT) keep<32>(memory, weights, units);
    int unit = blockIdx.x * UNITS + threadIdx.x % UNITS;
    for (int step = first; step < last; step++) {
        if (step > first) grid_sync(counter);
        int t = reverse ? steps - 1 - step : step;
        const float* from = shared + (size_t)(step % 2) * units * pitch;
        float* to = shared + (size_t)((step + 1) % 2) * units * pitch;
        for (int tile = blockIdx.y * TILE; tile < sequences; tile += gridDim.y * TILE) {
            int n = tile + threadIdx.x / UNITS;
            bool mine = threadIdx.x < TILE * UNITS && n < sequences && unit < units;
            bool live = mine && t < (lengths ? min(lengths[n], steps) : steps);
            int at = n * steps + t;
            float z[4], sum[4], cell = 0, state = 0;  // read ahead of the product, which takes as long
#pragma unroll
            for (int k = 0; k < 4; k++) z[k] = live ? zx[(at * 4 + k) * units + unit] : 0;
            if (live) cell = c[n * units + unit];
            if (mine && !live) state = h[n * units + unit];
            product<32>(sum, memory, stages, from + tile, pitch, weights, units);
            if (!mine) continue;
            Gates a = {0, 0, 0, 0};
            if (live) {
                a = gates_of(z[0] + sum[0], z[1] + sum[1], z[2] + sum[2], z[3] + sum[3]);
                cell = next_cell(a, cell), state = next_h(a, cell);
                c[n * units + unit] = cell, h[n * units + unit] = state;
            }
            to[(size_t)unit * pitch + n] = state;
            out[at * units + unit] = live ? state : 0;
            if (cells) cells[at * units + unit] = cell;
            if (!gates) continue;
            float* saved = gates + at * 4 * units + unit;
            saved[0] = a.i, saved[units] = a.f, saved[2 * units] = a.g, saved[3 * units] = a.o;
        }
    }
}

// Turns first … last − 1 of steps + 1. A turn ends the gradient of the step that came after (in time) with
// its product, then makes dz of its own. dh and dc: the state, in place; shared: dz of all blocks, twice
// (4 · units, pitch). dout may be null, and lengths.
__global__ void __launch_bounds__(THREADS, 2)
    lstm_steps_grad(float* dz, float* dh, float* dc, float* shared, unsigned* counter, const float* packed,
                    const float* dout, const float* gates, const float* cells, const float* c0, const int* lengths,
                    int sequences, int steps, int units, int pitch, int reverse, int first, int last) {
    extern __shared__ __align__(16) float memory[];
    const float* weights = packed + (size_t)blockIdx.x * units * 32;
    float* stages = memory + (RESIDENT ? ceil_div(4 * units, CHUNK) * CHUNK * UNITS : 0);
    if (RESIDENT) keep<UNITS>(memory, weights, 4 * units);
    int unit = blockIdx.x * UNITS + threadIdx.x % UNITS;
    auto time = [&](int step) { return reverse ? steps - 1 - step : step; };
    for (int turn = first; turn < last; turn++) {
        if (turn > first) grid_sync(counter);
        int step = steps - 1 - turn;
        const float* from = shared + (size_t)((turn + 1) % 2) * 4 * units * pitch;
        float* to = shared + (size_t)(turn % 2) * 4 * units * pitch;
        for (int tile = blockIdx.y * TILE; tile < sequences; tile += gridDim.y * TILE) {
            int n = tile + threadIdx.x / UNITS;
            bool mine = threadIdx.x < TILE * UNITS && n < sequences && unit < units;
            int end = !mine ? 0 : lengths ? min(lengths[n], steps) : steps, state = n * units + unit;
            int t = time(step), at = n * steps + t;
            bool live = step >= 0 && t < end;
            float sum[1], above = 0, cell = 0, cell_before = 0, d_cell = 0, d_out = mine ? dh[state] : 0;
            Gates a = {0, 0, 0, 0}, d = {0, 0, 0, 0};
            if (live) {  // read ahead of the product, which takes as long
                const float* saved = gates + at * 4 * units + unit;
                int before = time(step - 1);
                a = {saved[0], saved[units], saved[2 * units], saved[3 * units]};
                cell = cells[at * units + unit], d_cell = dc[state], above = dout ? dout[at * units + unit] : 0;
                cell_before = step > 0 && before < end ? cells[(n * steps + before) * units + unit] : c0[state];
            }
            if (turn > 0) {
                product<UNITS>(sum, memory, stages, from + tile, pitch, weights, 4 * units);
                if (mine && time(step + 1) < end) dh[state] = d_out = sum[0];
            }
            if (!mine || step < 0) continue;
            if (live) {
                d = gates_grad(a, cell_before, cell, d_out + above, d_cell);
                dc[state] = d_cell;
            }
            float* made = dz + at * 4 * units + unit;
            made[0] = d.i, made[units] = d.f, made[2 * units] = d.g, made[3 * units] = d.o;
            float* others = to + (size_t)unit * pitch + n;
            size_t gate = (size_t)units * pitch;
            others[0] = d.i, others[gate] = d.f, others[2 * gate] = d.g, others[3 * gate] = d.o;
        }
    }
}
}
