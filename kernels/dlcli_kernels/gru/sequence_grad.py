"""The gradients of `gru_sequence`: backwards through its steps, and that of the recurrent weights.

    dh[n, t−1] = z·dh + (dz_r, dz_z, dq) · w + dout[n, t−1],   dq = r·dz_n
    dw = Σ (dz_r, dz_z, dq)ᵀ · h[n, t−1]  over n and t;   db = Σ dq

t−1 is the step that ran before t: with `reverse`, t+1. Past a row's length dz and dq are 0, dout is
not used and dh is passed on unchanged.
"""

import numpy as np

from ..lstm.sequence import grain, live, some_lengths, steps
from ..lstm.sequence_grad import before
from ..spec import Op, Tol, case, normal
from .cell import PREFER, step_grad
from .sequence import BENCH, CUT, ON_CUDA, RUNS, RUNS_WITH_LENGTHS, check, flops, sequence

GRADIENT = {
    "float32": Tol(
        1e-5,
        1e-5,
        why="dh, a sum of 3H products, errs by some 6e-8 · √(3H) of its own size, which is"
        " some seven times the size of dz, which the gates make smaller",
    ),
    "float64": Tol(2e-14, 2e-14, why="the same in double precision"),
}
WEIGHT_GRADIENT = {
    "float32": Tol(1e-5, 2e-6, why="a sum of N·T products in blocks, as in matmul"),
    "float64": Tol(1e-12, 1e-14, why="the same in double precision"),
}
CUT_GRAD = CUT | dict.fromkeys(("dout", "dh_last", "dz", "dq", "dh0"), 0)


def infer_sequence_grad(dout, dh_last, gates, out, h0, w, lengths=None, *, reverse=False):
    n, t, h = out.shape if len(out.shape) == 3 else (0, 0, 0)
    dz = gates.like(n, t, 3 * h)
    check("gru_sequence_grad", dz, w, lengths, (dout, out), (dh_last, h0))
    if gates.shape != (n, t, 4 * h):
        raise ValueError(f"gru_sequence_grad: gates are {(n, t, 4 * h)}, not {gates.shape}")
    return {"dz": dz, "dq": out, "dh0": h0}


def sequence_grad(dout, dh_last, gates, out, h0, w, lengths=None, *, reverse=False):
    """An absent dout or dh_last is zero: that output was not used."""
    n, t, h = out.shape
    dh = np.zeros_like(h0) if dh_last is None else dh_last
    dz, dq = np.zeros((n, t, 3 * h), out.dtype), np.zeros_like(out)
    for now in steps(t, not reverse):
        within = live(now, lengths, out)
        above = 0 if dout is None else dout[:, now]
        h_before = before(out, h0, now, lengths, reverse)
        dz_t, dq_t, carried = step_grad(dh + above, gates[:, now], h_before)
        dz[:, now], dq[:, now] = np.where(within, dz_t, 0), np.where(within, dq_t, 0)
        products = np.concatenate((dz_t[:, : 2 * h], dq_t), axis=-1) @ w
        dh = np.where(within, carried + products, dh)
    return dz, dq, dh


def infer_sequence_wgrad(dz, dq, out, h0, lengths=None, *, reverse=False):
    h = out.shape[-1] if out.shape else 0
    w = dz.like(3 * h, h)
    check("gru_sequence_wgrad", dz, w, lengths, (dq, out), (h0,))
    return {"dw": w}


def sequence_wgrad(dz, dq, out, h0, lengths=None, *, reverse=False):
    """The sum of the outer products over the steps within the lengths."""
    h = out.shape[2]
    dw = np.zeros((3 * h, h), dz.dtype)
    for t in range(dz.shape[1]):
        within = live(t, lengths, dz)
        gates = np.concatenate((dz[:, t, : 2 * h], dq[:, t]), axis=-1)
        h_before = before(out, h0, t, lengths, reverse)
        dw += np.where(within, gates, 0).T @ np.where(within, h_before, 0)
    return dw


def grain_weights(dz, *others, **attrs):
    """At most 4 ranges of at least 8 sequences: each has a partial sum of the size of w."""
    return max(8, -(-dz.shape[0] // 4))


def after_a_run(n, t, h, reverse, with_lengths=False, absent=()):
    """Operands of gru_sequence_grad that belong together: what a run saved, and cotangents.

    Those of a single unit are positive: its sums may be nearly 0, with no others in the rms.
    """

    def make(rng, dtype):
        def random(*shape):
            values = rng.standard_normal(shape).astype(dtype)
            return abs(values) if n * h == 1 else values

        zx, h0, b = random(n, t, 3 * h), random(n, h), random(h)
        w = random(3 * h, h) * dtype.type(max(3 * h, 1) ** -0.5)
        lengths = rng.integers(0, t + 1, n).astype(np.int32) if with_lengths else None
        out, _, gates = sequence(zx, h0, w, b, lengths, reverse=reverse)
        made = {"gates": gates, "out": out, "h0": h0, "w": w, "lengths": lengths}
        made |= {"dout": random(n, t, h), "dh_last": random(n, h)}
        return {k: a for k, a in made.items() if a is not None and k not in absent}

    return make


def run_case(n, t, h, reverse=False, **how):
    """A case of gru_sequence_grad; `how` is for `after_a_run`."""
    words = [f"N={n} T={t} H={h}", *("lengths" for _ in how if _ == "with_lengths")]
    words += [f"without {name}" for name in how.get("absent", ())]
    return case(" ".join(words), make=after_a_run(n, t, h, reverse, **how), reverse=reverse)


def step_operands(n, t, h, layout="C"):
    return {
        "dz": normal(n, t, 3 * h),
        "dq": normal(n, t, h),
        "out": normal(n, t, h, layout=layout),
        "h0": normal(n, h),
    }


GRU_SEQUENCE_GRAD = Op(
    "gru_sequence_grad",
    infer_sequence_grad,
    sequence_grad,
    cut=CUT_GRAD,
    grain=grain,
    tolerance=GRADIENT,
    cases=[run_case(*s) for s in [(1, 1, 1, False), (1, 1, 1, True), *RUNS]]
    + [run_case(*s, with_lengths=True) for s in RUNS_WITH_LENGTHS]
    + [run_case(5, 3, 4, absent=absent) for absent in (("dout",), ("dh_last",))],
    bench=[run_case(*s) for s in BENCH],
    flops=lambda dout, dh_last, gates, out, *others, **attrs: flops(*out.shape),
    sized=lambda N=128, T=28, H=128: run_case(N, T, H),
    prefer=ON_CUDA,
    precision_of="gates",
)

GRU_SEQUENCE_WGRAD = Op(
    "gru_sequence_wgrad",
    infer_sequence_wgrad,
    sequence_wgrad,
    cut=CUT_GRAD,
    partial=("dw",),
    grain=grain_weights,
    tolerance=WEIGHT_GRADIENT,
    cases=[case(**step_operands(*s), reverse=r) for *s, r in [(1, 1, 1, False), *RUNS]]
    + [
        case(**step_operands(n, t, h), lengths=some_lengths(n, t), reverse=r)
        for n, t, h, r in RUNS_WITH_LENGTHS
    ]
    + [case(**step_operands(4, 3, 5, layout), reverse=False) for layout in ("F", "strided")],
    bench=[case(**step_operands(*s), reverse=False) for s in BENCH],
    flops=lambda dz, dq, *others, **attrs: flops(*dq.shape),
    sized=lambda N=128, T=28, H=128: case(**step_operands(N, T, H), reverse=False),
    prefer=PREFER | {("cuda", "float32"): ("cuda_raw_product",)},
)
