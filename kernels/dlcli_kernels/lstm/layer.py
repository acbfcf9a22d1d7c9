"""An LSTM layer from its inputs to its states in one op, and all gradients of it in another.

    z[n, t] = x[n, t] · w_ihᵀ + b + h[n, t−1] · w_hhᵀ;   then a step as in `cell.py`

It is `lstm_sequence` with the input products inside: neither they nor the gradients of z, each
four times as large as the states, need ever be written. `lengths` and `reverse` are as there; what
x holds past a length is not used.
"""

import numpy as np

from ..spec import Op, Tol, case, integers, normal, uniform
from .cell import one_unit
from .sequence import CUT, flops, grain, runs, sequence, some_lengths
from .sequence_grad import sequence_grad, sequence_wgrad

# N, T, F, H
SIZES = [(1, 1, 2, 7), (3, 1, 4, 5), (2, 3, 1, 4), (5, 7, 6, 11), (37, 4, 5, 3), (131, 2, 3, 5)]
SIZES += [(0, 3, 2, 2), (3, 0, 2, 2), (2, 3, 0, 2), (2, 3, 2, 0)]
SIZES += [(2, 300, 2, 3)]
LARGE = [(2, 3, 28, 127), (9, 2, 129, 128)]
LENGTHS = [(7, 5, 2, 3), (5, 1, 3, 2), (1, 4, 2, 6), (19, 6, 4, 9), (0, 3, 2, 2)]
RUNS, RUNS_WITH_LENGTHS = runs(SIZES, LARGE), runs(LENGTHS, [(4, 3, 5, 128)])
BENCH = [(32, 28, 28, 128), (128, 28, 28, 128), (32, 200, 200, 128), (32, 200, 128, 128)]
BENCH += [(50, 100, 100, 256)]
WAYS = (False, True)
PREFER = {("cpu", p): ("cpu_layer",) for p in ("float32", "float64")}
PREFER |= {("cuda", "float32"): ("cuda_raw_layer",)}
CUT_LAYER = CUT | {"x": 0, "dx": 0}
LAYER = {
    "float32": Tol(1e-5, 3e-6, why="products of F + H terms, and what a step passes on"),
    "float64": Tol(2e-14, 6e-15, why="the same in double precision"),
}
GRADIENT = {
    "float32": Tol(1e-5, 4e-6, why="sums of N·T products of gradients that came through T steps"),
    "float64": Tol(1e-12, 1e-13, why="the same in double precision"),
}


def check(op, x, w_ih, w_hh, b, lengths, sequences=(), states=()):
    """(N, T, F, H) of x (N, T, F); ValueError if an operand does not fit the others.

    sequences: what must be (N, T, H); states: what must be (N, H). None is absent.
    """
    if len(x.shape) != 3 or len(w_hh.shape) != 2:
        raise ValueError(f"{op}: (N, T, F) and (4H, H) are needed, not {x.shape} and {w_hh.shape}")
    (n, t, f), h = x.shape, w_hh.shape[1]
    for spec, shape in ((w_ih, (4 * h, f)), (w_hh, (4 * h, h)), (b, (4 * h,))):
        if spec is not None and spec.shape != shape:
            raise ValueError(f"{op}: weights {shape} are needed, not {spec.shape}")
    for group, shape in ((sequences, (n, t, h)), (states, (n, h))):
        found = [s.shape for s in group if s is not None and s.shape != shape]
        if found:
            raise ValueError(f"{op}: {shape} is needed, not {found[0]}")
    if lengths is not None and (lengths.shape != (n,) or lengths.dtype != np.int32):
        raise ValueError(f"{op}: lengths are ({n},) int32, not {lengths.shape} {lengths.dtype}")
    return n, t, f, h


def infer_layer(x, h0, c0, w_ih, w_hh, b, lengths=None, *, reverse=False):
    n, t, _, h = check("lstm_layer", x, w_ih, w_hh, b, lengths, states=(h0, c0))
    out, gates = x.like(n, t, h), x.like(n, t, 4 * h)
    return {"out": out, "h_last": h0, "c_last": c0, "gates": gates, "cells": out}


def layer(x, h0, c0, w_ih, w_hh, b, lengths=None, *, reverse=False):
    return sequence(x @ w_ih.T + b, h0, c0, w_hh, lengths, reverse=reverse)


