"""Layer norm (Ba, Kiros & Hinton 2016): each row over the last axis by its own mean and variance.

out = gamma · (x - mean) · rstd + beta,   rstd = 1 / √(var + eps);   gamma and beta (F,) or absent
"""

import numpy as np

from ..spec import Op, case, normal, uniform
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

PREFER = {("cpu", p): ("cpu_numba_layer",) for p in ("float32", "float64")}
PREFER[("cuda", "float32")] = ("cuda_raw_rows",)
LONG = [(3, 1028), (2, 1031), (70, 1025)]  # too long for a warp; more rows than blocks


def cut_layernorm(x, *others, **attrs):
    """Along the first axis; one row alone is one piece of work."""
    if len(x.shape) < 2:
        return None
    return CUT_ROWS | {"mean": 0, "rstd": 0}


def infer_layernorm(x, gamma=None, beta=None, *, eps=1e-5):
    if not x.shape or any(v is not None and v.shape != x.shape[-1:] for v in (gamma, beta)):
        raise ValueError(f"layernorm: gamma and beta have the length of the last axis of {x.shape}")
    return {"out": x, "mean": x.like(*x.shape[:-1]), "rstd": x.like(*x.shape[:-1])}


def layernorm(x, gamma=None, beta=None, *, eps=1e-5):
    """rstd is 1 / √(var + eps), the reciprocal of the standard deviation of each row."""
    features = max(x.shape[-1], 1)
    mean = np.sum(x, axis=-1, keepdims=True, dtype=np.float64) / features
    var = np.sum(np.square(x - mean), axis=-1, keepdims=True) / features
    rstd = 1 / np.sqrt(var + eps)
    out = scaled((x - mean) * rstd, gamma, beta)
    return cast(x, out, mean[..., 0], rstd[..., 0])


def layernorm_gradient(call, ins, outs, douts, needed, *, eps=1e-5):
    grads = call("layernorm_grad", ins.x, ins.gamma, outs.mean, outs.rstd, douts.out)
    return for_inputs(grads, needed)


def layernorm_decompose(call, x, gamma=None, beta=None, *, eps=1e-5):
    return in_plain_ops(call, x, gamma, beta, (len(x.shape) - 1,), eps)[0]


def infer_layernorm_grad(x, gamma, mean, rstd, dout):
    if mean.shape != x.shape[:-1] or rstd.shape != x.shape[:-1] or dout.shape != x.shape:
        raise ValueError(f"layernorm_grad: x {x.shape}, mean {mean.shape}, rstd {rstd.shape}")
    return {"dx": x, "dgamma": x.like(x.shape[-1]), "dbeta": x.like(x.shape[-1])}


def layernorm_grad(x, gamma, mean, rstd, dout):
    features = max(x.shape[-1], 1)
    normalised = (x - mean[..., None]) * rstd[..., None]
    d = scaled(dout, gamma, None)
    along = np.sum(d * normalised, axis=-1, keepdims=True) / features
    dx = rstd[..., None] * (d - np.sum(d, axis=-1, keepdims=True) / features - normalised * along)
    return cast(x, dx, per_channel(dout * normalised), per_channel(dout))


LAYERNORM = Op(
    "layernorm",
    infer_layernorm,
    layernorm,
    layernorm_gradient,
    layernorm_decompose,
    optional=("mean", "rstd"),
    cut=cut_layernorm,
    grain=grain_rows,
    tolerance=TOLERANCE,
    cases=[case(x=normal(*s), **affine(s[-1])) for s in [*SHAPES, *LONG, (17,)]]
    + [case(x=normal(6, 5, 3), **affine(3, *a), eps=e) for a in AFFINE for e in (1e-5, 0.1)]
    + [case(x=normal(6, 8, layout=layout), **affine(8)) for layout in ("F", "strided", "reversed")]
    + [case("offset", offset, x=normal(40, 5), **affine(5))],
    bench=[case(x=normal(*s), **affine(s[-1])) for s in BENCH],
    sized=lambda N=4096, K=1024: case(x=normal(N, K), **affine(K)),
    prefer=PREFER,
)

LAYERNORM_GRAD = Op(
    "layernorm_grad",
    infer_layernorm_grad,
    layernorm_grad,
    cut=cut_layernorm,
    grain=grain_rows,
    partial=("dgamma", "dbeta"),
    tolerance=TOLERANCE,
    cases=[
        case(
            x=normal(*s),
            dout=normal(*s),
            mean=normal(*s[:-1]),
            rstd=uniform(0.5, 3.0, *s[:-1]),
            **affine(s[-1], g, False),
        )
        for s in [*SHAPES, *LONG, (17,)]
        for g in (True, False)
    ],
    bench=[
        case(
            x=normal(*s),
            dout=normal(*s),
            mean=normal(*s[:-1]),
            rstd=uniform(0.5, 3.0, *s[:-1]),
            **affine(s[-1], True, False),
        )
        for s in BENCH
    ],
    prefer=PREFER,
)
