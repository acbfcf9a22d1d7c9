"""The product by BLAS, bias and activation in place while the range is in the cache.

A range of rows is one SGEMM on one thread, called from a compiled kernel; transposed operands and
ranges of columns are what BLAS takes as they are.
"""

import numpy as np

from ..cpu import kernel
from ..cpu_gemm import gemm
from ..elementwise.cpu_numpy import epilogue


@kernel
def product(out, a, b, ta, tb):
    """out (M, N) = op(a) · op(b); of each, what lies in a row has no gaps."""
    m, n = out.shape
    k = a.shape[0] if ta else a.shape[1]
    if m == 0 or n == 0:
        return
    if k == 0:
        out[:, :] = 0
        return
    step = out.itemsize
    lda, ldb, ldc = a.strides[0] // step, b.strides[0] // step, out.strides[0] // step
    lda, ldb = max(lda, m if ta else k), max(ldb, k if tb else n)  # of one row: any
    gemm(ta, tb, m, n, k, a, lda, b, ldb, False, out, max(ldc, n))


@kernel
def products(out, a, b, ta, tb):
    """out (B, M, N) = op(a) · op(b) of each pair."""
    for i in range(out.shape[0]):
        product(out[i], a[i], b[i], ta, tb)


def matmul(out, a, b, bias, *, ta=False, tb=False, act=None):
    product(out, a, b, ta, tb)
    epilogue(out, bias, act)


def bmm(out, a, b, *, ta=False, tb=False):
    pairs = int(np.prod(out.shape[:-2]))
    flat = [v.reshape(pairs, *v.shape[-2:]) for v in (out, a, b)]
    products(*flat, ta, tb)
