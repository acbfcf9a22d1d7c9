"""2-D average pooling over NHWC images and the global average, with their gradients.

y[n,p,q,c] = Σ over r, s of x[n, p·sh − top + r, q·sw − left + s, c], divided by the window's size
(`count_include_pad`) or by how many of its elements are not padding.
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
    output_size,
    pad_images,
    positions,
    unpad,
)

PREFER = {
    **{("cpu", p): ("cpu_numba_average",) for p in ("float32", "float64")},
    ("cuda", "float32"): ("cuda_raw_gather",),
}


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
        for n, c, include in ((5, 3, True), (4, 3, False), (1, 17, False), (2, 8, False))
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
    sized=lambda N=128, H=26, W=26, C=32: case(
        x=normal(N, H, W, C), **attributes((2, 2), (2, 2), NONE, count_include_pad=True)
    ),
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
        for n, c, include in ((5, 3, True), (4, 3, False), (2, 8, False), (0, 2, True))
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
        "float32": Tol(1e-6, 1e-6, why="summed in double precision, then rounded"),
        "float64": Tol(1e-13, 1e-13, why="a mean of some thousand elements"),
    },
    cases=[case(x=normal(*s)) for s in ((5, 7, 3, 11), (1, 1, 1, 1), (0, 3, 3, 2), (2, 64, 63, 3))]
    + [case(x=normal(3, 4, 5, 6, layout=layout)) for layout in ("F", "strided", "reversed")],
    bench=[case(x=normal(128, 8, 8, 64))],
    prefer=PREFER,
)
