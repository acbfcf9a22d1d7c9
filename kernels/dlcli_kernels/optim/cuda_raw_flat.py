"""Optimiser steps over one flat buffer in one launch, in 128-bit accesses; the norm in two stages.

Bound by memory: chosen by that count; not measured. Rates and powers are computed in float64 once
per block or thread, the elements in float32.
"""

import numpy as np

from ..raw import Source, target
from ..spec import Spec

SOURCE = Source(__name__, "cuda_raw_flat.cu")
BLOCK = 256
BLOCKS = 8  # per multiprocessor: 2,048 threads, all that it holds


def supports(op, first, *others, **attrs):
    if op == "count_step":
        return first.dtype == "float64"
    return first.dtype == "float32" or (op == "check_finite" and first.dtype == "float64")


def _blocks(n, each=4):
    return max(min(-(-n // (each * BLOCK)), BLOCKS * target().multiprocessors), 1)


def workspace(op, g, *others, **attrs):
    if op == "sum_of_squares":
        return Spec((_blocks(g.size, each=16),), np.dtype(np.float64))
    return None


def _run(kernel, n, *args):
    """Launches over n elements; real settings are passed as float64."""
    wide = [np.float64(a) if isinstance(a, float) else a for a in args]
    SOURCE.kernel(kernel)(_blocks(int(n)) if n else 0, BLOCK, *wide)


def sgd_step(p, g, lr, halt, *, weight_decay=0.0, l1=0.0, decoupled=False):
    n = np.int64(p.size)
    _run("sgd_step", n, p, g, lr, halt, n, float(weight_decay), float(l1), int(decoupled))


def momentum_step(
    p, g, m, lr, step, halt,
    *, momentum, dampening=0.0, nesterov=False, weight_decay=0.0, l1=0.0, decoupled=False,
):  # fmt: skip
    n = np.int64(p.size)
    _run(
        "momentum_step", n, p, g, m, lr, step, halt, n,
        float(momentum), float(dampening), int(nesterov),
        float(weight_decay), float(l1), int(decoupled),
    )  # fmt: skip


def rmsprop_step(
    p, g, v, m, avg, lr, halt,
    *, alpha=0.99, eps=1e-8, momentum=0.0, centered=False,
    weight_decay=0.0, l1=0.0, decoupled=False,
):  # fmt: skip
    n = np.int64(p.size)
    _run(
        "rmsprop_step", n, p, g, v, m, avg, lr, halt, n,
        float(alpha), float(eps), float(momentum), float(weight_decay), float(l1), int(decoupled),
    )  # fmt: skip


def adam_step(
    p, g, m, v, lr, step, halt,
    *, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0, l1=0.0, decoupled=False,
):  # fmt: skip
    n = np.int64(p.size)
    _run(
        "adam_step", n, p, g, m, v, lr, step, halt, n,
        float(beta1), float(beta2), float(eps), float(weight_decay), float(l1), int(decoupled),
    )  # fmt: skip


def check_finite(x, halt):
    kernel = "check_float" if x.dtype == np.float32 else "check_double"
    _run(kernel, x.size, x, halt, np.int64(x.size))


def count_step(step, halt):
    SOURCE.kernel("count_step")(1, 1, step, halt)


def sum_of_squares(out, g, *, scratch):
    SOURCE.kernel("squares")(scratch.size, BLOCK, scratch, g, np.int64(g.size))
    SOURCE.kernel("add_partials")(1, BLOCK, out, scratch, scratch.size)


def clip_by_norm(g, sum_of_squares, halt, *, max_norm):
    _run("clip_by_norm", g.size, g, sum_of_squares, halt, np.int64(g.size), float(max_norm))


def clip_by_value(g, *, limit):
    _run("clip_by_value", g.size, g, np.int64(g.size), np.float32(limit))
