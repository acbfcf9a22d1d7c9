"""2-D pooling over NHWC images: maximum, average and global average, with their gradients.

y[n,p,q,c] = max or mean over r, s of x[n, p·sh − top + r, q·sw − left + s, c], with (r, s) in the
`window` (R, S), `stride` (sh, sw) and `padding` ((top, bottom), (left, right)), each smaller than
the window. The output has (H + top + bottom − R) // sh + 1 rows, and columns likewise.

`argmax` is the element that was chosen, as its index r·S + s within the window, in one byte. Of
equal elements it is the first, of NaNs the last (as PyTorch does); never one of the padding.
"""

import numpy as np

from ..spec import Op, Tol, case, normal
from .windows import first_real, output_size, pad_images, positions, unpad

ALL_CUT = {"x": 0, "dout": 0, "argmax": 0, "out": 0}
PREFER = {("cpu", p): ("cpu_numba",) for p in ("float32", "float64")}
EXACT = {
    p: Tol(0.0, 0.0, why="elements are chosen or copied, never computed")
    for p in ("float32", "float64")
}
FEW_TERMS = {
    "float32": Tol(2e-6, 1e-6, why="a sum of at most a window's elements, some tens"),
    "float64": Tol(1e-14, 1e-15, why="the same in double precision"),
}
NONE = ((0, 0), (0, 0))

# height, width, window, stride, padding
GEOMETRIES = [
    (6, 8, (2, 2), (2, 2), NONE),
    (7, 5, (2, 2), (2, 2), NONE),
    (1, 1, (1, 1), (1, 1), NONE),
    (7, 11, (3, 3), (2, 2), ((1, 1), (1, 1))),
    (9, 7, (3, 3), (1, 1), ((1, 1), (1, 1))),
    (5, 6, (2, 3), (1, 2), ((0, 1), (2, 1))),
    (8, 7, (2, 2), (3, 3), NONE),
    (6, 6, (2, 2), (2, 2), ((1, 1), (0, 1))),
    (17, 16, (16, 16), (1, 1), NONE),
    (4, 3, (4, 3), (4, 3), NONE),
]
MODELS = [(128, 26, 26, 32), (128, 11, 11, 64)]


def attributes(window, stride, padding, **more):
    return {"window": window, "stride": stride, "padding": padding, **more}


def check_backward(name, operand, x_shape, window, stride, padding):
    """x_shape without N, after a check that `operand` has the shape that pooling x gives."""
    _, h, w, c = x_shape
    p, q = output_size(h, w, window, stride, padding)
    if operand.shape[1:] != (p, q, c):
        raise ValueError(f"{name}: pooling {x_shape} gives (N, {p}, {q}, {c}): {operand.shape}")
    return h, w, c


# --- maximum --------------------------------------------------------------------------------------


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
    ],
    bench=[case(x=normal(*s), **attributes((2, 2), (2, 2), NONE)) for s in MODELS]
    + [case(x=normal(16, 112, 112, 64), **attributes((3, 3), (2, 2), ((1, 1), (1, 1))))],
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
    + [grad_case(0, h, w, 2, *g) for h, w, *g in GEOMETRIES[:1]],
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
        for n, c in ((5, 3), (1, 17), (0, 2))
        for h, w, *g in GEOMETRIES[:6]
    ],
    bench=[
        case(
            make=valid_argmax(128, 32, 26, 26, (2, 2), (2, 2), NONE, images=True),
            **attributes((2, 2), (2, 2), NONE),
        )
    ],
)


# --- average --------------------------------------------------------------------------------------


def counts(h, w, window, stride, padding, count_include_pad):
    """(P, Q, 1): how many elements each window is divided by."""
    p, q = output_size(h, w, window, stride, padding)
    if count_include_pad:
        return np.full((p, q, 1), window[0] * window[1])
    real = pad_images(np.ones((1, h, w, 1), np.int64), padding, 0)
    return np.sum([real[at] for _, at in positions(p, q, window, stride)], axis=0)[0]


def infer_avgpool(x, *, window, stride, padding, count_include_pad):
    n, h, w, c = x.shape
    return {"out": x.like(n, *output_size(h, w, window, stride, padding), c)}


def avgpool_reference(x, *, window, stride, padding, count_include_pad):
    padded = pad_images(x, padding, 0)
    p, q = output_size(x.shape[1], x.shape[2], window, stride, padding)
    total = np.zeros((x.shape[0], p, q, x.shape[3]), x.dtype)
    for _, at in positions(p, q, window, stride):
        total += padded[at]
    n = counts(x.shape[1], x.shape[2], window, stride, padding, count_include_pad)
    return (total / n).astype(x.dtype)


