"""NumPy in place on ranges that fit the cache: its exp and tanh are vectorised, and no temporary
is larger than a range.

Activations that have no line here run their row of `activations.py`.
"""

import numpy as np

from .activations import ACTIVATIONS
from .cpu_numba import bias_and_act
from .cpu_numba import supports as is_plain


def _relu(out, x):
    np.maximum(x, 0, out=out)


def _sigmoid(out, x):  # ½ · tanh(x/2) + ½: one vectorised call, no overflow
    np.multiply(x, 0.5, out=out)
    np.tanh(out, out=out)
    np.multiply(out, 0.5, out=out)
    np.add(out, 0.5, out=out)


def _tanh(out, x):
    np.tanh(x, out=out)


def _relu_grad(out, y, dout):
    np.copyto(out, dout)
    np.copyto(out, 0, where=y <= 0)


def _sigmoid_grad(out, y, dout):
    np.subtract(1, y, out=out)
    np.multiply(out, y, out=out)
    np.multiply(out, dout, out=out)


def _tanh_grad(out, y, dout):
    np.multiply(y, y, out=out)
    np.subtract(1, out, out=out)
    np.multiply(out, dout, out=out)


FORWARD = {"relu": _relu, "sigmoid": _sigmoid, "tanh": _tanh}
BACKWARD = {"relu": _relu_grad, "sigmoid": _sigmoid_grad, "tanh": _tanh_grad}


def act(out, x, *, act):
    if act in FORWARD:
        FORWARD[act](out, x)
    else:
        out[...] = ACTIVATIONS[act].forward(x)


def act_grad(out, saved, dout, *, act):
    if act in BACKWARD:
        BACKWARD[act](out, saved, dout)
    else:
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
    if is_plain("bias_act", act=act) and z.flags.c_contiguous:
        if bias is not None or act is not None:
            bias_and_act(z, z, bias, act)
        return
    if bias is not None:
        np.add(z, bias, out=z)
    if act in FORWARD:
        FORWARD[act](z, z)
    elif act is not None:
        z[...] = ACTIVATIONS[act].forward(z)
