"""The gradients of `lstm_sequence`: backwards through its steps, and that of the recurrent weights.

    dh[n, t−1] = dz[n, t] · w + dout[n, t−1];   dw = Σ dz[n, t]ᵀ · h[n, t−1]  over n and t

t−1 is the step that ran before t: with `reverse`, t+1. Past a row's length dz is 0, dout is not
used, and dh and dc are passed on unchanged. `lengths` and `reverse` are as in `sequence.py`.
"""

import numpy as np

from ..spec import Op, Tol, case, normal
from .cell import PREFER, step_grad
from .sequence import (
    BENCH,
    CUT,
    ON_CUDA,
    RUNS,
    RUNS_WITH_LENGTHS,
    check,
    flops,
    grain,
    live,
    sequence,
    some_lengths,
    steps,
)

GRADIENT = {
    "float32": Tol(1e-5, 3e-6, why="products of 4H terms, and what a step passes on to the next"),
    "float64": Tol(2e-14, 6e-15, why="the same in double precision"),
}
WEIGHT_GRADIENT = {
    "float32": Tol(1e-5, 2e-6, why="a sum of N·T products in blocks, as in matmul"),
    "float64": Tol(1e-12, 1e-14, why="the same in double precision"),
}


def before(states, first, t, lengths, reverse):
    """(N, H): the state from which step t began, of states (N, T, H) after each step.

    first: the state from which a row began.
    """
    previous = t + 1 if reverse else t - 1
    if not 0 <= previous < states.shape[1]:
        return first
    return np.where(live(previous, lengths, states), states[:, previous], first)


def infer_sequence_grad(
    dout, dh_last, dc_last, gates, cells, c0, w, lengths=None, *, reverse=False
):
    states = (dh_last, dc_last, c0)
    check("lstm_sequence_grad", gates, w, lengths, (dout, cells), states)
    return {"dz": gates, "dh0": c0, "dc0": c0}


def sequence_grad(dout, dh_last, dc_last, gates, cells, c0, w, lengths=None, *, reverse=False):
    """An absent dout, dh_last or dc_last is zero: that output was not used."""
    dh = np.zeros_like(c0) if dh_last is None else dh_last
    dc = np.zeros_like(c0) if dc_last is None else dc_last
    dz = np.zeros_like(gates)
    for t in steps(gates.shape[1], not reverse):
        within = live(t, lengths, gates)
        above = 0 if dout is None else dout[:, t]
        c = before(cells, c0, t, lengths, reverse)
        dz_t, dc_t = step_grad(dh + above, dc, gates[:, t], c, cells[:, t])
        dz[:, t] = np.where(within, dz_t, 0)
        dh, dc = np.where(within, dz_t @ w, dh), np.where(within, dc_t, dc)
    return dz, dh, dc


def infer_sequence_wgrad(dz, out, h0, lengths=None, *, reverse=False):
    h = out.shape[-1] if out.shape else 0
    check("lstm_sequence_wgrad", dz, dz.like(4 * h, h), lengths, (out,), (h0,))
    return {"dw": dz.like(4 * h, h)}


def sequence_wgrad(dz, out, h0, lengths=None, *, reverse=False):
    """The sum of the outer products of dz and the h before, over the steps within the lengths."""
    dw = np.zeros((dz.shape[2], out.shape[2]), dz.dtype)
    for t in range(dz.shape[1]):
        within = live(t, lengths, dz)
        h = before(out, h0, t, lengths, reverse)
        dw += np.where(within, dz[:, t], 0).T @ np.where(within, h, 0)
    return dw


def cut_gates(*specs, **attrs):
    """By rows of dw: nothing has to be added, at the price of a copy of h for each range."""
    return {"dz": 2, "dw": 0}


def grain_gates(dz, *others, **attrs):
    """At most 4 ranges of at least 128 rows of dw: each time they halve BLAS is a tenth slower."""
    return max(128, -(-dz.shape[2] // 64) * 16)


def after_a_run(n, t, h, reverse, with_lengths=False, absent=()):
    """Operands of lstm_sequence_grad that belong together: what a run saved, and cotangents.

    Those of a single unit are positive, as in `one_unit`.
    """

    def make(rng, dtype):
        def random(*shape):
            values = rng.standard_normal(shape).astype(dtype)
            return abs(values) if n * h == 1 else values

        zx, h0, c0 = random(n, t, 4 * h), random(n, h), random(n, h)
        w = random(4 * h, h) * dtype.type(max(3 * h, 1) ** -0.5)
        lengths = rng.integers(0, t + 1, n).astype(np.int32) if with_lengths else None
        *_, gates, cells = sequence(zx, h0, c0, w, lengths, reverse=reverse)
        made = {"gates": gates, "cells": cells, "c0": c0, "w": w, "lengths": lengths}
        made |= {"dout": random(n, t, h), "dh_last": random(n, h), "dc_last": random(n, h)}
        return {k: a for k, a in made.items() if a is not None and k not in absent}

    return make


def run_case(n, t, h, reverse=False, **how):
    """A case of lstm_sequence_grad; `how` is for `after_a_run`."""
    words = [f"N={n} T={t} H={h}", *("lengths" for _ in how if _ == "with_lengths")]
    words += [f"without {name}" for name in how.get("absent", ())]
    return case(" ".join(words), make=after_a_run(n, t, h, reverse, **how), reverse=reverse)


def step_operands(n, t, h, layout="C"):
    return {"dz": normal(n, t, 4 * h), "out": normal(n, t, h, layout=layout), "h0": normal(n, h)}


LSTM_SEQUENCE_GRAD = Op(
    "lstm_sequence_grad",
    infer_sequence_grad,
    sequence_grad,
    cut=CUT,
    grain=grain,
    tolerance=GRADIENT,
    cases=[run_case(*s) for s in [(1, 1, 1, False), (1, 1, 1, True), *RUNS]]
    + [run_case(*s, with_lengths=True) for s in RUNS_WITH_LENGTHS]
    + [
        run_case(5, 3, 4, absent=absent)
        for absent in (("dout",), ("dh_last",), ("dc_last",), ("dh_last", "dc_last"))
    ],
    bench=[run_case(*s) for s in BENCH],
    flops=lambda dout, dh_last, dc_last, gates, cells, *others, **attrs: flops(*cells.shape),
    sized=lambda N=128, T=28, H=128: run_case(N, T, H),
    prefer=ON_CUDA,
    precision_of="gates",
)

LSTM_SEQUENCE_WGRAD = Op(
    "lstm_sequence_wgrad",
    infer_sequence_wgrad,
    sequence_wgrad,
    cut=cut_gates,
    grain=grain_gates,
    tolerance=WEIGHT_GRADIENT,
    cases=[case(**step_operands(*s), reverse=r) for *s, r in [(1, 1, 1, False), *RUNS]]
    + [
        case(**step_operands(n, t, h), lengths=some_lengths(n, t), reverse=r)
        for n, t, h, r in RUNS_WITH_LENGTHS
    ]
    + [case(**step_operands(4, 3, 5, layout), reverse=False) for layout in ("F", "strided")],
    bench=[case(**step_operands(*s), reverse=False) for s in BENCH],
    flops=lambda dz, out, *others, **attrs: flops(*out.shape),
    sized=lambda N=128, T=28, H=128: case(**step_operands(N, T, H), reverse=False),
    prefer=PREFER | {("cuda", "float32"): ("cuda_raw_product",)},
)