def avgpool_gradient(call, ins, outs, douts, needed, **attrs):
    return {"x": call("avgpool2d_grad", douts.out, x_shape=tuple(ins.x.shape), **attrs)}


AVGPOOL = Op(
    "avgpool2d",
    infer_avgpool,
    avgpool_reference,
    avgpool_gradient,
    cut=ALL_CUT,
    tolerance=FEW_TERMS,
    cases=[
        case(x=normal(n, h, w, c), **attributes(*g, count_include_pad=include))
        for n, c, include in ((5, 3, True), (4, 3, False), (1, 17, False))
        for h, w, *g in GEOMETRIES
    ]
    + [case(x=normal(0, 6, 6, 2), **attributes(*GEOMETRIES[0][2:], count_include_pad=True))]
    + [
        case(
            x=normal(2, 6, 8, 3, layout=a), **attributes(*GEOMETRIES[3][2:], count_include_pad=True)
        )
        for a in ("F", "reversed")
    ],
    bench=[
        case(x=normal(*s), **attributes((2, 2), (2, 2), NONE, count_include_pad=True))
        for s in MODELS
    ],
    prefer=PREFER,
)


def infer_avgpool_grad(dout, *, x_shape, window, stride, padding, count_include_pad):
    rest = check_backward("avgpool2d_grad", dout, x_shape, window, stride, padding)
    return {"out": dout.like(dout.shape[0], *rest)}


def avgpool_grad_reference(dout, *, x_shape, window, stride, padding, count_include_pad):
    share = dout / counts(*x_shape[1:3], window, stride, padding, count_include_pad)
    dx = pad_images(np.zeros((dout.shape[0], *x_shape[1:]), dout.dtype), padding, 0)
    for _, at in positions(*dout.shape[1:3], window, stride):
        dx[at] += share
    return unpad(dx, padding)


def avgpool_grad_gradient(call, ins, outs, douts, needed, *, x_shape, **attrs):
    return {"dout": call("avgpool2d", douts.out, **attrs)}


def avg_grad_case(n, h, w, c, window, stride, padding, include):
    p, q = output_size(h, w, window, stride, padding)
    more = {"x_shape": (n, h, w, c), "count_include_pad": include}
    return case(dout=normal(n, p, q, c), **attributes(window, stride, padding, **more))


AVGPOOL_GRAD = Op(
    "avgpool2d_grad",
    infer_avgpool_grad,
    avgpool_grad_reference,
    avgpool_grad_gradient,
    cut=ALL_CUT,
    tolerance=FEW_TERMS,
    cases=[
        avg_grad_case(n, h, w, c, *g, include)
        for n, c, include in ((5, 3, True), (4, 3, False), (0, 2, True))
        for h, w, *g in GEOMETRIES
    ],
    bench=[avg_grad_case(*s, (2, 2), (2, 2), NONE, True) for s in MODELS],
    prefer=PREFER,
)


def infer_global(x):
    if len(x.shape) != 4:
        raise ValueError(f"global_avgpool: images (N, H, W, C) are needed, not {x.shape}")
    return {"out": x.like(x.shape[0], x.shape[3])}


def global_reference(x):
    n = x.shape[1] * x.shape[2]
    return (np.sum(x, axis=(1, 2), dtype=np.float64) / n).astype(x.dtype)


def global_gradient(call, ins, outs, douts, needed):
    shape = tuple(ins.x.shape)
    share = call("scale", douts.out, by=1.0 / max(shape[1] * shape[2], 1))
    return {"x": call("broadcast", share, shape=shape, axes=(1, 2))}


def global_decompose(call, x):
    return call("mean", x, axes=(1, 2))


GLOBAL_AVGPOOL = Op(
    "global_avgpool",
    infer_global,
    global_reference,
    global_gradient,
    global_decompose,
    cut=ALL_CUT,
    tolerance={
        "float32": Tol(1e-6, 1e-6, why="summed in double precision or short blocks, then rounded"),
        "float64": Tol(1e-13, 1e-13, why="a mean of some thousand elements"),
    },
    cases=[case(x=normal(*s)) for s in ((5, 7, 3, 11), (1, 1, 1, 1), (0, 3, 3, 2), (2, 64, 63, 3))]
    + [case(x=normal(3, 4, 5, 6, layout=layout)) for layout in ("F", "strided", "reversed")],
    bench=[case(x=normal(128, 8, 8, 64))],
    prefer=PREFER,
)
