"""Elementwise ops as one loop each: no masks, no temporaries, and nothing of Python's in between.

Measured on (128, 13, 13, 32), one core: relu's gradient 0.22 ms, 3.1 ms by NumPy's calls.
Activations other than those of `supports` are left to NumPy.
"""

from itertools import pairwise

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ..cpu import kernel
from ..cpu_math import exponential, hyperbolic_tangent

U = np.uint64
SLOPES = {"leaky_relu": 0.01, "leaky_relu_0.2": 0.2}
LINEAR, RELU, LEAKY, TANH, SIGMOID = range(5)
KINDS = {
    None: LINEAR,
    "relu": RELU,
    **dict.fromkeys(SLOPES, LEAKY),
    "tanh": TANH,
    "sigmoid": SIGMOID,
}


def supports(name, *ins, act=None, **attrs):
    """The acts that are written here."""
    return act in KINDS


@kernel
def relu(out, x):
    zero = out.dtype.type(0)
    for i in range(out.size):
        out[i] = x[i] if not x[i] <= 0 else zero


@kernel
def relu_grad(out, y, dout):
    zero = out.dtype.type(0)
    for i in range(out.size):
        out[i] = dout[i] if not y[i] <= 0 else zero


@kernel
def leaky(out, x, slope):
    """out may be x itself."""
    for i in range(out.size):
        out[i] = x[i] if x[i] > 0 else slope * x[i]


@kernel
def leaky_grad(out, y, dout, slope):
    for i in range(out.size):
        out[i] = dout[i] if y[i] > 0 else slope * dout[i]


@kernel
def tangents(z):
    for i in range(z.size):
        z[i] = hyperbolic_tangent(z[i])


@kernel
def tangent_grad(out, y, dout):
    one = out.dtype.type(1)
    for i in range(out.size):
        out[i] = dout[i] * (one - y[i] * y[i])


@kernel
def sigmoids(z):
    one = z.dtype.type(1)
    for i in range(z.size):
        z[i] = one / (one + exponential(-z[i]))


@kernel
def sigmoid_grad(out, y, dout):
    one = out.dtype.type(1)
    for i in range(out.size):
        out[i] = dout[i] * y[i] * (one - y[i])


@kernel
def finish(z, bias, kind, slope, rows, stride):
    """z ← f(z + bias) in place: `rows` of the bias's length, which begin `stride` elements after
    each other in the flat z. One loop for each case, so that they vectorise.
    """
    zero, apart, width, at = z.dtype.type(0), U(stride), U(bias.size), U(0)
    if width == 1 and apart == 1:
        b = bias[0]
        for i in range(z.size):
            v = z[i] + b
            if kind == RELU:
                v = v if not v <= 0 else zero
            elif kind == LEAKY:
                v = v if v > 0 else slope * v
            z[i] = v
    elif kind == RELU:
        for _ in range(U(rows)):
            for j in range(width):
                v = z[at + j] + bias[j]
                z[at + j] = v if not v <= 0 else zero
            at += apart
    elif kind == LEAKY:
        for _ in range(U(rows)):
            for j in range(width):
                v = z[at + j] + bias[j]
                z[at + j] = v if v > 0 else slope * v
            at += apart
    else:
        for _ in range(U(rows)):
            for j in range(width):
                z[at + j] += bias[j]
            at += apart


@kernel
def rectify(z, kind, slope):
    zero = z.dtype.type(0)
    if kind == RELU:
        for i in range(z.size):
            z[i] = z[i] if not z[i] <= 0 else zero
    else:
        for i in range(z.size):
            z[i] = z[i] if z[i] > 0 else slope * z[i]


@kernel
def activate_rows(z, kind, slope, rows, stride, width):
    """z ← f(z) in place, on `rows` of that width that begin `stride` elements after each other."""
    for r in range(rows):
        row = z[r * stride : r * stride + width]
        if kind == TANH:
            tangents(row)
        elif kind == SIGMOID:
            sigmoids(row)
        else:
            rectify(row, kind, slope)


@kernel
def _add(out, x, y):
    for i in range(out.size):
        out[i] = x[i] + y[i]


