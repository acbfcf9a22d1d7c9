"""2-D maximum pooling over NHWC images, its gradient, and the gradient of that.

y[n,p,q,c] = max over r, s of x[n, p·sh − top + r, q·sw − left + s, c]; `argmax` says which element
it is, as its index r·S + s within the window, in one byte. Of equal elements it is the first, of
NaNs the last (as PyTorch does); never one of the padding.
"""

import numpy as np

from ..spec import Op, Tol, case, normal
from .windows import (
    ALL_CUT,
    FEW_TERMS,
    GEOMETRIES,
    MODELS,
    NONE,
    attributes,
    check_backward,
    first_real,
    output_size,
    pad_images,
    positions,
    unpad,
)

ON_CUDA = {("cuda", "float32"): ("cuda_raw_gather",)}
PREFER = {**{("cpu", p): ("cpu_numba",) for p in ("float32", "float64")}, **ON_CUDA}
EXACT = {
    p: Tol(0.0, 0.0, why="elements are chosen or copied, never computed")
    for p in ("float32", "float64")
}


def infer_maxpool(x, *, window, stride, padding):
    if window[0] * window[1] > 256:
        raise ValueError(f"maxpool2d: a window of at most 256 elements is needed, not {window}")
    n, h, w, c = x.shape
    p, q = output_size(h, w, window, stride, padding)
    return {"out": x.like(n, p, q, c), "argmax": x.like(n, p, q, c, dtype=np.uint8)}


def maxpool_reference(x, *, window, stride, padding):
    padded = pad_images(x, padding, -np.inf)
    p, q = output_size(x.shape[1], x.shape[2], window, stride, padding)
    argmax = np.empty((x.shape[0], p, q, x.shape[3]), np.uint8)
    argmax[...] = first_real(p, q, window, stride, padding)[:, :, None]
    out = np.full(argmax.shape, -np.inf, x.dtype)
    for k, at in positions(p, q, window, stride):
        better = (padded[at] > out) | np.isnan(padded[at])
        out = np.where(better, padded[at], out)
        argmax = np.where(better, np.uint8(k), argmax)
    return out, argmax


def nothing_larger(rng, dtype):
    """Images of −∞ alone: what is chosen must not be padding."""
    return {"x": np.full((1, 7, 11, 4), -np.inf, dtype)}


def maxpool_gradient(call, ins, outs, douts, needed, **attrs):
    shape = tuple(ins.x.shape)
    return {"x": call("maxpool2d_grad", douts.out, outs.argmax, x_shape=shape, **attrs)}


MAXPOOL = Op(
    "maxpool2d",
    infer_maxpool,
    maxpool_reference,
    maxpool_gradient,
    optional=("argmax",),
    cut=ALL_CUT,
    tolerance=EXACT,
    cases=[
        case(x=normal(n, h, w, c), **attributes(*g))
        for n, c in ((5, 3), (1, 1))
        for h, w, *g in GEOMETRIES
    ]
    + [case(x=normal(0, 6, 6, 2), **attributes(*GEOMETRIES[0][2:]))]
    + [case(x=normal(2, 6, 6, 0), **attributes(*GEOMETRIES[3][2:]))]
    + [
        case(x=normal(2, 6, 8, 37, layout=layout), **attributes(*GEOMETRIES[g][2:]))
        for layout in ("F", "strided", "reversed")
        for g in (0, 3)
    ]
    + [case(x=normal(2, h, w, 8), **attributes(*g)) for h, w, *g in GEOMETRIES]
    + [
        case("−∞", nothing_larger, False, x=normal(1, h, w, 4), **attributes(*g))
        for h, w, *g in GEOMETRIES[3:6]
    ],
    bench=[case(x=normal(*s), **attributes((2, 2), (2, 2), NONE)) for s in MODELS]
    + [case(x=normal(16, 112, 112, 64), **attributes((3, 3), (2, 2), ((1, 1), (1, 1))))],
    sized=lambda N=128, H=26, W=26, C=32: case(
        x=normal(N, H, W, C), **attributes((2, 2), (2, 2), NONE)
    ),
    prefer=PREFER,
)


