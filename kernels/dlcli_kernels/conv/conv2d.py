"""2-D convolution, NHWC × OHWI → NHWC, with bias and activation as epilogue.

    y[n,p,q,k] = act(b[k] + Σ_{r,s,c} x[n, p·sh + r·dh − top, q·sw + s·dw − left, c] · w[k,r,s,c])

x (N, H, W, C), w (K, R, S, C/groups), b (K,). padding ((top, bottom), (left, right)); stride,
dilation (vertical, horizontal). A 1-D convolution is one with H = R = 1. dgrad and wgrad are the
gradients for x and for w, in cuDNN's words; all three are linear in each operand.
"""

import numpy as np

from ..elementwise.activations import EPILOGUES, activate
from ..spec import Op, case, normal
from .cases import (
    BENCH,
    SHAPES,
    TILED,
    TOLERANCE,
    dgrad_case,
    forward_case,
    infinite,
    moderate,
    plain,
    wgrad_case,
)
from .costs import flops_dgrad, flops_wgrad, sample_wgrad, sized_by, taps_of
from .geometry import extents, images_for, linear

PRECISIONS = ("float32", "float64")


def infer(x, w, b=None, *, stride, padding, dilation, groups, act):
    if len(x.shape) != 4 or len(w.shape) != 4:
        raise ValueError(
            f"conv2d: x (N, H, W, C), w (K, R, S, C) are needed, not {x.shape}, {w.shape}"
        )
    (n, h, wd, c), (k, r, s, cg) = x.shape, w.shape
    if groups < 1 or c != cg * groups or k % groups:
        raise ValueError(
            f"conv2d: x {x.shape} and w {w.shape} do not fit together in {groups} groups"
        )
    if b is not None and b.shape != (k,):
        raise ValueError(f"conv2d: the bias has shape {b.shape}, not ({k},)")
    if act is not None and act not in EPILOGUES:
        raise ValueError(
            f"conv2d: {act!r} cannot be an epilogue; there is: {', '.join(sorted(EPILOGUES))}"
        )
    return {"out": x.like(n, *extents((h, wd), (r, s), stride, padding, dilation), k)}


def flops(x, w, b=None, **attrs):
    return 2 * infer(x, w, b, **attrs)["out"].size * taps_of(w)


