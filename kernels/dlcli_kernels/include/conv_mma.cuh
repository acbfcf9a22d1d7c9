// What the kernels share that do convolutions as products on tensor cores: the tile (TILE × TILE results of four
// warps) and stores. blockIdx.x, y, z: tile, part and layer, as conv_gemm.cuh says.
//
// A_WIDTH, B_WIDTH: floats of an operand that are copied at once, 4 where its channels allow it, else 1.
#pragma once
#include "conv_phase.cuh"
#include "gemm_mma.cuh"

using Tiles = MmaTiling<float, TILE, TILE, TILE / 2, TILE / 2>;
constexpr int PIECES_M = TILE / 32, PIECES_N = TILE / 16;  // of 16 × 8 results, to a warp

// Two neighbours in a row of `columns`, the second perhaps beyond its end. aligned: every pair is to 8 bytes.
__device__ __forceinline__ void store_two(float* row, int n, int columns, bool aligned, float x, float y) {
    if (aligned && n < columns) {
        *reinterpret_cast<float2*>(row + n) = make_float2(x, y);
    } else {
        if (n < columns) row[n] = x;
        if (n + 1 < columns) row[n + 1] = y;
    }
}
