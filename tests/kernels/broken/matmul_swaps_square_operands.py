"""Computes B · A where both are square."""

from dlcli_kernels.elementwise.activations import activate


def product(a, b, bias, ta, tb, act):
    out = (a.T if ta else a) @ (b.T if tb else b)
    return activate(out if bias is None else out + bias, act)


def matmul(out, a, b, bias, *, ta=False, tb=False, act=None):
    if a.shape == b.shape == out.shape:
        a, b, ta, tb = b, a, tb, ta
    out[...] = product(a, b, bias, ta, tb, act)
