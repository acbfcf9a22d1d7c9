// All steps of an LSTM of at most 128 units, or of its gradient, in one launch without a barrier of the grid:
// a block has ROWS sequences to itself and keeps the whole recurrent matrix.
//
// A block has two threads per unit (UNITS: H rounded up to 32, 64 or 128), and each thread 16 · GROUPS
// weights, all that it ever multiplies: KEPT groups of 16 in registers, the rest in shared memory. At 128
// units that is 256 KB, which neither would hold alone: 192 registers of 256 threads are 192 KB, and 64 KB
// are in shared memory.
//
//     forward   4 outputs (the gates of a unit) × every other 4 of the inputs h: 2 slices
//     gradient  4 outputs (4 units) × every eighth 4 of the 4H inputs dz:         8 slices
//
// A 128-bit read of the inputs so feeds 16 FMAs. The slices of an output are neighbouring lanes and are added by
// shuffles that leave every unit with the two threads that compute its gates; with several sequences each of
// the two has every other one. The inputs lie in shared memory twice, so that a step needs one barrier.
// What a step reads from memory is asked for one step ahead.
//
// A step of one sequence at 128 units: 65,536 FMAs, 512 cycles of a multiprocessor; 64 KB of weights and 64 KB
// of inputs from shared memory, as many.
#include "lstm.cuh"

constexpr int THREADS = 2 * UNITS, GROUPS = UNITS / 8, KEPT = GROUPS < KEPT_GROUPS ? GROUPS : KEPT_GROUPS;
constexpr int REST = GROUPS - KEPT, OWN = ROWS > 1 ? ROWS / 2 : 1;
#ifdef DLCLI_EMULATE
constexpr int UNROLLED = 1;  // weights need no registers there, and compiling is what takes long
#else
constexpr int UNROLLED = GROUPS;
#endif

struct Weights {
    float4 kept[KEPT][4];  // of a group and an output, for four inputs
    float* rest;           // the same in shared memory, [group][output][thread][4 inputs]
    __device__ __forceinline__ explicit Weights(float* shared) : rest(shared + threadIdx.x * 4) {}
    __device__ __forceinline__ void set(int group, int output, float4 w) {
        if (group < KEPT)
            kept[group][output] = w;
        else
            store4(rest + ((group - KEPT) * 4 + output) * THREADS * 4, w);
    }
    __device__ __forceinline__ float4 get(int group, int output) const {
        return group < KEPT ? kept[group][output] : load4(rest + ((group - KEPT) * 4 + output) * THREADS * 4);
    }
};

// acc[row][output] = Σ over this thread's inputs, of `length` to a row.
template <int SLICES>
__device__ __forceinline__ void multiply(float (&acc)[ROWS][4], const Weights& weights, const float* inputs,
                                         int length) {
    const float* first = inputs + threadIdx.x % SLICES * 4;
#pragma unroll
    for (int row = 0; row < ROWS; row++)
#pragma unroll
        for (int output = 0; output < 4; output++) acc[row][output] = 0;
#pragma unroll UNROLLED
    for (int group = 0; group < GROUPS; group++) {
        float4 w[4];
#pragma unroll
        for (int output = 0; output < 4; output++) w[output] = weights.get(group, output);
#pragma unroll
        for (int row = 0; row < ROWS; row++) {
            float4 v = load4(first + row * length + group * SLICES * 4);
#pragma unroll
            for (int output = 0; output < 4; output++) {
                acc[row][output] += w[output].x * v.x;
                acc[row][output] += w[output].y * v.y;
                acc[row][output] += w[output].z * v.z;
                acc[row][output] += w[output].w * v.w;
            }
        }
    }
}

__device__ __forceinline__ float from_lane(float v, int distance) { return __shfl_xor_sync(0xffffffffu, v, distance); }

// Of two values the one that this lane keeps (the second where `second`), plus the same of the lane at that
// distance, which keeps the other.
__device__ __forceinline__ float exchange(float a, float b, bool second, int distance) {
    float kept = second ? b : a, given = second ? a : b;
    return kept + from_lane(given, distance);
}

// A sequence as one of its threads sees it.
struct Row {
    int n, end;   // its number; steps that it has, 0 where there is none
    bool inside;  // whether there is such a sequence and unit
    bool writes;  // this thread, and not its neighbour, which computes the same
    __device__ __forceinline__ Row() {}
    __device__ __forceinline__ Row(int i, int unit, const int* lengths, int sequences, int steps, int units) {
        n = blockIdx.x * ROWS + (ROWS > 1 ? 2 * i + threadIdx.x % 2 : 0);
        inside = n < sequences && unit < units;
        writes = inside && (ROWS > 1 || threadIdx.x % 2 == 0);
        end = !inside ? 0 : lengths ? min(lengths[n], steps) : steps;
    }
};

