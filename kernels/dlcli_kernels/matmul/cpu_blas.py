"""The product by BLAS, bias and activation in place while the range is in the cache.

A range of rows is one SGEMM on one thread; transposed operands are views, which BLAS takes as they
are.
"""

import numpy as np

from ..elementwise.cpu_numpy import epilogue


def matmul(out, a, b, bias, *, ta=False, tb=False, act=None):
    np.matmul(a.T if ta else a, b.T if tb else b, out=out)
    epilogue(out, bias, act)


def bmm(out, a, b, *, ta=False, tb=False):
    np.matmul(np.swapaxes(a, -1, -2) if ta else a, np.swapaxes(b, -1, -2) if tb else b, out=out)
