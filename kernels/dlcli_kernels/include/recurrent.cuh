// What the kernels over whole sequences share, whatever the cell: recurrent_persistent.cuh and
// recurrent_tiles.cuh run the cells of lstm.cuh, gru.cuh and rnn.cuh.
//
// A cell is a struct of its operands, passed by value. Below, `state` is n · units + unit, an element of
// (N, H), and `step` is n · steps + t, a row of (N, T, …). Of a run forwards:
//
//     static constexpr int PRODUCTS;   // of h · wᵀ for each unit: its gates
//     struct Carried { float h; … };   // what a unit takes from one step into the next
//     Carried load(int state) const;   // before the first step
//     void store(int state, const Carried&) const;
//     Input read(int step, int unit) const;  // what a step needs from memory; asked for ahead of time
//     Made run(Carried&, const Input&, const float (&products)[PRODUCTS]) const;
//     void write(int step, int unit, const Carried&, const Made&, bool live) const;  // zeros where not live
//
// Of its gradient, backwards through the steps:
//
//     static constexpr int PASSED;     // gradients of each unit that are multiplied by w
//     struct Carried { float h; … };   // the gradient of what was carried
//     load, store, read                // as above; `read` gives a Saved: what a run left of a step
//     static float trail(const Saved&);       // of it, what the next step takes as `before`
//     float before(int step, int unit) const; // the same from memory
//     float first(int state) const;           // what the first step takes instead
//     Made run(Carried&, const Saved&, float before) const;  // h: but for the product, which is added
//     void write(int step, int unit, const Made&) const;     // Made: float passed[PASSED] and what else it has
#pragma once
#include "activation.cuh"

// The sequences of a call: each has `steps` steps, or its own number of them, at the front.
struct Sequences {
    const int* lengths;  // or null
    int count, steps, units;
    bool reverse;
    // The time of the step that runs as number `step`.
    __device__ __forceinline__ int time(int step) const { return reverse ? steps - 1 - step : step; }
    // How many steps sequence n has: below 1 it has none.
    __device__ __forceinline__ int end(int n) const { return lengths ? min(lengths[n], steps) : steps; }
};