def layer_gradient(call, ins, outs, douts, needed, *, reverse=False):
    """All of them in one op; dx is left out where nobody needs it."""
    dx, dw_ih, dw_hh, db, dh0, dc0 = call(
        "lstm_layer_grad",
        douts.out,
        douts.h_last,
        douts.c_last,
        outs.gates,
        outs.cells,
        outs.out,
        ins.x,
        ins.h0,
        ins.c0,
        ins.w_ih,
        ins.w_hh,
        ins.lengths,
        reverse=reverse,
        with_dx="x" in needed,
    )
    return {"x": dx, "w_ih": dw_ih, "w_hh": dw_hh, "b": db, "h0": dh0, "c0": dc0}


def layer_in_plain_ops(call, x, h0, c0, w_ih, w_hh, b, lengths=None, *, reverse=False):
    """All input products in one matmul, then the steps."""
    n, t, f = x.shape
    zx = call("matmul", x.reshape(n * t, f), w_ih, b, tb=True)
    return call(
        "lstm_sequence", zx.reshape(n, t, w_ih.shape[0]), h0, c0, w_hh, lengths, reverse=reverse
    )


def infer_layer_grad(
    dout, dh_last, dc_last, gates, cells, out, x, h0, c0, w_ih, w_hh, lengths=None,
    *, reverse=False, with_dx=True,
):  # fmt: skip
    sequences, states = (dout, cells, out), (dh_last, dc_last, h0, c0)
    n, t, f, h = check("lstm_layer_grad", x, w_ih, w_hh, None, lengths, sequences, states)
    if gates.shape != (n, t, 4 * h):
        raise ValueError(f"lstm_layer_grad: gates are {(n, t, 4 * h)}, not {gates.shape}")
    dx = x if with_dx else x.like(n, 0, f)
    grads = {"dx": dx, "dw_ih": w_ih, "dw_hh": w_hh, "db": x.like(4 * h)}
    return grads | {"dh0": h0, "dc0": c0}


def layer_grad(
    dout, dh_last, dc_last, gates, cells, out, x, h0, c0, w_ih, w_hh, lengths=None,
    *, reverse=False, with_dx=True,
):  # fmt: skip
    """An absent dout, dh_last or dc_last is zero. dx is (N, 0, F) unless `with_dx`."""
    dz, dh0, dc0 = sequence_grad(
        dout, dh_last, dc_last, gates, cells, c0, w_hh, lengths, reverse=reverse
    )
    dw_hh = sequence_wgrad(dz, out, h0, lengths, reverse=reverse)
    ends = x.shape[1] if lengths is None else lengths[:, np.newaxis]
    within = np.broadcast_to(np.arange(x.shape[1]) < ends, x.shape[:2])
    dw_ih = np.einsum("ntg,ntf->gf", dz, np.where(within[..., np.newaxis], x, 0))
    dx = dz @ w_ih if with_dx else x[:, :0]
    return dx, dw_ih, dw_hh, dz.sum((0, 1)), dh0, dc0


def grain_grad(dout, dh_last, dc_last, gates, *others, **attrs):
    """Those of the steps: each range has a partial sum of the size of the weights."""
    return grain(gates)


def weights(f, h):
    """As a layer begins with them: the products of a step have the size of its inputs."""
    bound = max(h, 1) ** -0.5
    of = {"w_ih": (4 * h, f), "w_hh": (4 * h, h), "b": (4 * h,)}
    return {name: uniform(-bound, bound, *shape) for name, shape in of.items()}


def operands(n, t, f, h, layout="C"):
    states = {"h0": normal(n, h), "c0": normal(n, h)}
    return {"x": normal(n, t, f, layout=layout)} | states | weights(f, h)