def infer_maxpool_grad(dout, argmax, *, x_shape, window, stride, padding):
    rest = check_backward("maxpool2d_grad", dout, x_shape, window, stride, padding)
    if argmax.shape != dout.shape:
        raise ValueError(f"maxpool2d_grad: argmax {argmax.shape} is not like dout {dout.shape}")
    return {"out": dout.like(dout.shape[0], *rest)}


def maxpool_grad_reference(dout, argmax, *, x_shape, window, stride, padding):
    dx = pad_images(np.zeros((dout.shape[0], *x_shape[1:]), dout.dtype), padding, 0)
    for k, at in positions(*dout.shape[1:3], window, stride):
        dx[at] += np.where(argmax == k, dout, 0)
    return unpad(dx, padding)


def maxpool_grad_gradient(call, ins, outs, douts, needed, *, x_shape, **attrs):
    if "dout" not in needed:
        return {}
    return {"dout": call("maxpool2d_gather", douts.out, ins.argmax, **attrs)}


def valid_argmax(n, c, h, w, window, stride, padding, *, images):
    """The argmax of random images, and dout or x (`images`) for it."""

    def make(rng, dtype):
        x = rng.standard_normal((n, h, w, c)).astype(dtype)
        out, argmax = maxpool_reference(x, window=window, stride=stride, padding=padding)
        if images:
            return {"x": rng.standard_normal(x.shape).astype(dtype), "argmax": argmax}
        return {"dout": rng.standard_normal(out.shape).astype(dtype), "argmax": argmax}

    return make


def grad_case(n, h, w, c, *geometry):
    return case(
        f"{n}×{h}×{w}×{c}",
        x_shape=(n, h, w, c),
        make=valid_argmax(n, c, h, w, *geometry, images=False),
        **attributes(*geometry),
    )


MAXPOOL_GRAD = Op(
    "maxpool2d_grad",
    infer_maxpool_grad,
    maxpool_grad_reference,
    maxpool_grad_gradient,
    cut=ALL_CUT,
    tolerance=FEW_TERMS,
    cases=[grad_case(5, h, w, 3, *g) for h, w, *g in GEOMETRIES]
    + [grad_case(1, h, w, 17, *g) for h, w, *g in GEOMETRIES[:4]]
    + [grad_case(2, h, w, 8, *g) for h, w, *g in GEOMETRIES]
    + [grad_case(0, h, w, 2, *g) for h, w, *g in GEOMETRIES[:1]],
    sized=lambda N=128, H=26, W=26, C=32: grad_case(N, H, W, C, (2, 2), (2, 2), NONE),
    bench=[grad_case(*s, (2, 2), (2, 2), NONE) for s in MODELS]
    + [grad_case(16, 112, 112, 64, (3, 3), (2, 2), ((1, 1), (1, 1)))],
    prefer=PREFER,
)


def infer_gather(x, argmax, *, window, stride, padding):
    n, h, w, c = x.shape
    if argmax.shape != (n, *output_size(h, w, window, stride, padding), c):
        raise ValueError(f"maxpool2d_gather: argmax {argmax.shape} is not of images {x.shape}")
    return {"out": x.like(*argmax.shape)}


def gather_reference(x, argmax, *, window, stride, padding):
    padded = pad_images(x, padding, 0)
    out = np.zeros(argmax.shape, x.dtype)
    for k, at in positions(*argmax.shape[1:3], window, stride):
        out = np.where(argmax == k, padded[at], out)
    return out


def gather_gradient(call, ins, outs, douts, needed, **attrs):
    if "x" not in needed:
        return {}
    shape = tuple(ins.x.shape)
    return {"x": call("maxpool2d_grad", douts.out, ins.argmax, x_shape=shape, **attrs)}


GATHER = Op(
    "maxpool2d_gather",
    infer_gather,
    gather_reference,
    gather_gradient,
    cut=ALL_CUT,
    tolerance=EXACT,
    cases=[
        case(f"{n}×{h}×{w}×{c}", make=valid_argmax(n, c, h, w, *g, images=True), **attributes(*g))
        for n, c in ((5, 3), (1, 17), (2, 8), (0, 2))
        for h, w, *g in GEOMETRIES[:6]
    ],
    bench=[
        case(
            make=valid_argmax(128, 32, 26, 26, (2, 2), (2, 2), NONE, images=True),
            **attributes((2, 2), (2, 2), NONE),
        )
    ],
    prefer=ON_CUDA,
)
