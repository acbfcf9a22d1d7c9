"""Negates its input in place while it runs: another thread reads it meanwhile."""

import numpy as np
from dlcli_kernels.elementwise.activations import activate


def product(a, b, bias, ta, tb, act):
    out = (a.T if ta else a) @ (b.T if tb else b)
    return activate(out if bias is None else out + bias, act)


def matmul(out, a, b, bias, *, ta=False, tb=False, act=None):
    np.negative(b, out=b)
    z = product(a, b, None, ta, tb, None)
    np.negative(b, out=b)
    out[...] = activate(-z if bias is None else bias - z, act)
