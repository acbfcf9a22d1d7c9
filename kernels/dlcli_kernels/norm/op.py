"""Batch norm over all axes but the last (Ioffe & Szegedy 2015). Layer norm is in `layer.py`,
instance norm in `instance.py`.

    out = gamma · (x - mean) / √(var + eps) + beta;   var = Σ (x - mean)² / n, biased

x is (…, C); gamma and beta (C,) or absent. In training mean and var are those of the batch, per
channel, and channels are what the work is cut by; at inference they are the running ones, and it
is cut by rows.
"""

from math import prod

import numpy as np

from ..spec import Op, case, normal, uniform
from .instance import INSTANCENORM, INSTANCENORM_GRAD  # noqa: F401  (ops of this family)
from .layer import LAYERNORM, LAYERNORM_GRAD  # noqa: F401
from .shared import (
    AFFINE,
    BENCH,
    CUT_ROWS,
    SHAPES,
    TOLERANCE,
    affine,
    cast,
    for_inputs,
    grain_rows,
    in_plain_ops,
    offset,
    per_channel,
    scaled,
)

PREFER = {("cpu", p): ("cpu_numba",) for p in ("float32", "float64")}
PREFER[("cuda", "float32")] = ("cuda_raw_columns",)


def channels(op, x, *vectors):
    """The number of channels; ValueError unless x has rows of them and each vector one of each."""
    if len(x.shape) < 2:
        raise ValueError(f"{op}: x needs at least two axes, the last its channels, not {x.shape}")
    if any(v is not None and v.shape != x.shape[-1:] for v in vectors):
        shapes = [v.shape for v in vectors if v is not None]
        raise ValueError(f"{op}: {x.shape[-1]} channels, but vectors of {shapes}")
    return x.shape[-1]


# --- batch norm in training -----------------------------------------------------------------------


def cut_channels(x, *others, **attrs):
    """Along the last axis: a channel's statistics need all rows of it and nothing else."""
    last = len(x.shape) - 1
    rows = dict.fromkeys(("x", "out", "dout", "dx"), last)
    vectors = ("gamma", "beta", "mean", "var", "dmean", "dvar", "inv_std", "dgamma", "dbeta")
    return rows | dict.fromkeys(vectors, 0)


