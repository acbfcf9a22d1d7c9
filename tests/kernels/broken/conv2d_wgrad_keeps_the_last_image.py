"""Overwrites the gradient with each image instead of adding."""

from dlcli_kernels.conv.op import CONV2D_WGRAD
from dlcli_kernels.spec import as_tuple


def conv2d_wgrad(*operands, **attrs):
    *outs, dout, x = operands
    sums = CONV2D_WGRAD.reference(dout[-1:], x[-1:], **attrs)
    for out, value in zip(outs, as_tuple(sums), strict=True):
        out[...] = value
