// All steps of a recurrent layer of at most 128 units, or of its gradient, in one launch without a barrier of the
// grid: a block has ROWS sequences to itself and keeps the whole recurrent matrix. The cell is a template
// argument (recurrent.cuh).
//
// A block has two threads per unit (UNITS: H rounded up to 32, 64 or 128), and each thread all the weights that it
// ever multiplies, in groups of 4 outputs (a GRU's gates: 3) by 4 inputs: KEPT_GROUPS of them in registers, the
// rest in shared memory. An LSTM of 128 units has 256 KB of weights, which neither would hold alone: 192 registers
// of 256 threads are 192 KB, and 64 KB are in shared memory.
//
//     by gates   the gates of a unit × every other 4 of the inputs h:            2 slices
//     by units   4 units × every eighth 4 of the inputs, which are h or dz:      8 slices
//
// Gradients go by units, and so does a run whose cell has no gates. A 128-bit read of the inputs so feeds 16 FMAs.
// The slices of an output are neighbouring lanes and are added by shuffles that leave every unit with the two
// threads that compute its step; with several sequences each of the two has every other one. The inputs lie in
// shared memory twice, so that a step needs one barrier. What a step reads from memory is asked for one step ahead.
//
// A step of one sequence through an LSTM of 128 units: 65,536 FMAs, 512 cycles of a multiprocessor; 64 KB of
// weights and 64 KB of inputs from shared memory, as many.
#pragma once
#include "recurrent.cuh"

constexpr int THREADS = 2 * UNITS, OWN = ROWS > 1 ? ROWS / 2 : 1;

// A thread multiplies OUTPUTS results by every SLICES-th 4 of LENGTH inputs.
template <int OUTPUTS_, int SLICES_, int LENGTH_> struct Layout {
    static constexpr int OUTPUTS = OUTPUTS_, SLICES = SLICES_, LENGTH = LENGTH_;
    static constexpr int GROUPS = LENGTH / (4 * SLICES), KEPT = GROUPS < KEPT_GROUPS ? GROUPS : KEPT_GROUPS;
    static constexpr int REST = (GROUPS - KEPT) * OUTPUTS * 4 * THREADS;  // floats in shared memory
};
template <int PRODUCTS> struct OfRun { using type = Layout<PRODUCTS, 2, UNITS>; };
template <> struct OfRun<1> { using type = Layout<4, 8, UNITS>; };
template <int PASSED> using OfGrad = Layout<4, 8, PASSED * UNITS>;

template <class L> struct Weights {
    float4 kept[L::KEPT][L::OUTPUTS];  // of a group and an output, for four inputs
    float* rest;                       // the same in shared memory, [group][output][thread][4 inputs]
    __device__ __forceinline__ explicit Weights(float* shared) : rest(shared + threadIdx.x * 4) {}
    __device__ __forceinline__ float* place(int group, int output) const {
        return rest + ((group - L::KEPT) * L::OUTPUTS + output) * THREADS * 4;
    }
    __device__ __forceinline__ void set(int group, int output, float4 w) {
        if (group < L::KEPT)
            kept[group][output] = w;
        else
            store4(place(group, output), w);
    }
    __device__ __forceinline__ float4 get(int group, int output) const {
        return group < L::KEPT ? kept[group][output] : load4(place(group, output));
    }
};

__device__ __forceinline__ float4 four_or_fewer(const float* w, int row, int column, int units) {
    size_t at = (size_t)row * units + column;
    if (units % 4 == 0 && column < units) return load4(w + at);
    return make_float4(column < units ? w[at] : 0, column + 1 < units ? w[at + 1] : 0,
                       column + 2 < units ? w[at + 2] : 0, column + 3 < units ? w[at + 3] : 0);
}

// The weights of a run: an output is a row of w.
template <class L> __device__ __forceinline__ void load_rows(Weights<L>& weights, const float* w, int units) {
    constexpr bool BY_UNITS = L::SLICES == 8;
    int slice = threadIdx.x % L::SLICES;
#ifdef DLCLI_EMULATE
#pragma unroll 1
#else
#pragma unroll
#endif
    for (int group = 0; group < L::GROUPS; group++)
#pragma unroll
        for (int output = 0; output < L::OUTPUTS; output++) {
            int unit = BY_UNITS ? threadIdx.x / 8 * 4 + output : threadIdx.x / 2;
            int row = BY_UNITS ? unit : output * units + unit, column = (group * L::SLICES + slice) * 4;
            weights.set(group, output,
                        unit < units ? four_or_fewer(w, row, column, units) : make_float4(0, 0, 0, 0));
        }
}

