"""Sums one product too many: the element after each row of a, and the row after the last of b."""

import numpy as np
from dlcli_kernels.elementwise.activations import activate


def one_more(matrix, axis):
    shape = tuple(n + (i == axis) for i, n in enumerate(matrix.shape))
    return np.lib.stride_tricks.as_strided(matrix, shape, matrix.strides)


def matmul(out, a, b, bias, *, ta=False, tb=False, act=None):
    a, b = one_more(a, 0 if ta else 1), one_more(b, 1 if tb else 0)
    z = (a.T if ta else a) @ (b.T if tb else b)
    out[...] = activate(z if bias is None else z + bias, act)
