"""Leaves the last rows unwritten where they do not fill a tile of 8."""

from dlcli_kernels.elementwise.activations import activate


def product(a, b, bias, ta, tb, act):
    out = (a.T if ta else a) @ (b.T if tb else b)
    return activate(out if bias is None else out + bias, act)


def matmul(out, a, b, bias, *, ta=False, tb=False, act=None):
    full = out.shape[0] // 8 * 8
    out[:full] = product(a, b, bias, ta, tb, act)[:full]
