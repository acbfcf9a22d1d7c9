"""Fills its last tile of 4 rows up with zeros, into the rows of the next range."""

import ctypes

from dlcli_kernels.elementwise.activations import activate


def act(out, x, *, act):
    out[...] = activate(x, act)
    if not out.ndim or not len(out):
        return
    end, wanted = out.ctypes.data + out.nbytes, -out.shape[0] % 4 * out[0].nbytes
    room = out.base.ctypes.data + out.base.nbytes - 64 * out.itemsize - end  # spares the bands
    ctypes.memset(end, 0, max(0, min(wanted, room)))
