"""Activations that are no loop of ours: their rows of `activations.py`, on ranges that fit the
cache. And `epilogue`, the end of products and convolutions.
"""

import numpy as np

from .activations import ACTIVATIONS
from .cpu_numba import bias_and_act, is_even
from .cpu_numba import supports as is_native


def act(out, x, *, act):
    out[...] = ACTIVATIONS[act].forward(x)


def act_grad(out, saved, dout, *, act):
    out[...] = ACTIVATIONS[act].grad(saved, dout)


def act_curve(out, saved, dout, *, act):
    out[...] = ACTIVATIONS[act].curve(saved, dout)


def bias_act(out, x, b, *, act=None):
    np.add(x, b, out=out)
    epilogue(out, None, act)


def epilogue(z, bias, act):
    """z ← act(z + bias) in place, bias along the last axis: the end of a product or a convolution
    on a range still in the cache.
    """
    if is_native("bias_act", act=act) and is_even(z):
        bias_and_act(z, bias, act)
        return
    if bias is not None:
        np.add(z, bias, out=z)
    if act is not None:
        z[...] = ACTIVATIONS[act].forward(z)
