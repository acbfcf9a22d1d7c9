"""Losses of single elements: squared, absolute and Huber's error; binary cross-entropy of logits.

x is the prediction, y the target, of one shape, which the loss has too. The gradient of an error by
y is the negative of that by x. `<loss>_grad(x, y, dout)` is the gradient by x.

squared_error: (x − y)²;   absolute_error: |x − y|, with gradient 0 where x = y;
huber: ½ d² for |d| ≤ δ, δ (|d| − ½ δ) beyond, d = x − y   (Huber 1964);
bce_with_logits: (1 − y) log(1 + eˣ) + p y log(1 + e⁻ˣ) = −(1 − y) log(1 − σ(x)) − p y log σ(x),
with no overflow or cancellation; p (K,) weighs positives along the last axis, 1 if absent.
"""

import numpy as np

from ..spec import Op, Tol, case, normal, uniform

ALL_CUT = {"x": 0, "y": 0, "dout": 0, "out": 0}
SHAPES = [(1,), (7,), (3, 5), (2, 3, 4, 5), (0, 4), (31, 37), (4099,), ()]
BENCH = [(128, 10), (128, 28, 28, 1)]
PREFER = {
    **{("cpu", p): ("cpu_numba",) for p in ("float32", "float64")},
    ("cuda", "float32"): ("cuda_raw_pointwise",),
}
POINTWISE = {
    "float32": Tol(2e-6, 1e-6, why="a few roundings of one element"),
    "float64": Tol(1e-14, 1e-15, why="a few roundings of one element"),
}
WITH_EXP = {
    "float32": Tol(4e-6, 1e-6, why="roundings of one element, those of exp and log1p among them"),
    "float64": Tol(1e-13, 1e-14, why="the same in double precision"),
}


def same_shape(name, *operands):
    """ValueError unless all operands have one shape."""
    if len({o.shape for o in operands}) > 1:
        raise ValueError(f"{name}: one shape is needed, not {[o.shape for o in operands]}")


def cut_rows(x, *others, **attrs):
    """Along the first axis; a scalar is one piece of work."""
    return ALL_CUT if x.shape else None


# --- errors ---------------------------------------------------------------------------------------


def error_gradient(name):
    """The gradient of an error: `name`_grad by x, its negative by y."""

    def grad(call, ins, outs, douts, needed, **attrs):
        dx = call(f"{name}_grad", ins.x, ins.y, douts.out, **attrs)
        grads = {"x": dx} if "x" in needed else {}
        return grads | ({"y": call("scale", dx, by=-1.0)} if "y" in needed else {})

    return grad


def second_gradient(name, curvature):
    """The gradient of `name`_grad: itself by dout; by x and y ± f″(x − y) · g · dout.

    `curvature(call, x, y, gd, **attrs)` gives f″ · gd; it is None where f″ is 0 almost everywhere.
    """

    def grad(call, ins, outs, douts, needed, **attrs):
        grads = {"x": None, "y": None}
        if "dout" in needed:
            grads["dout"] = call(f"{name}_grad", ins.x, ins.y, douts.out, **attrs)
        if curvature is not None and needed & {"x", "y"}:
            gd = call("mul", douts.out, ins.dout)
            grads["x"] = curvature(call, ins.x, ins.y, gd, **attrs)
            grads["y"] = call("scale", grads["x"], by=-1.0)
        return grads

    return grad


def squared_reference(x, y):
    return np.square(x - y)


def squared_grad_reference(x, y, dout):
    return 2 * (x - y) * dout


def squared_curvature(call, x, y, gd):
    return call("scale", gd, by=2.0)


def absolute_reference(x, y):
    return np.abs(x - y)


def absolute_grad_reference(x, y, dout):
    return np.sign(x - y) * dout


def huber_reference(x, y, *, delta):
    d = np.abs(x - y)
    return np.where(d <= delta, 0.5 * d * d, delta * (d - 0.5 * delta)).astype(x.dtype)


def huber_grad_reference(x, y, dout, *, delta):
    return np.clip(x - y, -delta, delta) * dout


