"""Tensor cores by mma.sync with ldmatrix and cp.async (gemm_mma.cuh): float32 arrays, products in
tf32.

Tiles of 128 × 128 by four warps, three strips of 16 in flight. Operands are rounded to tf32 to the
nearest when they are read from shared memory, sums are float32. A strip of a tile takes 20 KB of
shared memory, so that two blocks fit an A100's multiprocessor; 16 FLOP per byte of shared memory
are what 128 bytes per cycle allow an H100 at its full rate of 2048 FLOP per cycle.

Chosen by analysis; not measured.
"""

from ..raw import Source
from . import mma

SOURCE = Source(__name__, "mma.cu")
PRECISION = "tf32"


def supports(op, a, b, bias=None, *, ta=False, tb=False, act=None):
    return a.dtype == "float32" and mma.countable(a, b, ta, tb)


def workspace(op, a, b, bias=None, *, ta=False, tb=False, act=None):
    return mma.workspace(a, b, ta, tb)


def matmul(out, a, b, bias, *, ta=False, tb=False, act=None, scratch=None):
    mma.product(SOURCE, out, a, b, bias, ta=ta, tb=tb, act=act, scratch=scratch)
