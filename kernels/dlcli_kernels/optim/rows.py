"""Optimiser steps on the rows of a table that have a gradient: lazy ones, which leave all other
rows, parameters and states, as they are.

p and the states are (V, D); g (C, D) is the gradient of the rows index (C,), which ascend, each
once; places that are left over have an index of V or more. A row is moved as `op.py` moves a
parameter, `step` being the number of the step and not of the row's own: what PyTorch's SparseAdam
does, which only adds ε before the bias is corrected, and Adam after. Penalties move every row in
every step and so have no such form.
"""

import numpy as np

from ..spec import Op, case, integers, normal, uniform
from .shared import HALTED, PREFER, RUNNING, TOLERANCE

SIZES = [(1, 1, 1), (7, 3, 5), (131, 2, 40), (5, 129, 9), (3000, 4, 700), (4, 3, 0), (0, 3, 2)]
SIZES += [(4, 0, 3)]  # V, D, C
BY_ROWS = PREFER | {("cuda", "float32"): ("cuda_raw_rows",)}
CUT = {"index": 0, "g": 0}


def check_rows(op, p, index, g, *states, scalars):
    """ValueError unless p and the states are tables of one shape and g has a row for each index."""
    shapes = [s.shape for s in (p, *states)]
    if len(p.shape) != 2 or any(shape != p.shape for shape in shapes):
        raise ValueError(f"{op}: tables of one shape are needed, not {shapes}")
    if index.dtype != np.int64 or g.shape != (*index.shape, p.shape[1]):
        raise ValueError(f"{op}: {g.shape} is no gradient of the rows {index.shape} of {p.shape}")
    if any(s.shape != (1,) for s in scalars):
        raise ValueError(f"{op}: lr, step and halt are buffers of one element")


def rows_of(move):
    """The reference of a step on rows: that of the step on a flat buffer, row after row."""

    def reference(p, index, g, *others, **attrs):
        *states, lr, step, halt = others
        for row, gradient in zip(index, g, strict=True):
            if row < len(p):
                move(p[row], gradient, *[s[row] for s in states], lr, step, halt, **attrs)

    return reference


def infer_sgd(p, index, g, lr, step, halt):
    check_rows("sgd_rows_step", p, index, g, scalars=(lr, step, halt))
    return {}


def infer_momentum(p, index, g, m, lr, step, halt, *, momentum, dampening=0.0, nesterov=False):
    check_rows("momentum_rows_step", p, index, g, m, scalars=(lr, step, halt))
    return {}


def infer_adam(p, index, g, m, v, lr, step, halt, *, beta1=0.9, beta2=0.999, eps=1e-8):
    check_rows("adam_rows_step", p, index, g, m, v, scalars=(lr, step, halt))
    return {}


# --- cases ----------------------------------------------------------------------------------------


def operands(v, d, c, states=(), halt=RUNNING, t=4):
    """Arguments of a case: an index in order, its last places left over."""

    def make(rng, dtype):
        count = min(v, max(c - 2, 1))
        index = np.full(c, v)
        index[:count] = np.sort(rng.permutation(v)[:count])[:c]
        return {"index": index}

    made = {"p": normal(v, d), "g": normal(c, d)}
    made |= {s: uniform(0.0, 2.0, v, d) if s == "v" else normal(v, d) for s in states}
    made |= {"lr": uniform(0.001, 0.1, 1, dtype=np.float64), "halt": halt}
    return {"make": make, **made, "step": integers(t, t + 1, 1, dtype=np.float64)}


def rows_op(name, infer, move, states, settings):
    """An op of this file. move: the reference of the step on a flat buffer."""
    cases = [case(**operands(*size, states), **settings[0]) for size in SIZES]
    cases += [case(**operands(9, 6, 5, states), **s) for s in settings[1:]]
    cases += [case("halted", **operands(9, 6, 5, states, HALTED), **settings[0])]
    cases += [
        case(f"step {t}", **operands(9, 6, 5, states, t=t), **settings[0]) for t in (1, 2, 9999)
    ]
    return Op(
        name,
        infer,
        rows_of(move),
        inout=("p", *states),
        cut=CUT,
        tolerance=TOLERANCE,
        cases=cases,
        bench=[case(**operands(25_000, 200, 6400, states), **settings[0])],
        traffic=lambda p, index, g, *others, **attrs: g.nbytes * (3 + 2 * len(states)),
        sized=lambda V=25_000, D=200, N=6400: case(**operands(V, D, N, states), **settings[0]),
        prefer=BY_ROWS,
        precision_of="p",
        wide=("lr", "step"),
    )
