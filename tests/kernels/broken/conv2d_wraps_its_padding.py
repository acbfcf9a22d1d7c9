"""Pads with the pixels of the other side."""

import numpy as np
from dlcli_kernels.conv.op import CONV2D


def conv2d(out, x, w, b, *, padding, **attrs):
    wrapped = np.pad(x, ((0, 0), *padding, (0, 0)), mode="wrap") if x.size else x
    padding = ((0, 0), (0, 0)) if x.size else padding
    out[...] = CONV2D.reference(wrapped, w, b, padding=padding, **attrs)