def huber_curvature(call, x, y, gd, *, delta):
    """f″ is 1 within ±δ and 0 beyond: the slope of hard_tanh(d / δ)."""
    d = call("scale", call("add", x, call("scale", y, by=-1.0)), by=1.0 / delta)
    return call("act_grad", call("act", d, act="hard_tanh"), gd, act="hard_tanh")


def infer_error(x, y):
    same_shape("an error", x, y)
    return {"out": x}


def infer_error_grad(x, y, dout):
    same_shape("the gradient of an error", x, y, dout)
    return {"out": x}


def infer_huber(x, y, *, delta):
    if not delta > 0:
        raise ValueError(f"huber: δ must be positive, not {delta}")
    return infer_error(x, y)


def infer_huber_grad(x, y, dout, *, delta):
    return {**infer_huber(x, y, delta=delta), **infer_error_grad(x, y, dout)}


def error_ops(name, infer, reference, infer_grad, grad_reference, curvature, attributes=({},)):
    """An error and its gradient, with the cases of both."""
    loss = Op(
        name,
        infer,
        reference,
        error_gradient(name),
        cut=cut_rows,
        tolerance=POINTWISE,
        cases=[case(x=normal(*s), y=normal(*s), **a) for s in SHAPES for a in attributes]
        + [case("large", x=uniform(-1e3, 1e3, 64), y=normal(64), **a) for a in attributes]
        + [case(x=normal(6, 8, layout="F"), y=normal(6, 8, layout="strided"), **attributes[0])],
        bench=[case(x=normal(*s), y=normal(*s), **attributes[0]) for s in BENCH],
        prefer=PREFER,
    )
    gradient = Op(
        f"{name}_grad",
        infer_grad,
        grad_reference,
        second_gradient(name, curvature),
        cut=cut_rows,
        tolerance=POINTWISE,
        cases=[
            case(x=normal(*s), y=normal(*s), dout=normal(*s), **a)
            for s in SHAPES
            for a in attributes
        ],
        bench=[case(x=normal(*s), y=normal(*s), dout=normal(*s), **attributes[0]) for s in BENCH],
        prefer=PREFER,
    )
    return loss, gradient


SQUARED_ERROR, SQUARED_ERROR_GRAD = error_ops(
    "squared_error",
    infer_error,
    squared_reference,
    infer_error_grad,
    squared_grad_reference,
    squared_curvature,
)
ABSOLUTE_ERROR, ABSOLUTE_ERROR_GRAD = error_ops(
    "absolute_error",
    infer_error,
    absolute_reference,
    infer_error_grad,
    absolute_grad_reference,
    None,
)
HUBER, HUBER_GRAD = error_ops(
    "huber",
    infer_huber,
    huber_reference,
    infer_huber_grad,
    huber_grad_reference,
    huber_curvature,
    ({"delta": 1.0}, {"delta": 0.3}),
)

# --- binary cross-entropy -------------------------------------------------------------------------


def infer_bce(x, y, pos_weight=None):
    same_shape("bce_with_logits", x, y)
    if pos_weight is not None and (not x.shape or pos_weight.shape != x.shape[-1:]):
        raise ValueError(f"bce_with_logits: pos_weight {pos_weight.shape} does not fit {x.shape}")
    return {"out": x}


def infer_bce_grad(x, y, pos_weight, dout):
    same_shape("bce_with_logits_grad", x, y, dout)
    return infer_bce(x, y, pos_weight)


def bce_cut(x, y, pos_weight=None, dout=None):
    """Along the first axis; where that is the only one, pos_weight runs along it too."""
    if not x.shape:
        return None
    return {**ALL_CUT, "pos_weight": 0} if len(x.shape) == 1 else ALL_CUT


def bce_reference(x, y, pos_weight=None):
    p = 1 if pos_weight is None else pos_weight
    rest = np.log1p(np.exp(-np.abs(x)))  # log(1 + eˣ) = max(x, 0) + rest
    loss = (1 - y) * (np.maximum(x, 0) + rest) + p * y * (np.maximum(-x, 0) + rest)
    return loss.astype(x.dtype)


