"""NumPy in place on ranges that fit the cache: its exp and tanh are vectorised, and no temporary
is larger than a range.

Activations that have no line here run their row of `activations.py`.
"""

import numpy as np

from .activations import ACTIVATIONS
from .cpu_numba import SLOPES, leaky


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
    if bias is not None:
        np.add(z, bias, out=z)
    if act is not None:
        if act in FORWARD:
            FORWARD[act](z, z)
        elif act in SLOPES and z.flags.c_contiguous:
            leaky(z.reshape(-1), z.reshape(-1), z.dtype.type(SLOPES[act]))
        else:
            z[...] = ACTIVATIONS[act].forward(z)


def add(out, x, y):
    np.add(x, y, out=out)


def mul(out, x, y):
    np.multiply(x, y, out=out)


def div(out, x, y):
    np.divide(x, y, out=out)


def fill(target, *, value):
    target[...] = value


def assign(target, x):
    np.copyto(target, x)


def add_to(target, x):
    np.add(target, x, out=target)


def scale(out, x, *, by):
    np.multiply(x, x.dtype.type(by), out=out)


def shift(out, x, *, by):
    np.add(x, x.dtype.type(by), out=out)


def sqrt(out, x):
    np.sqrt(x, out=out)
