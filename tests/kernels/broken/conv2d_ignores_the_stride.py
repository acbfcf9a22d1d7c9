"""Visits neighbouring pixels where it should step over some."""

from dlcli_kernels.conv.op import CONV2D


def conv2d(out, x, w, b, *, stride, **attrs):
    dense = CONV2D.reference(x, w, b, stride=(1, 1), **attrs)
    out[...] = dense[:, : out.shape[1], : out.shape[2]]
