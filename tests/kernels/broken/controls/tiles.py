"""A product and a sum in tiles, tails included."""

import numpy as np
from dlcli_kernels.elementwise.activations import activate


def matmul(out, a, b, bias, *, ta=False, tb=False, act=None):
    a, b = (a.T if ta else a), (b.T if tb else b)
    for i in range(0, out.shape[0], 8):
        for j in range(0, out.shape[1], 16):
            tile = out[i : i + 8, j : j + 16]
            tile[...] = 0
            for k in range(0, a.shape[1], 4):
                tile += a[i : i + 8, k : k + 4] @ b[k : k + 4, j : j + 16]
    out[...] = activate(out if bias is None else out + bias, act)


def add(out, x, y):
    flat, xs, ys = out.reshape(-1), x.reshape(-1), y.reshape(-1)
    for i in range(0, flat.size, 64):
        np.add(xs[i : i + 64], ys[i : i + 64], out=flat[i : i + 64])
