"""Instance norm (Ulyanov, Vedaldi & Lempitsky 2016): each channel of each image by itself.

x is (N, …, C); mean and var are (N, C), over the axes between, biased as in batch norm:

    out = gamma · (x - mean) / √(var + eps) + beta;   gamma and beta (C,) or absent
"""

from math import prod

import numpy as np

from ..spec import Op, case, normal, uniform
from .shared import AFFINE, TOLERANCE, affine, cast, for_inputs, in_plain_ops, per_channel, scaled

PREFER = {("cpu", p): ("cpu_numba_instance",) for p in ("float32", "float64")}
PREFER[("cuda", "float32")] = ("cuda_raw_columns",)
CUT = dict.fromkeys(("x", "out", "dout", "dx", "mean", "var"), 0)


def infer_instancenorm(x, gamma=None, beta=None, *, eps=1e-5):
    n, c = check("instancenorm", x, gamma, beta)
    return {"out": x, "mean": x.like(n, c), "var": x.like(n, c)}


def check(op, x, *vectors):
    """(N, C) of x; ValueError unless it has rows between, and each vector one element a channel."""
    if len(x.shape) < 3:
        raise ValueError(f"{op}: x (N, …, C) is needed, not {x.shape}")
    if any(v is not None and v.shape != x.shape[-1:] for v in vectors):
        shapes = [v.shape for v in vectors if v is not None]
        raise ValueError(f"{op}: {x.shape[-1]} channels, but vectors of {shapes}")
    return x.shape[0], x.shape[-1]


def inner(x):
    """The axes that statistics are over."""
    return tuple(range(1, len(x.shape) - 1))


def mean_of(x, axes):
    return np.sum(x, axis=axes, keepdims=True, dtype=np.float64) / max(
        prod(x.shape[a] for a in axes), 1
    )


def instancenorm(x, gamma=None, beta=None, *, eps=1e-5):
    """Two passes: the mean, then the mean square of the differences from it."""
    axes = inner(x)
    mean = mean_of(x, axes)
    var = mean_of(np.square(x - mean), axes)
    out = scaled((x - mean) / np.sqrt(var + eps), gamma, beta)
    return cast(x, out, np.squeeze(mean, axes), np.squeeze(var, axes))


def instancenorm_gradient(call, ins, outs, douts, needed, *, eps=1e-5):
    grads = call("instancenorm_grad", ins.x, ins.gamma, outs.mean, outs.var, douts.out, eps=eps)
    return for_inputs(grads, needed)


def instancenorm_decompose(call, x, gamma=None, beta=None, *, eps=1e-5):
    return in_plain_ops(call, x, gamma, beta, inner(x), eps)[0]


def infer_instancenorm_grad(x, gamma, mean, var, dout, *, eps=1e-5):
    n, c = check("instancenorm_grad", x, gamma)
    if mean.shape != (n, c) or var.shape != (n, c) or dout.shape != x.shape:
        raise ValueError(f"instancenorm_grad: x {x.shape}, mean {mean.shape}, dout {dout.shape}")
    return {"dx": x, "dgamma": x.like(c), "dbeta": x.like(c)}


def instancenorm_grad(x, gamma, mean, var, dout, *, eps=1e-5):
    axes = inner(x)
    centred = x - np.expand_dims(mean, axes)
    inv_std = np.expand_dims(1 / np.sqrt(var + eps), axes)
    normalised, d = centred * inv_std, scaled(dout, gamma, None)
    dx = inv_std * (d - mean_of(d, axes) - normalised * mean_of(d * normalised, axes))
    return cast(x, dx, per_channel(dout * normalised), per_channel(dout))


SHAPES = [
    (3, 7, 5),
    (2, 4, 3, 1),
    (1, 1, 1, 6),
    (4, 5, 6, 8),
    (2, 3, 11, 67),
    (2, 30, 20, 4),  # as many rows as are summed in two parts or more
    (2, 1031, 12),
    (0, 3, 3, 2),
    (2, 0, 3, 5),
    (2, 3, 2, 0),
]
BENCH = [(64, 32, 32, 64), (1, 128, 128, 64), (64, 8, 8, 256)]


def operands(shape, gamma=True):
    n, c = shape[0], shape[-1]
    statistics = {"mean": normal(n, c), "var": uniform(0.1, 2.0, n, c)}
    return {"x": normal(*shape), "dout": normal(*shape), **affine(c, gamma, False), **statistics}


def offset(rng, dtype):
    """Channels whose mean is a thousand times their standard deviation."""
    return {"x": (1e3 + rng.standard_normal((3, 5, 8, 4))).astype(dtype)}


INSTANCENORM = Op(
    "instancenorm",
    infer_instancenorm,
    instancenorm,
    instancenorm_gradient,
    instancenorm_decompose,
    optional=("mean", "var"),
    cut=CUT,
    tolerance=TOLERANCE,
    cases=[case(x=normal(*s), **affine(s[-1])) for s in SHAPES]
    + [case(x=normal(4, 5, 3), **affine(3, *a), eps=e) for a in AFFINE for e in (1e-5, 0.1)]
    + [case(x=normal(4, 6, 8, layout=la), **affine(8)) for la in ("F", "strided", "reversed")]
    + [case("offset", offset, x=normal(3, 5, 8, 4), **affine(4))],
    bench=[case(x=normal(*s), **affine(s[-1])) for s in BENCH],
    sized=lambda N=16, H=64, W=64, C=64: case(x=normal(N, H, W, C), **affine(C)),
    prefer=PREFER,
)

INSTANCENORM_GRAD = Op(
    "instancenorm_grad",
    infer_instancenorm_grad,
    instancenorm_grad,
    cut=CUT,
    partial=("dgamma", "dbeta"),
    tolerance=TOLERANCE,
    cases=[case(**operands(s)) for s in SHAPES]
    + [case(**operands((4, 5, 3), g), eps=e) for g in (True, False) for e in (1e-5, 0.1)],
    bench=[case(**operands(s)) for s in BENCH],
    sized=lambda N=16, H=64, W=64, C=64: case(**operands((N, H, W, C))),
    prefer=PREFER,
)
