"""What surrounds a step: the gradient's norm, clipping by norm and by value, the flag that halts
the steps, and their count.

A norm is two ops: Σ g² as a sum over ranges, in a fixed order; then whatever needs its root.
"""

import numpy as np

from ..spec import Op, Spec, Tol, case, integers, normal, uniform
from .shared import (
    CNN,
    HALTED,
    LARGE,
    LENGTHS,
    PREFER,
    RUNNING,
    TOLERANCE,
    check_buffers,
    damaged,
    grain,
)


def infer_sum_of_squares(g):
    return {"out": Spec((1,), np.dtype(np.float64))}


def sum_of_squares(g):
    """Σ gᵢ² in float64; its root is the norm."""
    return np.sum(np.square(g, dtype=np.float64)).reshape(1)


def infer_check_finite(x, halt):
    return {}


def check_finite(x, halt):
    """Sets halt[0] to 1 if an element of x is NaN or infinite; never clears it."""
    if not np.isfinite(x).all():
        halt[0] = 1


def infer_clip_by_norm(g, sum_of_squares, halt, *, max_norm):
    check_buffers("clip_by_norm", g, scalars=(sum_of_squares, halt))
    return {}


def clip_by_norm(g, sum_of_squares, halt, *, max_norm):
    """g ← g · min(1, max_norm / (‖g‖ + 10⁻⁶)), as torch.nn.utils.clip_grad_norm_."""
    if halt[0] == 0:
        g *= float(np.minimum(max_norm / (np.sqrt(sum_of_squares[0]) + 1e-6), 1.0))


def infer_clip_by_value(g, *, limit):
    check_buffers("clip_by_value", g, scalars=())
    return {}


def clip_by_value(g, *, limit):
    """g ← g held within ±limit; a NaN stays."""
    np.clip(g, -limit, limit, out=g)


def infer_count_step(step, halt):
    check_buffers("count_step", step, scalars=(step, halt))
    return {}


def count_step(step, halt):
    """step ← step + 1, unless halted."""
    if halt[0] == 0:
        step += 1


def containing(value):
    return lambda rng, dtype: {"x": np.array([1, value, 0], dtype)}


SUM_OF_SQUARES = Op(
    "sum_of_squares",
    infer_sum_of_squares,
    sum_of_squares,
    cut={"g": 0},
    partial=("out",),
    grain=lambda g: max(1 << 16, -(-g.size // 8)),
    tolerance=dict.fromkeys(TOLERANCE, Tol(1e-14, 0.0, why="products and sums are in float64")),
    cases=[case(g=normal(n)) for n in LENGTHS]
    + [case(g=normal(40, layout="strided"))]
    + [case("large", g=uniform(1e18, 1e20, 50)), case("damaged", damaged, g=normal(37))],
    bench=[case(g=normal(n)) for n in (CNN, LARGE)],
    prefer=PREFER,
)

CHECK_FINITE = Op(
    "check_finite",
    infer_check_finite,
    check_finite,
    inout=("halt",),
    tolerance=dict.fromkeys(TOLERANCE, Tol(0.0, 0.0, why="a flag is exact")),
    cases=[case(x=normal(*s), halt=h) for s in ((1,), (5, 3), (0,), ()) for h in (RUNNING, HALTED)]
    + [
        case("infinite", containing(x), x=normal(3), halt=h)
        for x in (np.inf, -np.inf, np.nan)
        for h in (RUNNING, HALTED)
    ],
    bench=[case(x=normal(1), halt=RUNNING)],
    prefer={**PREFER, ("cuda", "float64"): ("cuda_raw_flat",)},
)

COUNT_STEP = Op(
    "count_step",
    infer_count_step,
    count_step,
    inout=("step",),
    tolerance=dict.fromkeys(TOLERANCE, Tol(0.0, 0.0, why="whole numbers below 2⁵³")),
    cases=[case(step=integers(0, 9, 1, dtype=np.float64), halt=h) for h in (RUNNING, HALTED)],
    bench=[case(step=integers(0, 9, 1, dtype=np.float64), halt=RUNNING)],
    prefer={**PREFER, ("cuda", "float64"): ("cuda_raw_flat",)},
)

CLIP_BY_NORM = Op(
    "clip_by_norm",
    infer_clip_by_norm,
    clip_by_norm,
    inout=("g",),
    wide=("sum_of_squares",),
    cut={"g": 0},
    grain=grain,
    tolerance=TOLERANCE,
    cases=[
        case(g=normal(n), sum_of_squares=uniform(0.1, 9.0, 1, dtype=np.float64), halt=h, max_norm=x)
        for n in LENGTHS
        for h in (RUNNING, HALTED)
        for x in (0.01, 1.0, 100.0)
    ],
    bench=[
        case(
            g=normal(n),
            sum_of_squares=uniform(4.0, 9.0, 1, dtype=np.float64),
            halt=RUNNING,
            max_norm=1.0,
        )
        for n in (CNN, LARGE)
    ],
    prefer=PREFER,
)

CLIP_BY_VALUE = Op(
    "clip_by_value",
    infer_clip_by_value,
    clip_by_value,
    inout=("g",),
    cut={"g": 0},
    grain=grain,
    tolerance=dict.fromkeys(TOLERANCE, Tol(1e-7, 0.0, why="the limit is rounded to the precision")),
    cases=[case(g=normal(n), limit=0.7) for n in LENGTHS]
    + [case("damaged", damaged, g=normal(37), limit=0.7)],
    bench=[case(g=normal(n), limit=0.5) for n in (CNN, LARGE)],
    prefer=PREFER,
)