def bce_grad_reference(x, y, pos_weight, dout):
    """dx = dout · [(1 − y) σ(x) − p y σ(−x)]: nothing is subtracted from 1."""
    p = 1 if pos_weight is None else pos_weight
    e = np.exp(-np.abs(x))
    less, more = e / (1 + e), 1 / (1 + e)  # σ(−|x|), σ(|x|)
    dz = (1 - y) * np.where(x >= 0, more, less) - p * y * np.where(x >= 0, less, more)
    return (dz * dout).astype(x.dtype)


def times_p_minus_one(call, value, pos_weight):
    """(p − 1) · value, p along the last axis."""
    axes = tuple(range(len(value.shape) - 1))
    p = call("broadcast", pos_weight, shape=tuple(value.shape), axes=axes)
    return call("add", call("mul", p, value), call("scale", value, by=-1.0))


def bce_gradient(call, ins, outs, douts, needed):
    """By x an op of its own; by y, dout · (−x + (p − 1) log(1 + e⁻ˣ)). None by pos_weight."""
    grads = {"pos_weight": None}
    if "x" in needed:
        grads["x"] = call("bce_with_logits_grad", ins.x, ins.y, ins.pos_weight, douts.out)
    if "y" in needed:
        slope = call("scale", ins.x, by=-1.0)
        if ins.pos_weight is not None:
            softplus = call("act", slope, act="softplus")
            slope = call("add", slope, times_p_minus_one(call, softplus, ins.pos_weight))
        grads["y"] = call("mul", slope, douts.out)
    return grads


def bce_grad_gradient(call, ins, outs, douts, needed):
    """By dout itself; with gd = g · dout, by x gd · (1 + (p − 1) y) σ′(x), by y
    −gd · (1 + (p − 1) σ(−x)). None by pos_weight.
    """
    grads = {"pos_weight": None}
    if "dout" in needed:
        grads["dout"] = call("bce_with_logits_grad", ins.x, ins.y, ins.pos_weight, douts.out)
    if needed & {"x", "y"}:
        gd = call("mul", douts.out, ins.dout)
    if "x" in needed:
        dx = call("act_grad", call("act", ins.x, act="sigmoid"), gd, act="sigmoid")
        if ins.pos_weight is not None:
            dx = call("add", dx, call("mul", ins.y, times_p_minus_one(call, dx, ins.pos_weight)))
        grads["x"] = dx
    if "y" in needed:
        dy = gd
        if ins.pos_weight is not None:
            negative = call("act", call("scale", ins.x, by=-1.0), act="sigmoid")
            more = times_p_minus_one(call, call("mul", gd, negative), ins.pos_weight)
            dy = call("add", gd, more)
        grads["y"] = call("scale", dy, by=-1.0)
    return grads


def bce_cases(**more):
    """Cases of both ops; the gradient has `dout` of x's shape too."""
    cases = []
    for shape in SHAPES:
        operands = {"x": normal(*shape), "y": uniform(0.0, 1.0, *shape)}
        operands |= {n: normal(*shape) for n in more}
        cases.append(case(**operands))
        if shape:
            cases.append(case(**operands, pos_weight=uniform(0.2, 3.0, shape[-1])))
    large = {"x": uniform(-1e3, 1e3, 64), "y": uniform(0.0, 1.0, 64)}
    cases.append(case("large", **large, **{n: normal(64) for n in more}))
    return cases


BCE_WITH_LOGITS = Op(
    "bce_with_logits",
    infer_bce,
    bce_reference,
    bce_gradient,
    cut=bce_cut,
    tolerance=WITH_EXP,
    cases=bce_cases(),
    bench=[case(x=normal(*s), y=uniform(0.0, 1.0, *s)) for s in BENCH],
    prefer=PREFER,
)
BCE_WITH_LOGITS_GRAD = Op(
    "bce_with_logits_grad",
    infer_bce_grad,
    bce_grad_reference,
    bce_grad_gradient,
    cut=bce_cut,
    tolerance=WITH_EXP,
    cases=bce_cases(dout=True),
    bench=[case(x=normal(*s), y=uniform(0.0, 1.0, *s), dout=normal(*s)) for s in BENCH],
    prefer=PREFER,
)
