"""Computes float64 in float32: right at one precision, wrong at the other."""

import numpy as np
from dlcli_kernels.elementwise.activations import activate


def product(a, b, bias, ta, tb, act):
    out = (a.T if ta else a) @ (b.T if tb else b)
    return activate(out if bias is None else out + bias, act)


def matmul(out, a, b, bias, *, ta=False, tb=False, act=None):
    out[...] = product(a.astype(np.float32), b.astype(np.float32), bias, ta, tb, act)
