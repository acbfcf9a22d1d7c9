"""Cross-entropy of logits x (N, K), fused with the softmax, for labels or for probabilities.

Labels y (N,): lossₙ = −(1 − ε) w[yₙ] log p[yₙ] − ε/K Σₖ wₖ log pₖ, with ε the label smoothing and w
the class weights (1 if absent), as in PyTorch. The label −100 is ignored: its loss and gradient are
0. Any other label outside 0 … K−1 makes them NaN, and nothing is read out of bounds.
The weighted mean that PyTorch takes is Σ lossₙ / Σ class_weight_of(y, w)ₙ.

Probabilities t (N, K): lossₙ = −Σₖ tₖ log pₖ.
"""

import numpy as np

from ..spec import Op, Tol, case, integers, normal, uniform

IGNORED = -100  # the label of a sample that does not count, PyTorch's ignore_index
ROWS = {"x": 0, "y": 0, "target": 0, "lse": 0, "dout": 0, "out": 0}
CROSS_ENTROPY = {
    "float32": Tol(4e-6, 2e-6, why="log Σ exp and a logit of like size, subtracted"),
    "float64": Tol(1e-13, 1e-14, why="the same in double precision"),
}


def check_labels(name, x, y, weight=None):
    """ValueError unless x is (N, K) with K ≥ 1, y (N,) of int64 and weight (K,)."""
    if len(x.shape) != 2 or x.shape[1] < 1:
        raise ValueError(f"{name}: logits (N, K) of at least one class are needed, not {x.shape}")
    if y.shape != x.shape[:1] or y.dtype != np.int64:
        raise ValueError(f"{name}: int64 labels {x.shape[:1]} are needed, not {y.dtype} {y.shape}")
    if weight is not None and weight.shape != x.shape[1:]:
        raise ValueError(f"{name}: weights {x.shape[1:]} are needed, not {weight.shape}")


def valid(y, classes):
    """(mask of the labels in range, the labels with the others replaced by 0, their factor).

    The factor is 1 for a label in range, 0 for an ignored one and NaN for any other.
    """
    inside = (y >= 0) & (y < classes)
    factor = np.where(inside, 1.0, np.where(y == IGNORED, 0.0, np.nan))
    return np.where(inside, y, 0), factor