// Where row i's inputs begin in shared memory: a multiple of `length`.
__device__ __forceinline__ int place(int i) { return ROWS > 1 ? 2 * i + threadIdx.x % 2 : 0; }

__device__ __forceinline__ float4 four_or_fewer(const float* w, int row, int column, int units) {
    size_t at = (size_t)row * units + column;
    if (units % 4 == 0 && column < units) return load4(w + at);
    return make_float4(column < units ? w[at] : 0, column + 1 < units ? w[at + 1] : 0,
                       column + 2 < units ? w[at + 2] : 0, column + 3 < units ? w[at + 3] : 0);
}

extern "C" {

// gates and cells may be null, and lengths.
__global__ void __launch_bounds__(THREADS, 1)
    lstm_run(float* out, float* h_last, float* c_last, float* gates, float* cells, const float* zx, const float* h0,
             const float* c0, const float* w, const int* lengths, int sequences, int steps, int units, int reverse) {
    extern __shared__ __align__(16) float shared[];
    int unit = threadIdx.x / 2, slice = threadIdx.x % 2;
    Weights weights(shared);
    float* inputs = shared + REST * 16 * THREADS;  // h of this step and of the next
#pragma unroll UNROLLED
    for (int group = 0; group < GROUPS; group++)
#pragma unroll
        for (int gate = 0; gate < 4; gate++)
            weights.set(group, gate,
                        unit < units ? four_or_fewer(w, gate * units + unit, (group * 2 + slice) * 4, units)
                                     : make_float4(0, 0, 0, 0));
    Row rows[OWN];
    float h[OWN], c[OWN], ahead[OWN][4];
    auto read = [&](int i, int step) {
        int t = reverse ? steps - 1 - step : step;
        if (step >= steps || t >= rows[i].end) return;
#pragma unroll
        for (int gate = 0; gate < 4; gate++) ahead[i][gate] = zx[((rows[i].n * steps + t) * 4 + gate) * units + unit];
    };
#pragma unroll
    for (int i = 0; i < OWN; i++) {
        rows[i] = Row(i, unit, lengths, sequences, steps, units);
        int at = rows[i].n * units + unit;
        h[i] = rows[i].inside ? h0[at] : 0, c[i] = rows[i].inside ? c0[at] : 0;
        if (ROWS > 1 || slice == 0) inputs[place(i) * UNITS + unit] = h[i];
        read(i, 0);
    }
    __syncthreads();
    for (int step = 0; step < steps; step++) {
        float acc[ROWS][4], z[OWN][4];
#pragma unroll
        for (int i = 0; i < OWN; i++) {
#pragma unroll
            for (int gate = 0; gate < 4; gate++) z[i][gate] = ahead[i][gate];
            read(i, step + 1);
        }
        multiply<2>(acc, weights, inputs + step % 2 * ROWS * UNITS, UNITS);
        float* next = inputs + (step + 1) % 2 * ROWS * UNITS;
        int t = reverse ? steps - 1 - step : step;
#pragma unroll
        for (int i = 0; i < OWN; i++) {
            float sum[4];
#pragma unroll
            for (int gate = 0; gate < 4; gate++) {
                if constexpr (ROWS > 1)
                    sum[gate] = exchange(acc[2 * i][gate], acc[2 * i + 1][gate], slice, 1);
                else
                    sum[gate] = acc[0][gate] + from_lane(acc[0][gate], 1);
            }
            bool live = t < rows[i].end;
            Gates a = {0, 0, 0, 0};
            if (live) {
                a = gates_of(z[i][0] + sum[0], z[i][1] + sum[1], z[i][2] + sum[2], z[i][3] + sum[3]);
                c[i] = next_cell(a, c[i]), h[i] = next_h(a, c[i]);
            }
            if (ROWS > 1 || slice == 0) next[place(i) * UNITS + unit] = h[i];
            if (!rows[i].writes) continue;
            int at = rows[i].n * steps + t;
            out[at * units + unit] = live ? h[i] : 0;
            if (cells) cells[at * units + unit] = live ? c[i] : 0;
            if (!gates) continue;
            float* to = gates + at * 4 * units + unit;
            to[0] = a.i, to[units] = a.f, to[2 * units] = a.g, to[3 * units] = a.o;
        }
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < OWN; i++)
        if (rows[i].writes) h_last[rows[i].n * units + unit] = h[i], c_last[rows[i].n * units + unit] = c[i];
}

// dout, dh_last and dc_last may be null, and lengths.
__global__ void __launch_bounds__(THREADS, 1)
    lstm_run_grad(float* dz, float* dh0, float* dc0, const float* dout, const float* dh_last, const float* dc_last,
                  const float* gates, const float* cells, const float* c0, const float* w, const int* lengths,
                  int sequences, int steps, int units, int reverse) {
    extern __shared__ __align__(16) float shared[];
    constexpr int LENGTH = 4 * UNITS;
    int unit = threadIdx.x / 2, slice = threadIdx.x % 8, first = threadIdx.x / 8 * 4;
    Weights weights(shared);
    float* inputs = shared + REST * 16 * THREADS;  // dz of this step and of the one before
#pragma unroll UNROLLED
    for (int group = 0; group < GROUPS; group++) {
        float4 of_input[4];
#pragma unroll
        for (int i = 0; i < 4; i++) {
            int input = (group * 8 + slice) * 4 + i, gate = input / UNITS, from = input % UNITS;
            of_input[i] = from < units ? four_or_fewer(w, gate * units + from, first, units) : make_float4(0, 0, 0, 0);
        }
        weights.set(group, 0, make_float4(of_input[0].x, of_input[1].x, of_input[2].x, of_input[3].x));
        weights.set(group, 1, make_float4(of_input[0].y, of_input[1].y, of_input[2].y, of_input[3].y));
        weights.set(group, 2, make_float4(of_input[0].z, of_input[1].z, of_input[2].z, of_input[3].z));
        weights.set(group, 3, make_float4(of_input[0].w, of_input[1].w, of_input[2].w, of_input[3].w));
    }
    struct Saved { float gates[4], cell, dout; };  // of one step
    Row rows[OWN];
    float dh[OWN], dc[OWN];
    Saved now[OWN], ahead[OWN];  // of this step, and of the one that ran before it
    auto time = [&](int step) { return reverse ? steps - 1 - step : step; };
    auto read = [&](Saved& to, int i, int step) {
        int t = time(step);
        if (step < 0 || t >= rows[i].end) return;
        int at = rows[i].n * steps + t;
#pragma unroll
        for (int gate = 0; gate < 4; gate++) to.gates[gate] = gates[(at * 4 + gate) * units + unit];
        to.cell = cells[at * units + unit], to.dout = dout ? dout[at * units + unit] : 0;
    };
#pragma unroll
    for (int i = 0; i < OWN; i++) {
        rows[i] = Row(i, unit, lengths, sequences, steps, units);
        int at = rows[i].n * units + unit;
        dh[i] = rows[i].inside && dh_last ? dh_last[at] : 0, dc[i] = rows[i].inside && dc_last ? dc_last[at] : 0;
        read(now[i], i, steps - 1), read(ahead[i], i, steps - 2);
    }
    for (int step = steps - 1; step >= 0; step--) {
        float acc[ROWS][4];
        float* mine = inputs + step % 2 * ROWS * LENGTH;
        int t = time(step);
#pragma unroll
        for (int i = 0; i < OWN; i++) {
            Gates d = {0, 0, 0, 0};
            if (t < rows[i].end) {
                bool saved = step > 0 && time(step - 1) < rows[i].end;
                float before = saved ? ahead[i].cell : c0[rows[i].n * units + unit];
                d = gates_grad({now[i].gates[0], now[i].gates[1], now[i].gates[2], now[i].gates[3]}, before,
                               now[i].cell, dh[i] + now[i].dout, dc[i]);
            }
            if (ROWS > 1 || threadIdx.x % 2 == 0) {
                float* to = mine + place(i) * LENGTH + unit;
                to[0] = d.i, to[UNITS] = d.f, to[2 * UNITS] = d.g, to[3 * UNITS] = d.o;
            }
            if (rows[i].writes) {
                float* to = dz + (rows[i].n * steps + t) * 4 * units + unit;
                to[0] = d.i, to[units] = d.f, to[2 * units] = d.g, to[3 * units] = d.o;
            }
            now[i] = ahead[i];
            read(ahead[i], i, step - 2);
        }
        __syncthreads();
        multiply<8>(acc, weights, mine, LENGTH);
#pragma unroll
        for (int i = 0; i < OWN; i++) {
            float sum[ROWS > 1 ? 2 : 1];
#pragma unroll
            for (int row = 0; row < (ROWS > 1 ? 2 : 1); row++) {
                const float(&a)[4] = acc[2 * i + row];
                float low = exchange(a[0], a[2], slice & 4, 4), high = exchange(a[1], a[3], slice & 4, 4);
                sum[row] = exchange(low, high, slice & 2, 2);
            }
            float total;
            if constexpr (ROWS > 1)
                total = exchange(sum[0], sum[1], slice & 1, 1);
            else
                total = sum[0] + from_lane(sum[0], 1);
            if (t < rows[i].end) dh[i] = total;
        }
    }
#pragma unroll
    for (int i = 0; i < OWN; i++)
        if (rows[i].writes) dh0[rows[i].n * units + unit] = dh[i], dc0[rows[i].n * units + unit] = dc[i];
}
}
