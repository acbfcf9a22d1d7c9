"""Softmax and its logarithm over the last axis, with their gradients from the output.

softmax: y = eˣ / Σ eˣ;   log_softmax: y = x − log Σ eˣ, both after subtracting the row's maximum.
Jacobians: diag(y) − y yᵀ, which is symmetric, and I − 1 · softmaxᵀ. A row that is −∞ everywhere or
holds +∞ or NaN becomes NaN.
"""

import numpy as np

from ..spec import Op, Tol, case, normal, uniform

ROWS = {"x": 0, "y": 0, "dout": 0, "out": 0}
SHAPES = [(1,), (7,), (1, 1), (5, 1), (31, 10), (3, 5, 7), (2, 129), (0, 4), (3, 0), (7, 1009)]
SHAPES += [
    (300, 10),
    (3, 32),
    (9, 36),
    (9, 45),
    (3, 128),
    (2, 512),
    (3, 1000),
    (2, 4097),
    (1, 8196),
]
BENCH = [(128, 10), (4096, 1000)]
PREFER = {
    **{("cpu", p): ("cpu_numba",) for p in ("float32", "float64")},
    ("cuda", "float32"): ("cuda_raw_rows",),
}
SOFTMAX = {
    "float32": Tol(4e-6, 1e-7, why="exp of a rounded difference, and a sum of some hundred terms"),
    "float64": Tol(1e-13, 1e-15, why="the same in double precision"),
}
LOGARITHM = {
    "float32": Tol(2e-6, 1e-6, why="a difference of numbers of the size of the logits' spread"),
    "float64": Tol(1e-14, 1e-14, why="the same in double precision"),
}
GRADIENT = {
    "float32": Tol(2e-6, 2e-6, why="a dot product along a row is subtracted from its elements"),
    "float64": Tol(1e-13, 1e-14, why="the same in double precision"),
}


def cut_rows(*specs):
    """Along the first axis, unless it is the one that is normalised."""
    return ROWS if len(specs[0].shape) > 1 else None


def infer_rows(x):
    if not x.shape:
        raise ValueError("softmax needs an axis to run along; x is a single number")
    return {"out": x}


def shifted(x):
    """x minus the maximum of its row; an empty row stays empty."""
    return x - np.max(x, axis=-1, keepdims=True, initial=-np.inf)


def softmax_reference(x):
    with np.errstate(invalid="ignore"):
        e = np.exp(shifted(x))
        return e / np.sum(e, axis=-1, keepdims=True)


def log_softmax_reference(x):
    with np.errstate(invalid="ignore", divide="ignore"):
        z = shifted(x)
        return z - np.log(np.sum(np.exp(z), axis=-1, keepdims=True))


def sized(N=4096, K=1000):
    return case(x=normal(N, K))


def softmax_gradient(call, ins, outs, douts, needed):
    return {"x": call("softmax_grad", outs.out, douts.out)}


def log_softmax_gradient(call, ins, outs, douts, needed):
    return {"x": call("log_softmax_grad", outs.out, douts.out)}


def forward_cases():
    return (
        [case(x=normal(*s)) for s in SHAPES]
        + [case("large", x=uniform(-1e3, 1e3, 16, 10))]
        + [case("spread", x=uniform(-20, 20, 16, 10))]
        + [case(x=normal(6, 8, layout=layout)) for layout in ("F", "strided", "reversed")]
    )


SOFTMAX_OP = Op(
    "softmax",
    infer_rows,
    softmax_reference,
    softmax_gradient,
    cut=cut_rows,
    tolerance=SOFTMAX,
    cases=forward_cases(),
    bench=[case(x=normal(*s)) for s in BENCH],
    sized=sized,
    prefer=PREFER,
)

LOG_SOFTMAX_OP = Op(
    "log_softmax",
    infer_rows,
    log_softmax_reference,
    log_softmax_gradient,
    cut=cut_rows,
    tolerance=LOGARITHM,
    cases=forward_cases(),
    bench=[case(x=normal(*s)) for s in BENCH],
    sized=sized,
    prefer=PREFER,
)