def log_sum_exp(x):
    """log Σₖ exp xₖ of each row; after subtracting the row's maximum."""
    largest = np.max(x, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return largest + np.log(np.sum(np.exp(x - largest[:, None]), axis=1))


def apply_factor(factor, value):
    """value where the factor is 1; 0 or NaN itself where it is not, whatever the value is."""
    return np.where(factor == 1.0, value, factor).astype(value.dtype)


# --- labels ---------------------------------------------------------------------------------------


def infer_labels(x, y, weight=None, *, label_smoothing=0.0):
    check_labels("softmax_cross_entropy", x, y, weight)
    if not 0.0 <= label_smoothing <= 1.0:
        raise ValueError(f"label smoothing must lie in 0 … 1, not {label_smoothing}")
    return {"out": x.like(x.shape[0]), "lse": x.like(x.shape[0])}


def labels_reference(x, y, weight=None, *, label_smoothing=0.0):
    w = np.ones(x.shape[1], x.dtype) if weight is None else weight
    label, factor = valid(y, x.shape[1])
    lse = log_sum_exp(x)
    with np.errstate(invalid="ignore"):
        own = lse - np.take_along_axis(x, label[:, None], axis=1)[:, 0]
        loss = (1.0 - label_smoothing) * w[label] * own
        if label_smoothing:
            loss = loss + label_smoothing / x.shape[1] * np.sum(w * (lse[:, None] - x), axis=1)
    return apply_factor(factor, loss.astype(x.dtype)), lse


def labels_gradient(call, ins, outs, douts, needed, *, label_smoothing=0.0):
    """By the logits. None by the class weights, which are constants."""
    grads = {"weight": None}
    if "x" in needed:
        operands = (ins.x, ins.y, ins.weight, outs.lse, douts.out)
        grads["x"] = call("softmax_cross_entropy_grad", *operands, label_smoothing=label_smoothing)
    return grads


def labels_with_some_ignored(n, k, *, cotangent=False, weighted=False):
    """Operands with labels in range, ignored and out of range."""

    def make(rng, dtype):
        x = rng.standard_normal((n, k)).astype(dtype)
        y = rng.integers(0, k, n)
        y[1::4], y[2::8], y[6::8] = IGNORED, k, np.iinfo(np.int64).min
        made = {"x": x, "y": y}
        if weighted:
            made["weight"] = rng.uniform(0.5, 2.0, k).astype(dtype)
        if cotangent:
            made |= {"lse": log_sum_exp(x), "dout": rng.standard_normal(n).astype(dtype)}
        return made

    return make


SIZES = [(1, 1), (5, 1), (1, 7), (31, 10), (13, 129), (0, 4), (3, 1009)]
SIZES += [(150, 10), (9, 36), (9, 45), (2, 1000), (1, 4097)]  # what teams of threads hold, and more
PREFER = {
    **{("cpu", p): ("cpu_numba",) for p in ("float32", "float64")},
    ("cuda", "float32"): ("cuda_raw_rows",),
}

SOFTMAX_CROSS_ENTROPY = Op(
    "softmax_cross_entropy",
    infer_labels,
    labels_reference,
    labels_gradient,
    optional=("lse",),
    cut=ROWS,
    tolerance=CROSS_ENTROPY,
    cases=[
        case(x=normal(n, k), y=integers(0, k, n), label_smoothing=e)
        for n, k in SIZES
        for e in (0.0, 0.1)
    ]
    + [
        case(x=normal(n, k), y=integers(0, k, n), weight=uniform(0.2, 3.0, k), label_smoothing=e)
        for n, k in ((31, 10), (5, 1))
        for e in (0.0, 0.1, 1.0)
    ]
    + [
        case("large", x=uniform(-1e3, 1e3, 16, 10), y=integers(0, 10, 16), label_smoothing=e)
        for e in (0.0, 0.1)
    ]
    + [
        case(x=normal(6, 8, layout=a), y=integers(0, 8, 6), label_smoothing=0.0)
        for a in ("F", "strided", "reversed")
    ]
    + [
        case("ignored", labels_with_some_ignored(19, 5, weighted=w), False, label_smoothing=e)
        for e in (0.0, 0.1)
        for w in (False, True)
    ],
    bench=[
        case(x=normal(n, k), y=integers(0, k, n), label_smoothing=0.0)
        for n, k in ((128, 10), (4096, 1000))
    ],
    sized=lambda N=4096, K=1000: case(x=normal(N, K), y=integers(0, K, N), label_smoothing=0.0),
    prefer=PREFER,
)


def infer_labels_grad(x, y, weight, lse, dout, *, label_smoothing=0.0):
    check_labels("softmax_cross_entropy_grad", x, y, weight)
    if lse.shape != y.shape or dout.shape != y.shape:
        raise ValueError(f"lse and dout {y.shape} are needed, not {lse.shape} and {dout.shape}")
    return {"out": x}


def labels_grad_reference(x, y, weight, lse, dout, *, label_smoothing=0.0):
    """dxⱼ = dout · [(1−ε) w[y] (pⱼ − 1[j=y]) + ε/K (pⱼ Σw − wⱼ)]."""
    k = x.shape[1]
    w = np.ones(k, x.dtype) if weight is None else weight
    label, factor = valid(y, k)
    p = np.exp(x - lse[:, None])
    dz = (1.0 - label_smoothing) * w[label][:, None] * (p - (label[:, None] == np.arange(k)))
    if label_smoothing:
        dz = dz + label_smoothing / k * (p * np.sum(w) - w)
    return apply_factor(factor[:, None], (dz * dout[:, None]).astype(x.dtype))


def labels_and_cotangent(n, k, *, weighted=False, spread=1.0):
    """Operands of the gradient that belong together."""

    def make(rng, dtype):
        x = (spread * rng.standard_normal((n, k))).astype(dtype)
        made = {"x": x, "y": rng.integers(0, k, n), "lse": log_sum_exp(x)}
        if weighted:
            made["weight"] = rng.uniform(0.2, 3.0, k).astype(dtype)
        return made | {"dout": rng.standard_normal(n).astype(dtype)}

    return make


SOFTMAX_CROSS_ENTROPY_GRAD = Op(
    "softmax_cross_entropy_grad",
    infer_labels_grad,
    labels_grad_reference,
    cut=ROWS,
    tolerance={
        "float32": Tol(4e-6, 1e-6, why="exp of a rounded difference, near 0 minus 1"),
        "float64": Tol(1e-13, 1e-14, why="the same in double precision"),
    },
    cases=[
        case(f"{n}×{k} w={w}", label_smoothing=e, make=labels_and_cotangent(n, k, weighted=w))
        for n, k in SIZES
        for e in (0.0, 0.1)
        for w in (False, True)
    ]
    + [case("spread", label_smoothing=0.1, make=labels_and_cotangent(16, 10, spread=20.0))]
    + [
        case(
            "ignored",
            label_smoothing=e,
            make=labels_with_some_ignored(19, 5, cotangent=True, weighted=w),
        )
        for e in (0.0, 0.1)
        for w in (False, True)
    ],
    bench=[
        case(f"{n}×{k}", label_smoothing=0.0, make=labels_and_cotangent(n, k))
        for n, k in ((128, 10), (4096, 1000))
    ],
    prefer=PREFER,
)


def infer_class_weight(y, weight):
    if len(y.shape) != 1 or len(weight.shape) != 1:
        raise ValueError(f"class_weight_of: y (N,), weight (K,), not {y.shape}, {weight.shape}")
    return {"out": weight.like(*y.shape)}


def class_weight_reference(y, weight):
    """weight[y]; 0 for an ignored label, NaN for one out of range."""
    label, factor = valid(y, weight.shape[0])
    return apply_factor(factor, weight[label])


CLASS_WEIGHT_OF = Op(
    "class_weight_of",
    infer_class_weight,
    class_weight_reference,
    cut={"y": 0, "out": 0},
    precision_of="weight",
    tolerance={
        p: Tol(0.0, 0.0, why="elements are copied, never computed") for p in ("float32", "float64")
    },
    cases=[
        case(y=integers(0, 10, 31), weight=normal(10)),
        case("one out of range each side", y=integers(-1, 4, 31), weight=normal(3)),
        case("ignored", y=integers(-101, -98, 31), weight=normal(3)),
        case(y=integers(0, 1, 0), weight=normal(3)),
        case(y=integers(-1, 11, 700), weight=normal(10)),
    ],
    bench=[case(y=integers(0, 10, 128), weight=normal(10))],
    prefer={("cuda", "float32"): ("cuda_raw_pointwise",)},
)


# --- probabilities --------------------------------------------------------------------------------


def infer_soft(x, target):
    if len(x.shape) != 2 or x.shape[1] < 1 or target.shape != x.shape:
        raise ValueError(f"two arrays (N, K) are needed, not {x.shape} and {target.shape}")
    return {"out": x.like(x.shape[0])}


def soft_reference(x, target):
    with np.errstate(invalid="ignore"):
        return np.sum(target * (log_sum_exp(x)[:, None] - x), axis=1)


def soft_gradient(call, ins, outs, douts, needed):
    grads = {}
    if "x" in needed:
        grads["x"] = call("soft_cross_entropy_grad", ins.x, ins.target, douts.out)
    if "target" in needed:
        spread = call("broadcast", douts.out, shape=tuple(ins.x.shape), axes=(1,))
        grads["target"] = call("scale", call("mul", spread, call("log_softmax", ins.x)), by=-1.0)
    return grads


SOFT_CROSS_ENTROPY = Op(
    "soft_cross_entropy",
    infer_soft,
    soft_reference,
    soft_gradient,
    cut=ROWS,
    tolerance=CROSS_ENTROPY,
    cases=[case(x=normal(n, k), target=uniform(0.0, 1.0, n, k)) for n, k in SIZES]
    + [case("large", x=uniform(-1e3, 1e3, 16, 10), target=uniform(0.0, 1.0, 16, 10))],
    bench=[case(x=normal(128, 10), target=uniform(0.0, 1.0, 128, 10))],
    prefer=PREFER,
)


def infer_soft_grad(x, target, dout):
    infer_soft(x, target)
    if dout.shape != x.shape[:1]:
        raise ValueError(f"dout {x.shape[:1]} is needed, not {dout.shape}")
    return {"out": x}


def soft_grad_reference(x, target, dout):
    """dx = dout · (p Σt − t)."""
    p = np.exp(x - log_sum_exp(x)[:, None])
    return dout[:, None] * (p * np.sum(target, axis=1, keepdims=True) - target)


SOFT_CROSS_ENTROPY_GRAD = Op(
    "soft_cross_entropy_grad",
    infer_soft_grad,
    soft_grad_reference,
    cut=ROWS,
    tolerance={
        "float32": Tol(4e-6, 2e-6, why="exp of a rounded difference, times a sum of K terms"),
        "float64": Tol(1e-13, 1e-14, why="the same in double precision"),
    },
    cases=[case(x=normal(n, k), target=uniform(0.0, 1.0, n, k), dout=normal(n)) for n, k in SIZES],
    bench=[case(x=normal(128, 10), target=uniform(0.0, 1.0, 128, 10), dout=normal(128))],
    prefer=PREFER,
)
