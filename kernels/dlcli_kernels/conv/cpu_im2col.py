"""Convolution as products of a few images at a time: their patches are copied into a column buffer
that stays in the L2 cache, then SGEMM.

One image of 13×13×32 under 3×3 filters is a product of 121 × 288 by 288 × 64; small maps share one
product. The whole batch is never unfolded. Takes every geometry; groups are products one after the
other. With pooling, the map lives in scratch and only its maxima leave it.
"""

import numpy as np

from ..cpu import kernel
from ..cpu_gemm import gemm
from ..elementwise.cpu_numpy import epilogue
from .cpu_blocks import (
    C,
    G,
    H,
    K,
    P,
    Q,
    R,
    S,
    W,
    add_rows,
    bias_relu,
    col2im,
    flat,
    floats,
    geometry,
    im2col,
    images_per_block,
    max_pool,
    unpool,
)  # fmt: skip
from .geometry import extents

NONE = {np.dtype(t): np.empty(0, t) for t in ("float32", "float64")}
NO_ARGMAX = np.empty(0, np.uint8)


@kernel
def block_forward(x, n, w, g, col, z):
    """z (n, P, Q, K) of n images x: one product per group."""
    size, rows, k = g[H] * g[W] * g[C], g[P] * g[Q], g[K]
    kg, t = k // g[G], g[R] * g[S] * g[C] // g[G]
    for group in range(g[G]):
        for i in range(n):
            im2col(x[i * size : (i + 1) * size], g, group, col[i * rows * t : (i + 1) * rows * t])
        gemm(
            False, True, n * rows, kg, t, col, t, w[group * kg * t :], t, False, z[group * kg :], k
        )


@kernel
def block_dgrad(dz, n, w, g, col, dx):
    """dx (n, H, W, C) of n images dz (n, P, Q, K)."""
    size, rows, k = g[H] * g[W] * g[C], g[P] * g[Q], g[K]
    kg, t = k // g[G], g[R] * g[S] * g[C] // g[G]
    dx[: n * size] = 0
    for group in range(g[G]):
        gemm(
            False,
            False,
            n * rows,
            t,
            kg,
            dz[group * kg :],
            k,
            w[group * kg * t :],
            t,
            False,
            col,
            t,
        )
        for i in range(n):
            col2im(col[i * rows * t : (i + 1) * rows * t], g, group, dx[i * size : (i + 1) * size])


@kernel
def block_wgrad(dz, x, n, g, col, dw):
    """dw (K, R·S·Cg) += of n images."""
    size, rows, k = g[H] * g[W] * g[C], g[P] * g[Q], g[K]
    kg, t = k // g[G], g[R] * g[S] * g[C] // g[G]
    for group in range(g[G]):
        for i in range(n):
            im2col(x[i * size : (i + 1) * size], g, group, col[i * rows * t : (i + 1) * rows * t])
        gemm(
            True, False, kg, t, n * rows, dz[group * kg :], k, col, t, True, dw[group * kg * t :], t
        )


@kernel
def forward(out, x, n, w, b, relu, g, block, col):
    size, rows, k = g[H] * g[W] * g[C], g[P] * g[Q], g[K]
    for i in range(0, n, block):
        m = min(block, n - i)
        z = out[i * rows * k :]
        block_forward(x[i * size :], m, w, g, col, z)
        bias_relu(z, m * rows, k, b, relu)


@kernel
def forward_pool(out, argmax, x, n, w, b, relu, g, ph, pw, block, col, z):
    size, rows, k = g[H] * g[W] * g[C], g[P] * g[Q], g[K]
    po, qo = g[P] // ph, g[Q] // pw
    small = po * qo * k
    for i in range(0, n, block):
        m = min(block, n - i)
        block_forward(x[i * size :], m, w, g, col, z)
        for j in range(m):
            a = argmax[(i + j) * small : (i + j + 1) * small] if argmax.size else argmax
            max_pool(
                z[j * rows * k :],
                po,
                qo,
                k,
                ph,
                pw,
                b,
                relu,
                out[(i + j) * small : (i + j + 1) * small],
                a,
            )


@kernel
def dgrad(dx, dout, n, w, g, block, col):
    size, map_size = g[H] * g[W] * g[C], g[P] * g[Q] * g[K]
    for i in range(0, n, block):
        block_dgrad(dout[i * map_size :], min(block, n - i), w, g, col, dx[i * size :])


@kernel
def dgrad_pool(dx, dout, argmax, n, w, g, ph, pw, block, col, z):
    size, map_size, k = g[H] * g[W] * g[C], g[P] * g[Q] * g[K], g[K]
    po, qo = g[P] // ph, g[Q] // pw
    small = po * qo * k
    for i in range(0, n, block):
        m = min(block, n - i)
        for j in range(m):
            at = (i + j) * small
            unpool(
                dout[at : at + small], argmax[at : at + small], po, qo, k, ph, pw, z[j * map_size :]
            )
        block_dgrad(z, m, w, g, col, dx[i * size :])


@kernel
def wgrad(dw, db, dout, x, n, g, block, col):
    size, rows, k = g[H] * g[W] * g[C], g[P] * g[Q], g[K]
    dw[:] = 0
    db[:] = 0
    for i in range(0, n, block):
        m = min(block, n - i)
        block_wgrad(dout[i * rows * k :], x[i * size :], m, g, col, dw)
        if db.size:
            add_rows(dout[i * rows * k :], m * rows, k, db)


