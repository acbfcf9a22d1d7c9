"""Hopper's own instructions: bfloat16 through bulk copies (TMA) and products of warpgroups (wgmma)
straight from shared memory.

A persistent grid, a block to each multiprocessor. One warp copies strips of 64 values of k ahead
into four buffers of 48 KB; two warpgroups multiply 64 × 256 results each, so that a tile is 128 ×
256: 85 FLOP per byte of L2, and 43 per byte of shared memory (a wgmma of 64 × 128 × 16 reads 6 KB
for 262 KFLOP). Registers are handed from the copying warpgroup (40 remain) to the multiplying ones
(232), of which 128 hold results. Rows must begin on boundaries of 16 bytes; what lies beyond the
edges are zeros that the copies fill in.

The technique is that of the seventh rung of github.com/pranjalssh/fast.cu, 660 of cuBLAS's 716
TFLOP/s on an H100. Chosen by analysis; not measured here.
"""

import ml_dtypes

from ..elementwise.activations import NUMBERS
from ..raw import Source, TensorMap, target
from .mma import countable
from .op import extents

ARCHS = ("sm_90a",)
SOURCE = Source(__name__, "cuda_raw_wgmma.cu", archs=ARCHS)
PRECISION = "bfloat16"
TILE_M, STRIP = 128, 64
STAGES = {256: 4, 128: 6}  # as many buffers as shared memory has room for, by the width of a tile
THREADS = 384
ALIGNED = 8  # elements in 16 bytes


def supports(op, a, b, bias=None, *, ta=False, tb=False, act=None):
    return (
        a.dtype == ml_dtypes.bfloat16
        and countable(a, b, ta, tb)
        and 0 not in (*a.shape, *b.shape)
        and a.shape[1] % ALIGNED == b.shape[1] % ALIGNED == 0
    )


def boxed(matrix, along_k, rows):
    """The operand as its strips are copied: `rows` of it along k, or 64 rows to a k."""
    return TensorMap(matrix, (rows, STRIP) if along_k else (STRIP, 64))


def matmul(out, a, b, bias, *, ta=False, tb=False, act=None):
    m, n, k = extents(a, b, ta, tb)
    blocks = target().multiprocessors
    rows = -(-m // TILE_M)
    tile_n = 256 if rows * -(-n // 256) >= blocks else 128
    stages = STAGES[tile_n]
    kernel = SOURCE.kernel(
        "matmul_wgmma",
        TILE_N=tile_n,
        STAGES=stages,
        ACT=NUMBERS[act],
        A_DEEP=int(not ta),
        B_DEEP=int(tb),
    )
    kernel(
        min(rows * -(-n // tile_n), blocks), THREADS,
        out, boxed(a, not ta, TILE_M), boxed(b, tb, tile_n), bias, m, n, k,
        shared=stages * ((TILE_M + tile_n) * STRIP * 2 + 16),
    )  # fmt: skip