def grain(x, w, b=None, **attrs):
    n, p, q, _ = infer(x, w, b, **attrs)["out"].shape
    return images_for(w.size // attrs["groups"], p * q, n)


def grain_dgrad(dout, w, *, groups, **attrs):
    n, p, q, _ = dout.shape
    return images_for(w.size // groups, p * q, n)


def grain_wgrad(dout, x, *, filters, groups, **attrs):
    n, p, q, k = dout.shape
    return images_for(k * filters[0] * filters[1] * x.shape[3] // groups**2, p * q, n)


def taps(size, filters, out, stride, padding, dilation):
    """For each filter element (r, s): itself and the slices of the padded input that it meets, one
    element per output.
    """
    for r in range(filters[0]):
        for s in range(filters[1]):
            at = [
                slice(i * d, i * d + st * (o - 1) + 1, st)
                for i, d, st, o in zip((r, s), dilation, stride, out, strict=True)
            ]
            yield r, s, at[0], at[1]


def padded(x, padding):
    """x with zeros around each image."""
    return np.pad(x, ((0, 0), *padding, (0, 0)))


def by_group(a, groups):
    """The last axis split into (groups, channels of a group)."""
    return a.reshape(*a.shape[:-1], groups, a.shape[-1] // groups)


def reference(x, w, b=None, *, stride, padding, dilation, groups, act):
    k, r, s, cg = w.shape
    p, q = extents(x.shape[1:3], (r, s), stride, padding, dilation)
    xp, wg = by_group(padded(x, padding), groups), w.reshape(groups, k // groups, r, s, cg)
    out = np.zeros((x.shape[0], p, q, groups, k // groups), x.dtype)
    for i, j, rows, cols in taps(x.shape[1:3], (r, s), (p, q), stride, padding, dilation):
        out += np.einsum("npqgc,gkc->npqgk", xp[:, rows, cols], wg[:, :, i, j])
    out = out.reshape(x.shape[0], p, q, k)
    return activate(out if b is None else out + b, act)


def weight_grads(call, needed, dz, x, w, b, geometry):
    """dw and db, whichever is needed, by one wgrad."""
    if "w" not in needed and "b" not in needed:
        return {}
    found = call("conv2d_wgrad", dz, x, filters=w.shape[1:3], bias=b is not None, **geometry)
    return {"w": found, "b": None} if b is None else {"w": found[0], "b": found[1]}


def grad(call, ins, outs, douts, needed, *, stride, padding, dilation, groups, act):
    geometry = linear(stride, padding, dilation, groups)
    dz = douts.out if act is None else call("act_grad", outs.out, douts.out, act=act)
    grads = weight_grads(call, needed, dz, ins.x, ins.w, ins.b, geometry)
    if "x" in needed:
        grads["x"] = call("conv2d_dgrad", dz, ins.w, size=ins.x.shape[1:3], **geometry)
    return grads


# --- the gradient for x ---------------------------------------------------------------------------


def infer_dgrad(dout, w, *, size, stride, padding, dilation, groups):
    """ValueError unless dout has the shape that a convolution of such an x has."""
    x = dout.like(dout.shape[0], *size, w.shape[3] * groups)
    geometry = linear(stride, padding, dilation, groups)
    check_map("conv2d_dgrad", dout, infer(x, w, **geometry, act=None)["out"])
    return {"out": x}


def check_map(name, dout, out):
    if dout.shape != out.shape:
        raise ValueError(f"{name}: the convolution gives {out.shape}, but dout is {dout.shape}")


def reference_dgrad(dout, w, *, size, stride, padding, dilation, groups):
    k, r, s, cg = w.shape
    (top, bottom), (left, right) = padding
    dz, wg = by_group(dout, groups), w.reshape(groups, k // groups, r, s, cg)
    dx = np.zeros(
        (dout.shape[0], size[0] + top + bottom, size[1] + left + right, groups, cg), dout.dtype
    )
    for i, j, rows, cols in taps(size, (r, s), dout.shape[1:3], stride, padding, dilation):
        dx[:, rows, cols] += np.einsum("npqgk,gkc->npqgc", dz, wg[:, :, i, j])
    return dx[:, top : top + size[0], left : left + size[1]].reshape(
        dout.shape[0], *size, cg * groups
    )


def grad_dgrad(call, ins, outs, douts, needed, *, size, **geometry):
    grads = {}
    if "dout" in needed:
        grads["dout"] = call("conv2d", douts.out, ins.w, None, act=None, **geometry)
    if "w" in needed:
        grads["w"] = call(
            "conv2d_wgrad", ins.dout, douts.out, filters=ins.w.shape[1:3], bias=False, **geometry
        )
    return grads


# --- the gradient for w and b ---------------------------------------------------------------------


def infer_wgrad(dout, x, *, filters, bias, stride, padding, dilation, groups):
    """ValueError unless dout has the shape that the convolution of x has."""
    k = dout.shape[3]
    dw = x.like(k, *filters, x.shape[3] // max(groups, 1))
    geometry = linear(stride, padding, dilation, groups)
    check_map("conv2d_wgrad", dout, infer(x, dw, **geometry, act=None)["out"])
    return {"dw": dw, "db": x.like(k)} if bias else {"dw": dw}


def reference_wgrad(dout, x, *, filters, bias, stride, padding, dilation, groups):
    k = dout.shape[3]
    dz, xp = by_group(dout, groups), by_group(padded(x, padding), groups)
    dw = np.zeros((groups, k // groups, *filters, x.shape[3] // groups), x.dtype)
    for i, j, rows, cols in taps(x.shape[1:3], filters, dout.shape[1:3], stride, padding, dilation):
        dw[:, :, i, j] = np.einsum("npqgk,npqgc->gkc", dz, xp[:, rows, cols])
    dw = dw.reshape(k, *filters, -1) if dw.size else dw.reshape(k, *filters, x.shape[3] // groups)
    return (dw, dout.sum((0, 1, 2))) if bias else dw


def grad_wgrad(call, ins, outs, douts, needed, *, filters, bias, **geometry):
    grads = {}
    if "dout" in needed:
        parts = []
        if douts.dw is not None:
            parts.append(call("conv2d", ins.x, douts.dw, None, act=None, **geometry))
        if bias and douts.db is not None:
            parts.append(call("broadcast", douts.db, shape=ins.dout.shape, axes=(0, 1, 2)))
        grads["dout"] = parts[0] if len(parts) == 1 else call("add", *parts)
    if "x" in needed and douts.dw is not None:
        grads["x"] = call("conv2d_dgrad", ins.dout, douts.dw, size=ins.x.shape[1:3], **geometry)
    return grads


# --- the ops -------------------------------------------------------------------------------------

FORWARD = {("cpu", "float64"): ("cpu_direct", "cpu_depthwise", "cpu_im2col")}
BACKWARD = {("cpu", "float64"): ("cpu_depthwise", "cpu_im2col")}
WGRAD = dict(BACKWARD)
FORWARD["cpu", "float32"] = ("cpu_winograd", "cpu_tiled", *FORWARD["cpu", "float64"])
BACKWARD["cpu", "float32"] = ("cpu_winograd", "cpu_tiled", *BACKWARD["cpu", "float64"])
WGRAD["cpu", "float32"] = ("cpu_tiled_wgrad", *WGRAD["cpu", "float64"])
CUDA = ("cuda_raw_depthwise", "cuda_raw_implicit_gemm")
FORWARD["cuda", "float32"], BACKWARD["cuda", "float32"] = ("cuda_raw_direct", *CUDA), CUDA
WGRAD["cuda", "float32"] = ("cuda_raw_few_taps", *CUDA)
for table in (FORWARD, BACKWARD, WGRAD):
    table["cuda", "tf32"] = ("cuda_raw_tf32",)

CONV2D = Op(
    "conv2d",
    infer,
    reference,
    grad,
    cut={"x": 0, "out": 0},
    grain=grain,
    tolerance=TOLERANCE,
    cases=[forward_case(s, act=None) for s in SHAPES + TILED]
    + [case("infinite", infinite, smooth=False, w=normal(8, 2, 2, 1), act=None, **plain())]
    + [
        forward_case(SHAPES[i], value=moderate if a == "tanh" else normal, act=a, bias=a != "tanh")
        for i in (0, 1, 5)
        for a in ("relu", "tanh", "leaky_relu")
    ],
    bench=[forward_case(s, act="relu") for s in BENCH],
    flops=flops,
    sized=sized_by(forward_case, act="relu"),
    prefer=FORWARD,
)
CONV2D_DGRAD = Op(
    "conv2d_dgrad",
    infer_dgrad,
    reference_dgrad,
    grad_dgrad,
    cut={"dout": 0, "out": 0},
    grain=grain_dgrad,
    tolerance=TOLERANCE,
    cases=[dgrad_case(s) for s in SHAPES + TILED],
    bench=[dgrad_case(s) for s in BENCH],
    flops=flops_dgrad,
    sized=sized_by(dgrad_case),
    prefer=BACKWARD,
)
CONV2D_WGRAD = Op(
    "conv2d_wgrad",
    infer_wgrad,
    reference_wgrad,
    grad_wgrad,
    cut={"dout": 0, "x": 0},
    partial=("dw", "db"),
    grain=grain_wgrad,
    tolerance=TOLERANCE,
    cases=[wgrad_case(s) for s in SHAPES + TILED] + [wgrad_case(s, bias=False) for s in SHAPES[:5]],
    bench=[wgrad_case(s) for s in BENCH],
    flops=flops_wgrad,
    sample=sample_wgrad,
    sized=sized_by(wgrad_case),
    prefer=WGRAD,
)