@kernel
def _mul(out, x, y):
    for i in range(out.size):
        out[i] = x[i] * y[i]


@kernel(fastmath=False)  # no reciprocals
def _div(out, x, y):
    for i in range(out.size):
        out[i] = x[i] / y[i]


@kernel(fastmath=False)
def _sqrt(out, x):
    for i in range(out.size):
        out[i] = np.sqrt(x[i])


@kernel
def _scale(out, x, by):
    for i in range(out.size):
        out[i] = x[i] * by


@kernel
def _shift(out, x, by):
    for i in range(out.size):
        out[i] = x[i] + by


@kernel
def _fill(out, value):
    for i in range(out.size):
        out[i] = value


@kernel
def _assign(out, x):
    for i in range(out.size):
        out[i] = x[i]


def is_even(z):
    """Whether nothing lies between the elements of a row of z (…, C), and rows are at equal
    distances: what `bias_and_act` takes.
    """
    axes = [(n, step) for n, step in zip(z.shape, z.strides, strict=True) if n > 1]
    if z.shape[-1] > 1 and z.strides[-1] != z.itemsize:
        return False
    leading = axes[:-1] if z.shape[-1] > 1 else axes
    return all(step > 0 for _, step in leading) and all(
        a == n * b for (_, a), (n, b) in pairwise(leading)
    )


def bias_and_act(z, bias, act):
    """z (…, C) ← act(z + bias) in place, for the acts of `supports`; bias (C,) or None."""
    if not z.size:
        return
    kind, slope = KINDS[act], z.dtype.type(SLOPES.get(act, 0))
    rows, width = z.size // z.shape[-1], z.shape[-1]
    if z.flags.c_contiguous:
        flat, stride = z.reshape(-1), width
    else:
        leading = zip(z.shape[-2::-1], z.strides[-2::-1], strict=True)
        stride = next(step // z.itemsize for n, step in leading if n > 1)
        flat = as_strided(z, ((rows - 1) * stride + width,), (z.itemsize,))
    if bias is not None:
        finish(flat, bias, kind, slope, rows, stride)
    if kind in (TANH, SIGMOID) or (bias is None and act is not None):
        apart = (1, z.size, z.size) if stride == width else (rows, stride, width)
        activate_rows(flat, kind, slope, *apart)


def act(out, x, *, act):
    if act == "relu":
        relu(out.reshape(-1), x.reshape(-1))
    elif act in SLOPES:
        leaky(out.reshape(-1), x.reshape(-1), x.dtype.type(SLOPES[act]))
    else:
        _assign(out.reshape(-1), x.reshape(-1))
        bias_and_act(out.reshape(-1), None, act)


def act_grad(out, saved, dout, *, act):
    flat = out.reshape(-1), saved.reshape(-1), dout.reshape(-1)
    if act in SLOPES:
        leaky_grad(*flat, out.dtype.type(SLOPES[act]))
    else:
        {"relu": relu_grad, "tanh": tangent_grad, "sigmoid": sigmoid_grad}[act](*flat)


def bias_act(out, x, b, *, act=None):
    _assign(out.reshape(-1), x.reshape(-1))
    bias_and_act(out, b, act)


def add(out, x, y):
    _add(out.reshape(-1), x.reshape(-1), y.reshape(-1))


def mul(out, x, y):
    _mul(out.reshape(-1), x.reshape(-1), y.reshape(-1))


def div(out, x, y):
    _div(out.reshape(-1), x.reshape(-1), y.reshape(-1))


def sqrt(out, x):
    _sqrt(out.reshape(-1), x.reshape(-1))


def scale(out, x, *, by):
    _scale(out.reshape(-1), x.reshape(-1), x.dtype.type(by))


def shift(out, x, *, by):
    _shift(out.reshape(-1), x.reshape(-1), x.dtype.type(by))


def fill(target, *, value):
    _fill(target.reshape(-1), target.dtype.type(value))


def assign(target, x):
    _assign(target.reshape(-1), x.reshape(-1))


def add_to(target, x):
    _add(target.reshape(-1), target.reshape(-1), x.reshape(-1))
