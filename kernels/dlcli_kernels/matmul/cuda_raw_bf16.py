"""Tensor cores by mma.sync with ldmatrix and cp.async (gemm_mma.cuh): bfloat16 arrays, sums in
float32.

Tiles of 128 × 128 by four warps, three strips of 32 in flight; 32 FLOP per byte of shared memory.
For every architecture from sm_80 on, and what remains on sm_90 where rows are not aligned for
cuda_raw_wgmma. There mma.sync reaches no more than some 60 % of the tensor cores' rate.

Chosen by analysis; not measured.
"""

import ml_dtypes

from ..raw import Source
from . import mma

SOURCE = Source(__name__, "mma.cu")
PRECISION = "bfloat16"


def supports(op, a, b, bias=None, *, ta=False, tb=False, act=None):
    return a.dtype == ml_dtypes.bfloat16 and mma.countable(a, b, ta, tb)


def workspace(op, a, b, bias=None, *, ta=False, tb=False, act=None):
    return mma.workspace(a, b, ta, tb)


def matmul(out, a, b, bias, *, ta=False, tb=False, act=None, scratch=None):
    mma.product(SOURCE, out, a, b, bias, ta=ta, tb=tb, act=act, scratch=scratch)
