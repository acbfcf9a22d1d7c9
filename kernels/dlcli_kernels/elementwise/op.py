"""Elementwise ops: sums, products, quotients, multiples, roots; and three that write in place, with
which gradients are gathered: fill, assign, add_to. Activations are in `act.py`.

All operands of one shape; the result has it too.
"""

import numpy as np

from ..spec import Op, Tol, case, normal, uniform
from .act import ACT, ACT_CURVE, ACT_GRAD, BIAS_ACT  # noqa: F401  (ops of this family)
from .shared import BENCH, MANY, POINTWISE, PREFER, SHAPES, cut_rows, infer_binary


def add_reference(x, y):
    return x + y


def add_gradient(call, ins, outs, douts, needed):
    return {"x": douts.out, "y": douts.out}


ADD = Op(
    "add",
    infer_binary,
    add_reference,
    add_gradient,
    cut=cut_rows,
    tolerance=POINTWISE,
    cases=[case(x=normal(*s), y=normal(*s)) for s in [*SHAPES, ()]],
    bench=[case(x=normal(*s), y=normal(*s)) for s in BENCH],
    sized=lambda N=MANY: case(x=normal(N), y=normal(N)),
    prefer=PREFER,
)


def mul_reference(x, y):
    return x * y


def mul_gradient(call, ins, outs, douts, needed):
    return {
        n: call("mul", douts.out, other) for n, other in (("x", ins.y), ("y", ins.x)) if n in needed
    }


MUL = Op(
    "mul",
    infer_binary,
    mul_reference,
    mul_gradient,
    cut=cut_rows,
    tolerance=POINTWISE,
    cases=[case(x=normal(*s), y=normal(*s)) for s in [*SHAPES, ()]],
    bench=[case(x=normal(*s), y=normal(*s)) for s in BENCH],
    sized=lambda N=MANY: case(x=normal(N), y=normal(N)),
    prefer=PREFER,
)


def div_reference(x, y):
    return x / y


def div_gradient(call, ins, outs, douts, needed):
    """dx = dout / y, dy = −out · dx."""
    dx = call("div", douts.out, ins.y)
    grads = {"x": dx} if "x" in needed else {}
    if "y" in needed:
        grads["y"] = call("scale", call("mul", outs.out, dx), by=-1.0)
    return grads


DIV = Op(
    "div",
    infer_binary,
    div_reference,
    div_gradient,
    cut=cut_rows,
    tolerance=POINTWISE,
    cases=[case(x=normal(*s), y=uniform(0.5, 2.0, *s)) for s in [*SHAPES, ()]],
    bench=[case(x=normal(*s), y=uniform(0.5, 2.0, *s)) for s in BENCH],
    sized=lambda N=MANY: case(x=normal(N), y=uniform(0.5, 2.0, N)),
    prefer=PREFER,
)


def infer_scale(x, *, by):
    return {"out": x}


def scale_reference(x, *, by):
    return x * x.dtype.type(by)


def scale_gradient(call, ins, outs, douts, needed, *, by):
    return {"x": call("scale", douts.out, by=by)}


SCALE = Op(
    "scale",
    infer_scale,
    scale_reference,
    scale_gradient,
    cut=cut_rows,
    tolerance=POINTWISE,
    cases=[case(x=normal(*s), by=-0.37) for s in [*SHAPES, ()]],
    bench=[case(x=normal(*s), by=0.5) for s in BENCH],
    sized=lambda N=MANY: case(x=normal(N), by=0.5),
    prefer=PREFER,
)


def shift_reference(x, *, by):
    return x + x.dtype.type(by)


def shift_gradient(call, ins, outs, douts, needed, *, by):
    return {"x": douts.out}


SHIFT = Op(
    "shift",
    infer_scale,
    shift_reference,
    shift_gradient,
    cut=cut_rows,
    tolerance=POINTWISE,
    cases=[case(x=normal(*s), by=-0.37) for s in [*SHAPES, ()]],
    bench=[case(x=normal(*s), by=0.5) for s in BENCH],
    sized=lambda N=MANY: case(x=normal(N), by=0.5),
    prefer=PREFER,
)


def infer_sqrt(x):
    return {"out": x}


def sqrt_reference(x):
    """√x; NaN below 0."""
    return np.sqrt(x)


def sqrt_gradient(call, ins, outs, douts, needed):
    """dout / (2 √x): infinite at 0."""
    return {"x": call("div", call("scale", douts.out, by=0.5), outs.out)}


SQRT = Op(
    "sqrt",
    infer_sqrt,
    sqrt_reference,
    sqrt_gradient,
    cut=cut_rows,
    tolerance=POINTWISE,
    cases=[case(x=uniform(0.1, 5.0, *s)) for s in [*SHAPES, ()]],
    bench=[case(x=uniform(0.1, 5.0, *s)) for s in BENCH],
    sized=lambda N=MANY: case(x=uniform(0.1, 5.0, N)),
    prefer=PREFER,
)


# --- in place -------------------------------------------------------------------------------------

MOVED = {p: Tol(0.0, 0.0, why="nothing is computed") for p in ("float32", "float64")}
IN_PLACE = {
    "inout": ("target",),
    "cut": cut_rows,
    "prefer": PREFER,
}


def infer_fill(target, *, value):
    return {}


def fill_reference(target, *, value):
    """target ← value."""
    target[...] = value


def infer_from(target, x):
    infer_binary(target, x)
    return {}


def assign_reference(target, x):
    """target ← x."""
    target[...] = x


def add_to_reference(target, x):
    """target ← target + x."""
    target += x


FILL = Op(
    "fill",
    infer_fill,
    fill_reference,
    tolerance=MOVED,
    cases=[case(target=normal(*s), value=v) for s in [*SHAPES, ()] for v in (0.0, 1.0)],
    bench=[case(target=normal(*s), value=0.0) for s in BENCH],
    traffic=lambda target, **attrs: target.nbytes,  # written, never read
    sized=lambda N=MANY: case(target=normal(N), value=0.0),
    **IN_PLACE,
)
ASSIGN, ADD_TO = (
    Op(
        name,
        infer_from,
        reference,
        tolerance=tolerance,
        cases=[case(target=normal(*s), x=normal(*s)) for s in [*SHAPES, ()]],
        bench=[case(target=normal(*s), x=normal(*s)) for s in BENCH],
        traffic=traffic,
        sized=lambda N=MANY: case(target=normal(N), x=normal(N)),
        **{**IN_PLACE, "prefer": PREFER | wide},
    )
    for name, reference, tolerance, traffic, wide in (
        ("assign", assign_reference, MOVED, lambda target, x: target.nbytes + x.nbytes, {}),
        # the squares of several gradients are added up in float64
        ("add_to", add_to_reference, POINTWISE, None, {("cuda", "float64"): ("cuda_raw_vector",)}),
    )
)
