"""Divides by the size of the window at the edges too."""

from dlcli_kernels.pool.op import AVGPOOL


def avgpool2d(out, x, *, count_include_pad, **attrs):
    out[...] = AVGPOOL.reference(x, count_include_pad=True, **attrs)