def infer_grad(y, dout):
    if y.shape != dout.shape or not y.shape:
        raise ValueError(f"softmax gradients need two arrays of rows, not {y.shape}, {dout.shape}")
    return {"out": dout}


def softmax_grad_reference(y, dout):
    """The dot product in float64: where y is near 1, d − ⟨y, d⟩ is what rounding leaves of it."""
    dot = np.sum(np.multiply(y, dout, dtype=np.float64), axis=-1, keepdims=True)
    return (y * (dout - dot)).astype(y.dtype)


def log_softmax_grad_reference(y, dout):
    return dout - np.exp(y) * np.sum(dout, axis=-1, keepdims=True)


def row_sum(call, x):
    """Σ along the last axis, spread over it again."""
    last = (len(x.shape) - 1,)
    return call("broadcast", call("sum", x, axes=last), shape=tuple(x.shape), axes=last)


def minus(call, x, y):
    return call("add", x, call("scale", y, by=-1.0))


def softmax_grad_gradient(call, ins, outs, douts, needed):
    """With out = y (d − ⟨y, d⟩): by d, softmax's own; by y, g (d − ⟨y, d⟩) − d ⟨y, g⟩."""
    y, d, g = ins.y, ins.dout, douts.out
    grads = {}
    if "dout" in needed:
        grads["dout"] = call("softmax_grad", y, g)
    if "y" in needed:
        own = call("mul", g, minus(call, d, row_sum(call, call("mul", y, d))))
        grads["y"] = minus(call, own, call("mul", d, row_sum(call, call("mul", y, g))))
    return grads


def log_softmax_grad_gradient(call, ins, outs, douts, needed):
    """With out = d − eʸ Σd: by d, g − Σ g eʸ; by y, −g eʸ Σd. eʸ = softmax(y): y is normalised."""
    weighted = call("mul", douts.out, call("softmax", ins.y))
    grads = {}
    if "dout" in needed:
        grads["dout"] = minus(call, douts.out, row_sum(call, weighted))
    if "y" in needed:
        grads["y"] = call("scale", call("mul", weighted, row_sum(call, ins.dout)), by=-1.0)
    return grads


def outputs_of(forward, *shape, spread=1.0):
    """An output of `forward`, and a cotangent for it."""

    def make(rng, dtype):
        x = (spread * rng.standard_normal(shape)).astype(dtype)
        return {"y": forward(x), "dout": rng.standard_normal(shape).astype(dtype)}

    return make


PEAKED = (
    4.0  # standard deviation of the logits; at 30, d − ⟨y, d⟩ is the rounding of float64 itself
)

SOFTMAX_GRAD = Op(
    "softmax_grad",
    infer_grad,
    softmax_grad_reference,
    softmax_grad_gradient,
    cut=cut_rows,
    tolerance=GRADIENT,
    cases=[case(str(s), make=outputs_of(softmax_reference, *s)) for s in SHAPES]
    + [case("peaked", make=outputs_of(softmax_reference, 29, 10, spread=PEAKED))],
    bench=[case(str(s), make=outputs_of(softmax_reference, *s)) for s in BENCH],
    sized=lambda N=4096, K=1000: case(f"{N}×{K}", make=outputs_of(softmax_reference, N, K)),
    prefer=PREFER,
)

LOG_SOFTMAX_GRAD = Op(
    "log_softmax_grad",
    infer_grad,
    log_softmax_grad_reference,
    log_softmax_grad_gradient,
    cut=cut_rows,
    tolerance=GRADIENT,
    cases=[case(str(s), make=outputs_of(log_softmax_reference, *s)) for s in SHAPES]
    + [case("saturated", make=outputs_of(log_softmax_reference, 29, 10, spread=30.0))],
    bench=[case(str(s), make=outputs_of(log_softmax_reference, *s)) for s in BENCH],
    sized=lambda N=4096, K=1000: case(f"{N}×{K}", make=outputs_of(log_softmax_reference, N, K)),
    prefer=PREFER,
)
