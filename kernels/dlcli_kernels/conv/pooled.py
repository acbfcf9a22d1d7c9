"""Convolution, bias, activation and max-pooling in one pass: the map stays in the cache, only its
maxima leave it.

out[n,i,j,k] = act(max over the window of conv(x)[n,p,q,k]), windows of `pool` side by side; argmax
(uint8) is the place in the window, row by row, which is all that backward needs. dgrad and wgrad
take the gradient of the pooled map before the activation.
"""

import numpy as np

from ..elementwise.activations import activate
from ..spec import Arg, Op, case, integers, normal
from .cases import (
    BENCH,
    SHAPES,
    TOLERANCE,
    dgrad_case,
    forward_case,
    output_of,
    wgrad_case,
)
from .conv2d import (
    PRECISIONS,
    infer,
    infer_dgrad,
    infer_wgrad,
    reference,
    reference_dgrad,
    reference_wgrad,
)
from .costs import flops_dgrad, flops_wgrad, sample_wgrad, sized_by, taps_of
from .geometry import extents, linear


def infer_pool(x, w, b=None, *, stride, padding, dilation, groups, act, pool):
    whole = infer(
        x, w, b, stride=stride, padding=padding, dilation=dilation, groups=groups, act=act
    )["out"]
    n, p, q, k = whole.shape
    if pool[0] * pool[1] > 256 or p < pool[0] or q < pool[1]:
        raise ValueError(
            f"conv2d_pool: a window of {pool} does not fit {p}×{q}, or has over 256 elements"
        )
    out = x.like(n, p // pool[0], q // pool[1], k)
    return {"out": out, "argmax": out.like(*out.shape, dtype=np.uint8)}


def reference_pool(x, w, b=None, *, act, pool, **geometry):
    """Every activation of the table is non-decreasing, so it may follow the maximum."""
    z = reference(x, w, b, act=None, **geometry)
    n, p, q, k = z.shape
    rows, cols = p // pool[0], q // pool[1]
    windows = z[:, : rows * pool[0], : cols * pool[1]].reshape(n, rows, pool[0], cols, pool[1], k)
    windows = windows.transpose(0, 1, 3, 2, 4, 5).reshape(n, rows, cols, pool[0] * pool[1], k)
    argmax = windows.argmax(3)
    out = np.take_along_axis(windows, argmax[:, :, :, None], 3)[:, :, :, 0]
    return activate(out, act), argmax.astype(np.uint8)


def pooled_grad(call, ins, outs, douts, needed, *, act, pool, **geometry):
    dz = douts.out if act is None else call("act_grad", outs.out, douts.out, act=act)
    grads = {}
    if "w" in needed or "b" in needed:
        bias = ins.b is not None
        found = call(
            "conv2d_pool_wgrad",
            dz,
            outs.argmax,
            ins.x,
            filters=ins.w.shape[1:3],
            bias=bias,
            pool=pool,
            **geometry,
        )
        grads = {"w": found[0], "b": found[1]} if bias else {"w": found}
    if "x" in needed:
        grads["x"] = call(
            "conv2d_pool_dgrad",
            dz,
            outs.argmax,
            ins.w,
            size=ins.x.shape[1:3],
            pool=pool,
            **geometry,
        )
    return grads


def decompose_pool(call, x, w, b=None, *, act, pool, **geometry):
    z = call("conv2d", x, w, b, act=act, **geometry)
    return call("maxpool2d", z, window=pool, stride=pool, padding=((0, 0), (0, 0)))


def unpool(dout, argmax, pool):
    """dz of the pooled part of the map: dout at each window's maximum, zero elsewhere."""
    n, rows, cols, k = dout.shape
    windows = np.zeros((n, rows, cols, pool[0] * pool[1], k), dout.dtype)
    np.put_along_axis(windows, argmax[:, :, :, None].astype(np.int64), dout[:, :, :, None], 3)
    windows = windows.reshape(n, rows, cols, *pool, k).transpose(0, 1, 3, 2, 4, 5)
    return windows.reshape(n, rows * pool[0], cols * pool[1], k)


def whole_map(dout, argmax, pool, size, filters, geometry):
    """dz of the whole map: `unpool`, with zeros in the rows and columns that no window covered."""
    dz = unpool(dout, argmax, pool)
    p, q = extents(size, filters, geometry["stride"], geometry["padding"], geometry["dilation"])
    return np.pad(dz, ((0, 0), (0, p - dz.shape[1]), (0, q - dz.shape[2]), (0, 0)))


def unpooled(name, dout, argmax, size, filters, pool, stride, padding, dilation):
    """The spec of the map of which dout is pooled; ValueError if it and argmax do not fit."""
    p, q = extents(size, filters, stride, padding, dilation)
    n, *_, k = dout.shape
    if dout.shape != (n, p // pool[0], q // pool[1], k) or argmax.shape != dout.shape:
        raise ValueError(
            f"{name}: dout {dout.shape} and argmax {argmax.shape} are not of a map {p}×{q} "
            f"pooled by {pool}"
        )
    return dout.like(n, p, q, k)


def infer_pool_dgrad(dout, argmax, w, *, size, stride, padding, dilation, groups, pool):
    filters = w.shape[1:3]
    dz = unpooled("conv2d_pool_dgrad", dout, argmax, size, filters, pool, stride, padding, dilation)
    return infer_dgrad(dz, w, size=size, **linear(stride, padding, dilation, groups))


def reference_pool_dgrad(dout, argmax, w, *, size, pool, **geometry):
    dz = whole_map(dout, argmax, pool, size, w.shape[1:3], geometry)
    return reference_dgrad(dz, w, size=size, **geometry)


def infer_pool_wgrad(dout, argmax, x, *, filters, bias, stride, padding, dilation, groups, pool):
    size = x.shape[1:3]
    dz = unpooled("conv2d_pool_wgrad", dout, argmax, size, filters, pool, stride, padding, dilation)
    return infer_wgrad(
        dz, x, filters=filters, bias=bias, **linear(stride, padding, dilation, groups)
    )


def reference_pool_wgrad(dout, argmax, x, *, filters, bias, pool, **geometry):
    dz = whole_map(dout, argmax, pool, x.shape[1:3], filters, geometry)
    return reference_wgrad(dz, x, filters=filters, bias=bias, **geometry)


# --- the cases ---

LONG_RUNS = [  # S·C of 24 and more, with padding that the filters do and do not reach
    (3, 9, 8, 13, 11, 3, 2, (1, 1), ((1, 2), (0, 1)), (1, 1), 1),
    (2, 11, 10, 9, 7, 2, 3, (2, 1), ((2, 0), (1, 1)), (2, 1), 1),
    (1, 7, 7, 24, 5, 1, 1, (1, 2), ((0, 0), (0, 0)), (1, 1), 1),
]  # fmt: skip
LONG_SUMS = [  # few outputs of many products each: a sum in several parts, by fours of K or not
    (1, 5, 4, 96, 4, 3, 3, (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    (1, 5, 4, 64, 6, 3, 3, (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
]  # fmt: skip
POOLED = [SHAPES[i] for i in (0, 2, 1, 3, 4, 5, 9, 12, 13, 14, 15)] + LONG_RUNS
FORWARD = {("cpu", p): ("cpu_direct", "cpu_im2col") for p in PRECISIONS}
DGRAD = {("cpu", p): ("cpu_chosen", "cpu_im2col") for p in PRECISIONS}
WGRAD = {("cpu", p): ("cpu_few_taps", "cpu_chosen", "cpu_im2col") for p in PRECISIONS}
FORWARD["cpu", "float32"] = ("cpu_tiled", "cpu_direct", "cpu_im2col")
FORWARD["cuda", "float32"] = ("cuda_raw_direct", "cuda_raw_implicit_gemm")
DGRAD["cuda", "float32"] = ("cuda_raw_implicit_gemm",)
WGRAD["cuda", "float32"] = ("cuda_raw_few_taps", "cuda_raw_implicit_gemm")
for table in (FORWARD, DGRAD, WGRAD):
    table["cuda", "tf32"] = ("cuda_raw_tf32",)


def exact(*shape):
    """Small whole numbers: their sums are exact in float32, so that a maximum has one place, and
    ties are real ties.
    """
    return Arg(shape, "integers", -3, 4)


def pooled_case(base, shape, pool):
    """A dgrad or wgrad case with dout of the pooled map, and an argmax."""
    n, p, q, k = output_of(shape)
    small = (n, p // pool[0], q // pool[1], k)
    more = {
        "dout": normal(*small),
        "argmax": integers(0, pool[0] * pool[1], *small, dtype=np.uint8),
    }
    return case(base.name, **{**base.args, **more}, **base.attrs, pool=pool)


def flops_pool(x, w, b=None, *, pool, **attrs):
    """Those of the elements of the map that a window covers."""
    out = infer_pool(x, w, b, pool=pool, **attrs)["out"]
    return 2 * out.size * pool[0] * pool[1] * taps_of(w)


def flops_pool_dgrad(dout, argmax, w, **attrs):
    """One element of each window has a gradient."""
    return flops_dgrad(dout, w)


def flops_pool_wgrad(dout, argmax, x, **attrs):
    return flops_wgrad(dout, x, **attrs)


def sized_pooled(made):
    """`sized` of a gradient: that of the convolution, its map pooled by 2 × 2."""

    def pooled(shape):
        return pooled_case(made(shape), shape, (2, 2))

    return sized_by(pooled)


CONV2D_POOL = Op(
    "conv2d_pool",
    infer_pool,
    reference_pool,
    pooled_grad,
    decompose_pool,
    optional=("argmax",),
    cut={"x": 0, "out": 0, "argmax": 0},
    tolerance=TOLERANCE,
    cases=[
        forward_case(shape, value=v, act="relu", pool=(2, 2))
        for shape in POOLED
        for v in (exact, normal)
    ]
    + [
        forward_case(SHAPES[i], value=exact, act=a, pool=(3, 2), bias=b)
        for i, a, b in ((0, None, False), (12, "tanh", True))
    ]
    + [forward_case(s, value=exact, act="relu", pool=(3, 2)) for s in LONG_SUMS],
    bench=[forward_case(s, act="relu", pool=(2, 2)) for s in BENCH[:2]],
    flops=flops_pool,
    sized=sized_by(forward_case, act="relu", pool=(2, 2)),
    prefer=FORWARD,
)
CONV2D_POOL_DGRAD = Op(
    "conv2d_pool_dgrad",
    infer_pool_dgrad,
    reference_pool_dgrad,
    cut={"dout": 0, "argmax": 0, "out": 0},
    tolerance=TOLERANCE,
    cases=[pooled_case(dgrad_case(shape), shape, (2, 2)) for shape in POOLED]
    + [pooled_case(dgrad_case(shape), shape, (3, 2)) for shape in (SHAPES[12], LONG_RUNS[0])],
    bench=[pooled_case(dgrad_case(s), s, (2, 2)) for s in BENCH[:2]],
    flops=flops_pool_dgrad,
    sized=sized_pooled(dgrad_case),
    prefer=DGRAD,
)
CONV2D_POOL_WGRAD = Op(
    "conv2d_pool_wgrad",
    infer_pool_wgrad,
    reference_pool_wgrad,
    cut={"dout": 0, "argmax": 0, "x": 0},
    partial=("dw", "db"),
    tolerance=TOLERANCE,
    cases=[pooled_case(wgrad_case(shape, bias=shape[3] != 2), shape, (2, 2)) for shape in POOLED]
    + [pooled_case(wgrad_case(s), s, (3, 2)) for s in (SHAPES[2], SHAPES[12], LONG_RUNS[0])],
    bench=[pooled_case(wgrad_case(s), s, (2, 2)) for s in BENCH[:2]],
    flops=flops_pool_wgrad,
    sample=sample_wgrad,
    sized=sized_pooled(wgrad_case),
    prefer=WGRAD,
)
