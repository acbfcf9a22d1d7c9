"""Convolves as mathematics has it, with filters turned by half a turn."""

from dlcli_kernels.conv.op import CONV2D


def conv2d(out, x, w, b, **attrs):
    out[...] = CONV2D.reference(x, w[:, ::-1, ::-1], b, **attrs)
