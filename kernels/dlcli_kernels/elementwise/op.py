"""Elementwise ops: activations with their gradients, sums, products and scaling.

All operands of one shape; the result has it too.

act(x) = f(x); act_grad(saved, dout) = f′ · dout, where `saved` is f's output or input, as its row
in `activations.py` says.
"""

from ..spec import Op, Tol, case, normal, uniform
from .activations import ACTIVATIONS, activate

ALL_CUT = {"x": 0, "y": 0, "saved": 0, "dout": 0, "out": 0}
SHAPES = [(1,), (7,), (3, 5), (2, 3, 4, 5), (0, 4), (31, 37), (4099,)]
BENCH = [(128, 26, 26, 32), (128, 11, 11, 64), (128, 64)]
POINTWISE = {
    "float32": Tol(2e-6, 2e-6, why="a few roundings of one element, and those of exp"),
    "float64": Tol(1e-13, 1e-13, why="a few roundings of one element"),
}


def cut_rows(*specs, **attrs):
    """Along the first axis; a scalar is one piece of work."""
    return ALL_CUT if specs[0].shape else None


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
    prefer={("cpu", p): ("cpu_numpy",) for p in ("float32", "float64")},
)


def infer_grad(saved, dout, *, act):
    return {"out": saved}


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
    prefer={("cpu", p): ("cpu_numba", "cpu_numpy") for p in ("float32", "float64")},
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
    prefer={("cpu", p): ("cpu_numpy",) for p in ("float32", "float64")},
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
    prefer={("cpu", p): ("cpu_numpy",) for p in ("float32", "float64")},
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
    prefer={("cpu", p): ("cpu_numpy",) for p in ("float32", "float64")},
)
