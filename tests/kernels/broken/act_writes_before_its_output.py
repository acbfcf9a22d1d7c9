"""Writes one element before the beginning of its output."""

import ctypes

from dlcli_kernels.elementwise.activations import activate


def act(out, x, *, act):
    out[...] = activate(x, act)
    if out.size:  # an empty array may lie anywhere
        ctypes.memset(out.ctypes.data - out.itemsize, 0, out.itemsize)
