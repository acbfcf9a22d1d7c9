"""The plain formulas of matmul, act, add, sum and max."""

import numpy as np
from dlcli_kernels.elementwise.activations import activate


def matmul(out, a, b, bias, *, ta=False, tb=False, act=None):
    z = (a.T if ta else a) @ (b.T if tb else b)
    out[...] = activate(z if bias is None else z + bias, act)


def act(out, x, *, act):
    out[...] = activate(x, act)


def add(out, x, y):
    np.add(x, y, out=out)


def sum(out, x, *, axes, keepdims=False):
    out[...] = np.sum(x, axis=tuple(axes), keepdims=keepdims, dtype=np.float64)


def max(out, x, *, axes, keepdims=False):
    out[...] = np.max(x, axis=tuple(axes), keepdims=keepdims)
