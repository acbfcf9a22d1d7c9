"""Elementwise ops: activations with their gradients, sums, products, quotients and scaling; and
three that write in place, with which gradients are gathered: fill, assign, add_to.

All operands of one shape; the result has it too.

act(x) = f(x); act_grad(saved, dout) = f′ · dout, where `saved` is f's output or input, as its row
in `activations.py` says.
"""

from ..spec import Op, Tol, case, normal, uniform
from .activations import ACTIVATIONS, activate

ALL_CUT = dict.fromkeys(("x", "y", "saved", "dout", "target", "out"), 0)
SHAPES = [(1,), (7,), (3, 5), (2, 3, 4, 5), (0, 4), (31, 37), (4099,)]
BENCH = [(128, 26, 26, 32), (128, 11, 11, 64), (128, 64)]
POINTWISE = {
    "float32": Tol(2e-6, 2e-6, why="a few roundings of one element, and those of exp"),
    "float64": Tol(1e-13, 1e-13, why="a few roundings of one element"),
}


def cut_rows(*specs, **attrs):
    """Along the first axis; a scalar is one piece of work."""
    return ALL_CUT if specs[0].shape else None


PREFER = {
    **{("cpu", p): ("cpu_numpy",) for p in ("float32", "float64")},
    ("cuda", "float32"): ("cuda_raw_vector",),
}
MANY = 1 << 20  # elements where no size is given


def infer_unary(x, *, act):
    if act not in ACTIVATIONS:
        raise ValueError(f"unknown activation {act!r}; there is: {', '.join(ACTIVATIONS)}")
    return {"out": x}


def act_reference(x, *, act):
    return activate(x, act)


def act_gradient(call, ins, outs, douts, needed, *, act):
    saved = outs.out if ACTIVATIONS[act].saved == "y" else ins.x
    return {"x": call("act_grad", saved, douts.out, act=act)}


ACT = Op(
    "act",
    infer_unary,
    act_reference,
    act_gradient,
    cut=cut_rows,
    tolerance=POINTWISE,
    cases=[case(x=normal(*s), act=a) for a in ACTIVATIONS for s in ((5, 7), (0, 3))]
    + [case(x=normal(*s), act="relu") for s in SHAPES]
    + [case(x=normal(6, 8, layout=layout), act="tanh") for layout in ("F", "strided", "reversed")]
    + [case("large", x=uniform(-200, 200, 64), act=a) for a in ACTIVATIONS],
    bench=[case(x=normal(*s), act=a) for s in BENCH for a in ("relu", "tanh", "gelu")],
    sized=lambda N=MANY: case(x=normal(N), act="relu"),
    prefer=PREFER,
)


def infer_grad(saved, dout, *, act):
    return {**infer_binary(saved, dout), **infer_unary(saved, act=act)}


def act_grad_reference(saved, dout, *, act):
    return ACTIVATIONS[act].grad(saved, dout).astype(saved.dtype, copy=False)


ACT_GRAD = Op(
    "act_grad",
    infer_grad,
    act_grad_reference,
    cut=cut_rows,
    tolerance=POINTWISE,
    cases=[case(saved=uniform(-0.9, 0.9, 9, 11), dout=normal(9, 11), act=a) for a in ACTIVATIONS]
    + [case(saved=normal(*s), dout=normal(*s), act="relu") for s in SHAPES],
    bench=[case(saved=normal(*s), dout=normal(*s), act="relu") for s in BENCH],
    sized=lambda N=MANY: case(saved=normal(N), dout=normal(N), act="relu"),
    prefer={**PREFER, **{("cpu", p): ("cpu_numba", "cpu_numpy") for p in ("float32", "float64")}},
)


def infer_binary(x, y):
    if x.shape != y.shape:
        raise ValueError(f"operands of one shape are needed, not {x.shape} and {y.shape}")
    return {"out": x}


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