def after_a_run(n, t, f, h, reverse, with_lengths=False, absent=()):
    """Operands of lstm_layer_grad that belong together: what a run saved, and cotangents.

    Those of a single unit are positive, as in `one_unit`.
    """

    def make(rng, dtype):
        def random(*shape):
            values = rng.standard_normal(shape).astype(dtype)
            return abs(values) if n * h == 1 else values

        shrink = dtype.type(max(f + 3 * h, 1) ** -0.5)
        x, h0, c0, b = random(n, t, f), random(n, h), random(n, h), random(4 * h)
        w_ih, w_hh = random(4 * h, f) * shrink, random(4 * h, h) * shrink
        lengths = rng.integers(0, t + 1, n).astype(np.int32) if with_lengths else None
        out, _, _, gates, cells = layer(x, h0, c0, w_ih, w_hh, b, lengths, reverse=reverse)
        made = {"gates": gates, "cells": cells, "out": out, "x": x, "h0": h0, "c0": c0}
        made |= {"w_ih": w_ih, "w_hh": w_hh, "lengths": lengths}
        made |= {"dout": random(n, t, h), "dh_last": random(n, h), "dc_last": random(n, h)}
        return {k: a for k, a in made.items() if a is not None and k not in absent}

    return make


def run_case(n, t, f, h, reverse=False, with_dx=True, **how):
    """A case of lstm_layer_grad; `how` is for `after_a_run`."""
    words = [f"N={n} T={t} F={f} H={h}", *("lengths" for _ in how if _ == "with_lengths")]
    words += [f"without {name}" for name in how.get("absent", ())]
    made = after_a_run(n, t, f, h, reverse, **how)
    return case(" ".join(words), make=made, reverse=reverse, with_dx=with_dx)


def work(n, t, f, h):
    """Operations of the products of x and of h."""
    return flops(n, t, h) + 8 * n * t * f * h


def work_grad(dout, dh_last, dc_last, gates, cells, out, x, *others, with_dx=True, **attrs):
    (n, t, f), h = x.shape, out.shape[2]
    return 2 * flops(n, t, h) + (1 + with_dx) * 8 * n * t * f * h


LSTM_LAYER = Op(
    "lstm_layer",
    infer_layer,
    layer,
    layer_gradient,
    layer_in_plain_ops,
    optional=("gates", "cells"),
    cut=CUT_LAYER,
    grain=grain,
    tolerance=LAYER,
    cases=[case(**operands(*s), reverse=reverse) for *s, reverse in RUNS]
    + [
        case(
            "one unit",
            **one_unit(x=(1, 2, 2), h0=(1, 1), c0=(1, 1), w_ih=(4, 2), w_hh=(4, 1), b=(4,)),
            reverse=False,
        )
    ]
    + [
        case(**operands(n, t, f, h), lengths=some_lengths(n, t), reverse=reverse)
        for n, t, f, h, reverse in RUNS_WITH_LENGTHS
    ]
    + [
        case(
            "lengths beyond both ends",
            **operands(9, 4, 2, 3),
            lengths=integers(-2, 7, 9, dtype=np.int32),
            reverse=reverse,
        )
        for reverse in WAYS
    ]
    + [case(**operands(5, 3, 4, 4, layout), reverse=False) for layout in ("F", "strided")],
    bench=[case(**operands(*s), reverse=False) for s in BENCH],
    flops=lambda x, h0, *others, **attrs: work(*x.shape, h0.shape[1]),
    sized=lambda N=128, T=28, F=28, H=128: case(**operands(N, T, F, H), reverse=False),
    prefer=PREFER,
)

LSTM_LAYER_GRAD = Op(
    "lstm_layer_grad",
    infer_layer_grad,
    layer_grad,
    cut=CUT_LAYER,
    partial=("dw_ih", "dw_hh", "db"),
    grain=grain_grad,
    tolerance=GRADIENT,
    cases=[run_case(*s) for s in [(1, 1, 1, 1, False), (1, 1, 1, 1, True), *RUNS]]
    + [run_case(*s, with_lengths=True) for s in RUNS_WITH_LENGTHS]
    + [
        run_case(5, 3, 4, 4, absent=absent)
        for absent in (("dout",), ("dh_last",), ("dc_last",), ("dh_last", "dc_last"))
    ]
    + [run_case(5, 3, 4, 4, with_dx=False), run_case(19, 6, 28, 9, with_dx=False)],
    bench=[run_case(*s) for s in BENCH],
    flops=work_grad,
    sized=lambda N=128, T=28, F=28, H=128: run_case(N, T, F, H),
    prefer=PREFER,
    precision_of="gates",
)