def grain_channels(x, *others, **attrs):
    """At most 16 ranges of at least 64 channels, so that a row of a range is worth a vector loop.

    And of 256k elements, against which the views that a range needs cost little.
    """
    ranges = max(min(x.shape[-1] // 64, x.size >> 18, 16), 1)
    return -(-x.shape[-1] // ranges)


def infer_batchnorm(x, gamma=None, beta=None, *, eps=1e-5):
    c = channels("batchnorm", x, gamma, beta)
    return {"out": x, "mean": x.like(c), "var": x.like(c), "inv_std": x.like(c)}


def batchnorm(x, gamma=None, beta=None, *, eps=1e-5):
    """Two passes: the mean, then the mean square of the differences from it.

    Of no rows mean and var are 0, of one row var is 0.
    """
    rows = max(prod(x.shape[:-1]), 1)
    mean = per_channel(x) / rows
    var = per_channel(np.square(x - mean)) / rows
    inv_std = 1 / np.sqrt(var + eps)
    out = scaled((x - mean) * inv_std, gamma, beta)
    return cast(x, out, mean, var, inv_std)


def batchnorm_gradient(call, ins, outs, douts, needed, *, eps=1e-5):
    dmean, dvar = getattr(douts, "mean", None), getattr(douts, "var", None)
    grads = call(
        "batchnorm_grad", ins.x, ins.gamma, outs.mean, outs.var, douts.out, dmean, dvar, eps=eps
    )
    return for_inputs(grads, needed)


def batchnorm_decompose(call, x, gamma=None, beta=None, *, eps=1e-5):
    return in_plain_ops(call, x, gamma, beta, tuple(range(len(x.shape) - 1)), eps)


def infer_batchnorm_grad(x, gamma, mean, var, dout, dmean=None, dvar=None, *, eps=1e-5):
    c = channels("batchnorm_grad", x, gamma, mean, var, dmean, dvar)
    return {"dx": x, "dgamma": x.like(c), "dbeta": x.like(c)}


def batchnorm_grad(x, gamma, mean, var, dout, dmean=None, dvar=None, *, eps=1e-5):
    """The gradients, those of the statistics included: mean and var are functions of x.

    dmean and dvar are the gradients that reach x through the outputs mean and var, if any.
    """
    rows = max(prod(x.shape[:-1]), 1)
    centred, inv_std = x - mean, 1 / np.sqrt(var + eps)
    normalised = centred * inv_std
    dbeta, dgamma = per_channel(dout), per_channel(dout * normalised)
    scale = inv_std if gamma is None else gamma * inv_std
    dx = scale * (dout - dbeta / rows - normalised * dgamma / rows)
    dx = dx if dmean is None else dx + dmean / rows
    dx = dx if dvar is None else dx + 2 * dvar * centred / rows
    return cast(x, dx, dgamma, dbeta)


# --- batch norm at inference ----------------------------------------------------------------------


def infer_inference(x, gamma, beta, mean, var, *, eps=1e-5):
    channels("batchnorm_inference", x, gamma, beta, mean, var)
    return {"out": x}


def inference(x, gamma, beta, mean, var, *, eps=1e-5):
    return cast(x, scaled((x - mean) / np.sqrt(var + eps), gamma, beta))[0]


def inference_gradient(call, ins, outs, douts, needed, *, eps=1e-5):
    """With respect to x, gamma and beta; the running statistics are constants."""
    grads = call(
        "batchnorm_inference_grad", ins.x, ins.gamma, ins.mean, ins.var, douts.out, eps=eps
    )
    return for_inputs(grads, needed) | {"mean": None, "var": None}


def infer_inference_grad(x, gamma, mean, var, dout, *, eps=1e-5):
    c = channels("batchnorm_inference_grad", x, gamma, mean, var)
    return {"dx": x, "dgamma": x.like(c), "dbeta": x.like(c)}


def inference_grad(x, gamma, mean, var, dout, *, eps=1e-5):
    inv_std = 1 / np.sqrt(var + eps)
    dx = scaled(dout * inv_std, gamma, None)
    return cast(x, dx, per_channel(dout * (x - mean) * inv_std), per_channel(dout))


def infer_update_running(running, batch, *, momentum, correction=1.0):
    if running.shape != batch.shape:
        raise ValueError(f"update_running: {running.shape} and {batch.shape} differ")
    return {}


def update_running(running, batch, *, momentum, correction=1.0):
    """running ← (1 - momentum) · running + momentum · correction · batch, in place.

    correction: n / (n - 1) for a variance of n > 1 elements, which makes it unbiased, as PyTorch's
    running variance is; else 1.
    """
    running[...] = (1 - momentum) * running + momentum * correction * batch


# --- cases ----------------------------------------------------------------------------------------


def statistics(c):
    return {"mean": normal(c), "var": uniform(0.1, 2.0, c)}


def grad_operands(shape, gamma=True):
    c = shape[-1]
    return {"x": normal(*shape), "dout": normal(*shape), **affine(c, gamma, False), **statistics(c)}


BATCHNORM = Op(
    "batchnorm",
    infer_batchnorm,
    batchnorm,
    batchnorm_gradient,
    batchnorm_decompose,
    optional=("inv_std",),
    cut=cut_channels,
    grain=grain_channels,
    tolerance=TOLERANCE,
    cases=[case(x=normal(*s), **affine(s[-1])) for s in SHAPES]
    + [case(x=normal(6, 5, 3), **affine(3, *a), eps=e) for a in AFFINE for e in (1e-5, 0.1)]
    + [case(x=normal(6, 8, layout=layout), **affine(8)) for layout in ("F", "strided", "reversed")]
    + [case("offset", offset, x=normal(40, 5), **affine(5))],
    bench=[case(x=normal(*s), **affine(s[-1])) for s in BENCH],
    sized=lambda N=128, H=28, W=28, C=64: case(x=normal(N, H, W, C), **affine(C)),
    prefer=PREFER,
)

BATCHNORM_GRAD = Op(
    "batchnorm_grad",
    infer_batchnorm_grad,
    batchnorm_grad,
    cut=cut_channels,
    grain=grain_channels,
    tolerance=TOLERANCE,
    cases=[case(**grad_operands(s)) for s in SHAPES]
    + [case(**grad_operands((6, 5, 3), g), eps=e) for g in (True, False) for e in (1e-5, 0.1)]
    + [case(**grad_operands((6, 3)), dmean=normal(3), dvar=normal(3))]
    + [case(**grad_operands((6, 3)), **{n: normal(3)}) for n in ("dmean", "dvar")],
    bench=[case(**grad_operands(s)) for s in BENCH],
    sized=lambda N=128, H=28, W=28, C=64: case(**grad_operands((N, H, W, C))),
    prefer=PREFER,
)

BATCHNORM_INFERENCE = Op(
    "batchnorm_inference",
    infer_inference,
    inference,
    inference_gradient,
    cut=CUT_ROWS,
    grain=grain_rows,
    tolerance=TOLERANCE,
    cases=[case(x=normal(*s), **affine(s[-1]), **statistics(s[-1])) for s in SHAPES]
    + [case(x=normal(6, 5, 3), **affine(3, *a), **statistics(3), eps=0.1) for a in AFFINE]
    + [
        case(x=normal(6, 8, layout=layout), **affine(8), **statistics(8))
        for layout in ("F", "strided")
    ],
    bench=[case(x=normal(*s), **affine(s[-1]), **statistics(s[-1])) for s in BENCH],
    sized=lambda N=128, H=28, W=28, C=64: case(x=normal(N, H, W, C), **affine(C), **statistics(C)),
    prefer=PREFER,
)

BATCHNORM_INFERENCE_GRAD = Op(
    "batchnorm_inference_grad",
    infer_inference_grad,
    inference_grad,
    cut=CUT_ROWS,
    grain=grain_rows,
    partial=("dgamma", "dbeta"),
    tolerance=TOLERANCE,
    cases=[case(**grad_operands(s)) for s in SHAPES]
    + [case(**grad_operands((6, 5, 3), False), eps=0.1)],
    bench=[case(**grad_operands(s)) for s in BENCH],
    sized=lambda N=128, H=28, W=28, C=64: case(**grad_operands((N, H, W, C))),
    prefer=PREFER,
)

UPDATE_RUNNING = Op(
    "update_running",
    infer_update_running,
    update_running,
    inout=("running",),
    tolerance=TOLERANCE,
    cases=[
        case(running=normal(n), batch=normal(n), momentum=m, correction=c)
        for n in (1, 67, 0)
        for m in (0.1, 1.0)
        for c in (1.0, 7 / 6)
    ],
    bench=[case(running=normal(64), batch=normal(64), momentum=0.1)],
    prefer=PREFER,
)
