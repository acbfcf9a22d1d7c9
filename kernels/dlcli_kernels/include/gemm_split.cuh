// The second half of a product that was split along k: the sum of the parts, in their order.
#pragma once
#include "activation.cuh"

// out[i] = act(Σ_s parts[s · count + i] + bias[i % columns]) for a grid of any size; bias may be null.
// Every element is read once, 128 bits at a time where the rows of the result allow it.
__device__ __forceinline__ void sum_parts(float* out, const float* parts, const float* bias, int count, int columns,
                                          int splits, int act) {
    int step = gridDim.x * blockDim.x, first = blockIdx.x * blockDim.x + threadIdx.x;
    if (columns % 4 == 0) {
        for (int i = first; i < count / 4; i += step) {
            float4 sum = load4(parts + (size_t)i * 4);
            for (int s = 1; s < splits; s++) {
                float4 part = load4(parts + (size_t)s * count + (size_t)i * 4);
                sum.x += part.x, sum.y += part.y, sum.z += part.z, sum.w += part.w;
            }
            if (bias) {
                float4 add = load4(bias + i % (columns / 4) * 4);
                sum.x += add.x, sum.y += add.y, sum.z += add.z, sum.w += add.w;
            }
            sum.x = activate(sum.x, act), sum.y = activate(sum.y, act);
            sum.z = activate(sum.z, act), sum.w = activate(sum.w, act);
            store4(out + (size_t)i * 4, sum);
        }
        return;
    }
    for (int i = first; i < count; i += step) {
        float sum = parts[i];
        for (int s = 1; s < splits; s++) sum += parts[(size_t)s * count + i];
        out[i] = activate(bias ? sum + bias[i % columns] : sum, act);
    }
}