@kernel
def wgrad_pool(dw, db, dout, argmax, x, n, g, ph, pw, block, col, z):
    size, map_size, k = g[H] * g[W] * g[C], g[P] * g[Q] * g[K], g[K]
    po, qo = g[P] // ph, g[Q] // pw
    small = po * qo * k
    dw[:] = 0
    db[:] = 0
    for i in range(0, n, block):
        m = min(block, n - i)
        for j in range(m):
            at = (i + j) * small
            unpool(
                dout[at : at + small], argmax[at : at + small], po, qo, k, ph, pw, z[j * map_size :]
            )
        block_wgrad(z, x[i * size :], m, g, col, dw)
        if db.size:
            add_rows(dout[i * small :], m * po * qo, k, db)


# --- the ops --------------------------------------------------------------------------------------


class Layout:
    """Sizes of one signature: the geometry, the block and where column buffer and map lie in the
    scratch.
    """

    def __init__(self, x_size, c, w_shape, pool, stride, padding, dilation, groups):
        out = extents(x_size, w_shape[1:3], stride, padding, dilation)
        if pool:
            out = (out[0] // pool[0] * pool[0], out[1] // pool[1] * pool[1])
        self.g = geometry(x_size, c, w_shape, out, stride, padding, dilation, groups)
        rows, t = out[0] * out[1], w_shape[1] * w_shape[2] * c // groups
        self.block = images_per_block(rows, t, w_shape[0] * t)
        self.col = self.block * rows * t
        self.z = self.block * rows * w_shape[0] if pool else 0
        self.pool = pool


_layouts = {}


def layout(x_size, c, w_shape, pool=None, *, stride, padding, dilation, groups):
    key = (x_size, c, w_shape, pool, stride, padding, dilation, groups)
    if key not in _layouts:
        _layouts[key] = Layout(*key)
    return _layouts[key]


GEOMETRY = ("stride", "padding", "dilation", "groups")


def supports(name, *ins, **attrs):
    """Everything but no channels, of which BLAS makes no product."""
    _, c, w_shape = sizes(name, ins, attrs)
    return c > 0 and w_shape[0] > 0


def workspace(name, *ins, **attrs):
    """The column buffer of a block and, with pooling, its map."""
    geometry = {key: attrs[key] for key in GEOMETRY}
    x_size, c, w_shape = sizes(name, ins, attrs)
    p = layout(x_size, c, w_shape, attrs.get("pool"), **geometry)
    return floats(ins[0], p.col + p.z)


def sizes(name, ins, attrs):
    """(H, W), C and the shape of w, whichever of them the op is given."""
    if name in ("conv2d", "conv2d_pool"):
        return ins[0].shape[1:3], ins[0].shape[3], ins[1].shape
    if "dgrad" in name:
        w = ins[-1].shape
        return tuple(attrs["size"]), w[3] * attrs["groups"], w
    x = ins[-1].shape
    return x[1:3], x[3], (ins[0].shape[3], *attrs["filters"], x[3] // attrs["groups"])


def bias_or_empty(b, like):
    return NONE[like.dtype] if b is None else b


def conv2d(out, x, w, b, *, act, scratch, **geometry):
    p = layout(x.shape[1:3], x.shape[3], w.shape, **geometry)
    bias, relu = bias_or_empty(b, x), act == "relu"
    forward(flat(out), flat(x), x.shape[0], flat(w), bias, relu, p.g, p.block, scratch)
    if act not in (None, "relu"):
        epilogue(out, None, act)


def conv2d_pool(out, argmax, x, w, b, *, act, pool, scratch, **geometry):
    p = layout(x.shape[1:3], x.shape[3], w.shape, pool, **geometry)
    a = NO_ARGMAX if argmax is None else flat(argmax)
    col, z = scratch[: p.col], scratch[p.col :]
    bias, relu = bias_or_empty(b, x), act == "relu"
    forward_pool(
        flat(out), a, flat(x), x.shape[0], flat(w), bias, relu, p.g, *pool, p.block, col, z
    )
    if act not in (None, "relu"):
        epilogue(out, None, act)


def conv2d_dgrad(out, dout, w, *, size, scratch, **geometry):
    p = layout(tuple(size), out.shape[3], w.shape, **geometry)
    dgrad(flat(out), flat(dout), out.shape[0], flat(w), p.g, p.block, scratch)


def conv2d_pool_dgrad(out, dout, argmax, w, *, size, pool, scratch, **geometry):
    p = layout(tuple(size), out.shape[3], w.shape, pool, **geometry)
    col, z = scratch[: p.col], scratch[p.col :]
    dgrad_pool(
        flat(out), flat(dout), flat(argmax), out.shape[0], flat(w), p.g, *pool, p.block, col, z
    )


def conv2d_wgrad(dw, *rest, filters, bias, scratch, **geometry):
    db, dout, x = rest if bias else (NONE[dw.dtype], *rest)
    p = layout(x.shape[1:3], x.shape[3], dw.shape, **geometry)
    wgrad(flat(dw), db, flat(dout), flat(x), x.shape[0], p.g, p.block, scratch)


def conv2d_pool_wgrad(dw, *rest, filters, bias, pool, scratch, **geometry):
    db, dout, argmax, x = rest if bias else (NONE[dw.dtype], *rest)
    p = layout(x.shape[1:3], x.shape[3], dw.shape, pool, **geometry)
    col, z = scratch[: p.col], scratch[p.col :]
    wgrad_pool(
        flat(dw), db, flat(dout), flat(argmax), flat(x), x.shape[0], p.g, *pool, p.block, col, z
    )