// The weights of a gradient: an output is a column of w.
template <class L> __device__ __forceinline__ void load_columns(Weights<L>& weights, const float* w, int units) {
    int slice = threadIdx.x % 8, first = threadIdx.x / 8 * 4;
#ifdef DLCLI_EMULATE
#pragma unroll 1
#else
#pragma unroll
#endif
    for (int group = 0; group < L::GROUPS; group++) {
        float4 of[4];
#pragma unroll
        for (int i = 0; i < 4; i++) {
            int input = (group * 8 + slice) * 4 + i, gate = input / UNITS, from = input % UNITS;
            of[i] = from < units ? four_or_fewer(w, gate * units + from, first, units) : make_float4(0, 0, 0, 0);
        }
        weights.set(group, 0, make_float4(of[0].x, of[1].x, of[2].x, of[3].x));
        weights.set(group, 1, make_float4(of[0].y, of[1].y, of[2].y, of[3].y));
        weights.set(group, 2, make_float4(of[0].z, of[1].z, of[2].z, of[3].z));
        weights.set(group, 3, make_float4(of[0].w, of[1].w, of[2].w, of[3].w));
    }
}

// acc[row][output] = Σ over this thread's inputs.
template <class L>
__device__ __forceinline__ void multiply(float (&acc)[ROWS][L::OUTPUTS], const Weights<L>& weights,
                                         const float* inputs) {
    const float* first = inputs + threadIdx.x % L::SLICES * 4;
#pragma unroll
    for (int row = 0; row < ROWS; row++)
#pragma unroll
        for (int output = 0; output < L::OUTPUTS; output++) acc[row][output] = 0;
#ifdef DLCLI_EMULATE
#pragma unroll 1
#else
#pragma unroll
#endif
    for (int group = 0; group < L::GROUPS; group++) {
        float4 w[L::OUTPUTS];
#pragma unroll
        for (int output = 0; output < L::OUTPUTS; output++) w[output] = weights.get(group, output);
#pragma unroll
        for (int row = 0; row < ROWS; row++) {
            float4 v = load4(first + row * L::LENGTH + group * L::SLICES * 4);
#pragma unroll
            for (int output = 0; output < L::OUTPUTS; output++) {
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

// The products of this thread's unit for the i-th sequence of its own, by gates; and by units.
template <int PRODUCTS>
__device__ __forceinline__ void totals(float (&sum)[PRODUCTS], const float (&acc)[ROWS][PRODUCTS], int i) {
#pragma unroll
    for (int gate = 0; gate < PRODUCTS; gate++) {
        if constexpr (ROWS > 1)
            sum[gate] = exchange(acc[2 * i][gate], acc[2 * i + 1][gate], threadIdx.x % 2, 1);
        else
            sum[gate] = acc[0][gate] + from_lane(acc[0][gate], 1);
    }
}
__device__ __forceinline__ void totals(float (&sum)[1], const float (&acc)[ROWS][4], int i) {
    float of_row[ROWS > 1 ? 2 : 1];
    bool upper_pair = threadIdx.x & 4, upper = threadIdx.x & 2;
#pragma unroll
    for (int row = 0; row < (ROWS > 1 ? 2 : 1); row++) {
        const float(&a)[4] = acc[2 * i + row];
        float low = exchange(a[0], a[2], upper_pair, 4), high = exchange(a[1], a[3], upper_pair, 4);
        of_row[row] = exchange(low, high, upper, 2);
    }
    if constexpr (ROWS > 1)
        sum[0] = exchange(of_row[0], of_row[1], threadIdx.x & 1, 1);
    else
        sum[0] = of_row[0] + from_lane(of_row[0], 1);
}

// Which of the block's sequences the i-th of a thread's own is.
__device__ __forceinline__ int own(int i) { return ROWS > 1 ? 2 * i + threadIdx.x % 2 : 0; }
// Whether the thread hands its unit's values on, and not its neighbour, which computes the same.
__device__ __forceinline__ bool speaks() { return ROWS > 1 || threadIdx.x % 2 == 0; }

// A sequence as one of its threads sees it.
struct Row {
    int n, end;   // its number; steps that it has, 0 where there is none
    bool inside;  // whether there is such a sequence and unit
    __device__ __forceinline__ Row() {}
    __device__ __forceinline__ Row(int i, int unit, const Sequences& all) {
        n = blockIdx.x * ROWS + own(i);
        inside = n < all.count && unit < all.units;
        end = inside ? all.end(n) : 0;
    }
};

template <class Cell> __device__ __forceinline__ void run_all(const Cell& cell, const float* w, const Sequences& all) {
    extern __shared__ __align__(16) float shared[];
    using L = typename OfRun<Cell::PRODUCTS>::type;
    int unit = threadIdx.x / 2;
    Weights<L> weights(shared);
    float* inputs = shared + L::REST;  // h of this step and of the next
    load_rows(weights, w, all.units);
    Row rows[OWN];
    typename Cell::Carried now[OWN];
    typename Cell::Input ahead[OWN];
    auto read = [&](int i, int step) {
        int t = all.time(step);
        if (step < all.steps && t < rows[i].end) ahead[i] = cell.read(rows[i].n * all.steps + t, unit);
    };
#pragma unroll
    for (int i = 0; i < OWN; i++) {
        rows[i] = Row(i, unit, all);
        now[i] = {};
        if (rows[i].inside) now[i] = cell.load(rows[i].n * all.units + unit);
        if (speaks()) inputs[own(i) * UNITS + unit] = now[i].h;
        read(i, 0);
    }
    __syncthreads();
    for (int step = 0; step < all.steps; step++) {
        float acc[ROWS][L::OUTPUTS];
        typename Cell::Input input[OWN];
#pragma unroll
        for (int i = 0; i < OWN; i++) {
            input[i] = ahead[i];
            read(i, step + 1);
        }
        multiply(acc, weights, inputs + step % 2 * ROWS * UNITS);
        float* next = inputs + (step + 1) % 2 * ROWS * UNITS;
        int t = all.time(step);
#pragma unroll
        for (int i = 0; i < OWN; i++) {
            float sum[Cell::PRODUCTS];
            totals(sum, acc, i);
            bool live = t < rows[i].end;
            typename Cell::Made made = {};
            if (live) made = cell.run(now[i], input[i], sum);
            if (speaks()) next[own(i) * UNITS + unit] = now[i].h;
            if (speaks() && rows[i].inside) cell.write(rows[i].n * all.steps + t, unit, now[i], made, live);
        }
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < OWN; i++)
        if (speaks() && rows[i].inside) cell.store(rows[i].n * all.units + unit, now[i]);
}

template <class Cell>
__device__ __forceinline__ void run_all_grad(const Cell& cell, const float* w, const Sequences& all) {
    extern __shared__ __align__(16) float shared[];
    using L = OfGrad<Cell::PASSED>;
    int unit = threadIdx.x / 2;
    Weights<L> weights(shared);
    float* inputs = shared + L::REST;  // gradients of this step and of the one before
    load_columns(weights, w, all.units);
    Row rows[OWN];
    typename Cell::Carried carried[OWN];
    typename Cell::Saved now[OWN], ahead[OWN];  // of this step, and of the one that ran before it
    auto read = [&](typename Cell::Saved& to, int i, int step) {
        int t = all.time(step);
        if (step >= 0 && t < rows[i].end) to = cell.read(rows[i].n * all.steps + t, unit);
    };
#pragma unroll
    for (int i = 0; i < OWN; i++) {
        rows[i] = Row(i, unit, all);
        carried[i] = {};
        if (rows[i].inside) carried[i] = cell.load(rows[i].n * all.units + unit);
        read(now[i], i, all.steps - 1), read(ahead[i], i, all.steps - 2);
    }
    for (int step = all.steps - 1; step >= 0; step--) {
        float acc[ROWS][L::OUTPUTS];
        float* mine = inputs + step % 2 * ROWS * L::LENGTH;
        int t = all.time(step);
#pragma unroll
        for (int i = 0; i < OWN; i++) {
            typename Cell::Made made = {};
            if (t < rows[i].end) {
                bool saved = step > 0 && all.time(step - 1) < rows[i].end;
                float before = saved ? Cell::trail(ahead[i]) : cell.first(rows[i].n * all.units + unit);
                made = cell.run(carried[i], now[i], before);
            }
            if (speaks()) {
#pragma unroll
                for (int k = 0; k < Cell::PASSED; k++)
                    mine[own(i) * L::LENGTH + k * UNITS + unit] = made.passed[k];
                if (rows[i].inside) cell.write(rows[i].n * all.steps + t, unit, made);
            }
            now[i] = ahead[i];
            read(ahead[i], i, step - 2);
        }
        __syncthreads();
        multiply(acc, weights, mine);
#pragma unroll
        for (int i = 0; i < OWN; i++) {
            float sum[1];
            totals(sum, acc, i);
            if (t < rows[i].end) carried[i].h += sum[0];
        }
    }
#pragma unroll
    for (int i = 0; i < OWN; i++)
        if (speaks() && rows[i].inside) cell.store(rows[i].n * all.units + unit, carried[i]);
}
