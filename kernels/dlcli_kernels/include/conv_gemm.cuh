// What the kernels share that do convolutions as products in float32: the tile, the parts that terms are cut
// into, stores.
//
// blockIdx.x is the tile, in an order that keeps operands in L2; y the part of the terms that a block sums; z
// the group, and for dgrad the phase. With several parts each writes its sums to its own copy of the output,
// and `conv_add_parts` or `conv_pool_parts` adds the copies in order: the same bits every time.
#pragma once
#include "conv_phase.cuh"
#include "gemm.cuh"

using Tiles = Tiling<TILE_M, TILE_N, TILE_K, THREAD_M, THREAD_N, TILE_STAGES, TILE_SLICES>;

// Four neighbours in a row of `columns`, the last ones perhaps beyond its end.
__device__ __forceinline__ void store_row(float* row, int n, int columns, bool aligned, float4 v) {
    if (aligned && n < columns) {
        store4(row + n, v);
    } else {
        float all[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
        for (int j = 0; j < 4; j++)
            if (n + j < columns) row[n + j] = all[j];
    }
}

__device__ __forceinline__ void clear(float (&acc)[THREAD_M][THREAD_N]) {
#pragma unroll
    for (int i = 0; i < THREAD_M; i++)
#pragma unroll
        for (int j = 0; j < THREAD_N; j++) acc[i][j] = 0;
}
