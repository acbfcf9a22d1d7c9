"""Writes one element past the end of its output."""

import numpy as np
from dlcli_kernels.elementwise.activations import activate


def act(out, x, *, act):
    out[...] = activate(x, act)
    if out.size:  # an empty array may lie anywhere
        np.lib.stride_tricks.as_strided(out, (out.size + 1,), (out.itemsize,))[-1] = 0
