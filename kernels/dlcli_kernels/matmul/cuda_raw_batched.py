"""A block to a tile of 64 × 64 results of one pair, by the loop of `cuda_raw_warptile` (gemm.cuh).

Pairs are small where they are many (a batch's sentences): one tile each mostly, and what counts is
that one launch has them all. 1.3 FLOP per byte of shared memory. Chosen by analysis; not measured.
"""

import math

from ..raw import Source
from .batched import extents
from .cuda_raw_warptile import LARGEST

SOURCE = Source(__name__, "cuda_raw_batched.cu")
TILE, THREADS = 64, 128


def supports(op, a, b, *, ta=False, tb=False):
    batch, m, n, _ = extents(a, b, ta, tb)
    return a.dtype == "float32" and max(a.size, b.size, math.prod(batch) * m * n) <= LARGEST


def bmm(out, a, b, *, ta=False, tb=False):
    batch, m, n, k = extents(a, b, ta, tb)
    forms = {"A_WIDTH": 1 if ta else 0, "B_WIDTH": 0 if tb else 1}
    blocks = -(-m // TILE) * -(-n // TILE) * math.prod(batch)
    SOURCE.kernel("bmm", **forms)(blocks, THREADS, out, a, b, m, n, k)
