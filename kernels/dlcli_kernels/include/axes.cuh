// Some axes of a contiguous array: reduction/raw_axes.py fills it, field by field in this order.
#pragma once
#include "conv.cuh"  // Divisor

constexpr int MOST_AXES = 8;

// From the last axis to the first; neighbours that are treated alike are one axis. At least one.
struct Axes {
    int count;
    int extent[MOST_AXES], stride[MOST_AXES];
    Divisor by[MOST_AXES];

    // Where the i-th of their elements lies, counted along these axes alone.
    __device__ __forceinline__ int offset(int i) const {
        int at = 0;
        for (int k = 0; k < count - 1; k++) {
            int rest = by[k].divide(i);
            at += (i - rest * extent[k]) * stride[k];
            i = rest;
        }
        return at + i * stride[count - 1];
    }
};
