"""A matrix product to start from, in Numba: out = act(A·B + bias), row by row of the result.

The inner loop runs along a row of b and of the result, both contiguous: LLVM vectorises that. Next
steps: keep several rows of the result in registers, and work in blocks that stay in the cache.
"""

import numpy as np

from dlcli_kernels.cpu import kernel  # numba.njit: serial, without the GIL, cached on disk
from dlcli_kernels.elementwise.cpu_numpy import epilogue

DEVICE = "cpu"


def supports(op, *ins, **attrs):
    """Which calls it takes; without this function, all. ins: specs with .shape and .dtype."""
    return True


@kernel
def multiply(out, a, b):
    zero = out.dtype.type(0)
    for m in range(out.shape[0]):
        row = out[m]
        row[:] = zero  # the array holds anything before
        for k in range(a.shape[1]):
            for n in range(out.shape[1]):
                row[n] += a[m, k] * b[k, n]


def matmul(out, a, b, bias, *, ta=False, tb=False, act=None):
    """It writes into `out`, which may be a range of the result's rows or columns."""
    multiply(out, a.T if ta else a, np.ascontiguousarray(b.T) if tb else b)
    epilogue(out, bias, act)
