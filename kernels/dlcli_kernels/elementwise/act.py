"""Activations: with a bias or without, their gradients, and the gradients of those.

act(x) = f(x); act_grad(saved, dout) = f′ · dout, where `saved` is f's output or input, as its row
in `activations.py` says; act_curve(saved, dout) is the derivative of act_grad by `saved`.
bias_act(x, b) = f(x + b), b (C,) along the last axis: the end of a layer whose kernel fuses none.
"""

from ..spec import Op, case, normal, uniform
from .activations import ACTIVATIONS, CURVED, EPILOGUES, activate
from .shared import BENCH, MANY, POINTWISE, PREFER, SHAPES, cut_rows, infer_binary

BY_NUMPY = {("cpu", p): ("cpu_numpy",) for p in ("float32", "float64")}
OR_BY_NUMPY = {k: ("cpu_numba", *names) for k, names in BY_NUMPY.items()}  # for exp and tanh


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
    cases=[case(x=normal(*s), act=a) for a in ACTIVATIONS for s in ((5, 7), (0, 3), ())]
    + [case(x=normal(*s), act="relu") for s in SHAPES]
    + [case(x=normal(6, 8, layout=layout), act="tanh") for layout in ("F", "strided", "reversed")]
    + [case("large", x=uniform(-200, 200, 64), act=a) for a in ACTIVATIONS],
    bench=[case(x=normal(*s), act=a) for s in BENCH for a in ("relu", "tanh", "gelu")],
    sized=lambda N=MANY: case(x=normal(N), act="relu"),
    prefer={**PREFER, **OR_BY_NUMPY},
)


def infer_grad(saved, dout, *, act):
    return {**infer_binary(saved, dout), **infer_unary(saved, act=act)}


def act_grad_reference(saved, dout, *, act):
    return ACTIVATIONS[act].grad(saved, dout).astype(saved.dtype, copy=False)


def act_grad_gradient(call, ins, outs, douts, needed, *, act):
    """By dout it is linear; by what was saved there is a gradient where f has curvature."""
    grads = {"saved": None}
    if "dout" in needed:
        grads["dout"] = call("act_grad", ins.saved, douts.out, act=act)
    if "saved" in needed and ACTIVATIONS[act].curve is not None:
        curve = call("act_curve", ins.saved, ins.dout, act=act)
        grads["saved"] = call("mul", curve, douts.out)
    return grads


ACT_GRAD = Op(
    "act_grad",
    infer_grad,
    act_grad_reference,
    act_grad_gradient,
    cut=cut_rows,
    tolerance=POINTWISE,
    cases=[case(saved=uniform(-0.9, 0.9, 9, 11), dout=normal(9, 11), act=a) for a in ACTIVATIONS]
    + [case(saved=normal(*s), dout=normal(*s), act="relu") for s in SHAPES],
    bench=[case(saved=normal(*s), dout=normal(*s), act="relu") for s in BENCH],
    sized=lambda N=MANY: case(saved=normal(N), dout=normal(N), act="relu"),
    prefer={**PREFER, **OR_BY_NUMPY},
)


# --- gradients of gradients -----------------------------------------------------------------------


def infer_curve(saved, dout, *, act):
    if act in ACTIVATIONS and act not in CURVED:
        raise ValueError(f"act_curve: {act} has no curvature; there is: {', '.join(CURVED)}")
    return infer_grad(saved, dout, act=act)


def act_curve_reference(saved, dout, *, act):
    return ACTIVATIONS[act].curve(saved, dout).astype(saved.dtype, copy=False)


ACT_CURVE = Op(
    "act_curve",
    infer_curve,
    act_curve_reference,
    cut=cut_rows,
    tolerance=POINTWISE,
    cases=[case(saved=uniform(-0.9, 0.9, 9, 11), dout=normal(9, 11), act=a) for a in CURVED]
    + [case(saved=normal(*s), dout=normal(*s), act="tanh") for s in SHAPES],
    bench=[case(saved=normal(*s), dout=normal(*s), act="tanh") for s in BENCH],
    sized=lambda N=MANY: case(saved=normal(N), dout=normal(N), act="tanh"),
    prefer={**PREFER, **BY_NUMPY},
)


# --- with a bias ----------------------------------------------------------------------------------


def infer_bias_act(x, b, *, act=None):
    if not x.shape or b.shape != x.shape[-1:]:
        raise ValueError(f"bias_act: a bias of {b.shape} does not fit {x.shape}")
    if act is not None and act not in EPILOGUES:
        there = ", ".join(sorted(EPILOGUES))
        raise ValueError(f"bias_act: {act!r} cannot be an epilogue; there is: {there}")
    return {"out": x}


def bias_act_reference(x, b, *, act=None):
    return activate(x + b, act)


def bias_act_gradient(call, ins, outs, douts, needed, *, act=None):
    dz = douts.out if act is None else call("act_grad", outs.out, douts.out, act=act)
    grads = {"x": dz} if "x" in needed else {}
    if "b" in needed:
        grads["b"] = call("sum", dz, axes=tuple(range(len(ins.x.shape) - 1)))
    return grads


def cut_bias_act(x, b, *, act=None):
    """Along the first axis; where that is the only one, the bias runs along it too."""
    return {"x": 0, "out": 0} | ({"b": 0} if len(x.shape) == 1 else {})


BIAS_ACT = Op(
    "bias_act",
    infer_bias_act,
    bias_act_reference,
    bias_act_gradient,
    cut=cut_bias_act,
    tolerance=POINTWISE,
    cases=[case(x=normal(*s), b=normal(s[-1]), act=None) for s in SHAPES]
    + [case(x=normal(5, 8), b=normal(8), act=a) for a in sorted(EPILOGUES)]
    + [case(x=normal(2, 3, 7), b=normal(7), act=a) for a in ("tanh", "leaky_relu_0.2")]
    + [case(x=normal(6, 8, layout=la), b=normal(8), act="tanh") for la in ("F", "strided")],
    bench=[case(x=normal(64, 64, 64, 3), b=normal(3), act="tanh")]
    + [case(x=normal(*s), b=normal(s[-1]), act="relu") for s in BENCH],
    sized=lambda N=1 << 14, C=64: case(x=normal(N, C), b=normal(C), act="relu"),
    prefer={**PREFER, **OR_BY_NUMPY},
)
