"""Direct convolution for few input channels: nine input scalars in registers times nine rows of
the filter, over all output channels of a pixel.

A product over R·S·C ≤ 75 terms is too thin for SGEMM, and writing the patches costs as much as the
sum. The inner loop here runs over the output channels, contiguous in NHWC, and LLVM vectorises it.
Filters of over nine elements take several rounds. With pooling, the rows of one row of windows
live in the L1 cache and only their maxima leave it: at 2×2, a quarter of the bytes.
"""

import numpy as np

from ..cpu import kernel
from ..elementwise.cpu_numpy import epilogue
from .cpu_blocks import (
    DH,
    DW,
    LEFT,
    SH,
    SW,
    TOP,
    C,
    H,
    K,
    P,
    Q,
    R,
    S,
    W,
    bias_relu,
    flat,
    floats,
    max_pool,
)
from .cpu_im2col import GEOMETRY, NO_ARGMAX, bias_or_empty, layout

ROUND = 9  # input scalars held in registers


def supports(name, *ins, **attrs):
    """Forward only, one group, 1 to 75 terms per output, and channels that fill a vector.

    Without pooling patches of several rounds are worth copying where there are three channels or
    more: 64 images of 32×32×3 → 64, 4×4 with stride 2, take 1.7 ms by SGEMM on one core, 3.2 here.
    """
    if name not in ("conv2d", "conv2d_pool") or attrs["groups"] != 1:
        return False
    k, r, s, c = ins[1].shape
    thin = name == "conv2d_pool" or c < 3 or r * s * c <= 27
    return 0 < r * s * c <= 75 and k % 8 == 0 and thin


def frame(g):
    """(Hp, Wp): the extent of a padded image that the filters touch, at least the image itself."""
    rows = (g[P] - 1) * g[SH] + (g[R] - 1) * g[DH] + 1
    cols = (g[Q] - 1) * g[SW] + (g[S] - 1) * g[DW] + 1
    return max(rows, g[H] + g[TOP]), max(cols, g[W] + g[LEFT])


def parts(p):
    """Lengths of the pieces of the scratch: the padded image, the filters by term, one pooled
    row's part of the map.
    """
    hp, wp = frame(p.g)
    rounds = -(-int(p.g[R] * p.g[S] * p.g[C]) // ROUND) * ROUND
    return (
        int(hp * wp * p.g[C]),
        int(rounds * p.g[K]),
        int(p.pool[0] * p.g[Q] * p.g[K]) if p.pool else 0,
    )


def workspace(name, x, w, b, **attrs):
    p = layout(
        x.shape[1:3],
        x.shape[3],
        w.shape,
        attrs.get("pool"),
        **{key: attrs[key] for key in GEOMETRY},
    )
    return floats(x, sum(parts(p)))


@kernel
def arrange(w, g, wt):
    """w (K, T) → wt (terms rounded up to a multiple of nine, K).

    The terms that fill the last round repeat the first one and share its weight, halved for each of
    them, which is exact. With weights of zero an infinite input would become a NaN there.
    """
    t, k = g[R] * g[S] * g[C], g[K]
    for i in range(k):
        for j in range(t):
            wt[j * k + i] = w[i * t + j]
        for j in range(t, wt.size // k):
            wt[i] *= wt.dtype.type(0.5)
            wt[j * k + i] = wt[i]


@kernel
def place(x, g, hp, wp, frame):
    """One image into its frame, whose border the caller has zeroed."""
    run = g[W] * g[C]
    for i in range(g[H]):
        at = ((i + g[TOP]) * wp + g[LEFT]) * g[C]
        dst, src = frame[at : at + run], x[i * run : (i + 1) * run]
        for e in range(run):
            dst[e] = src[e]


@kernel
def offsets(g, wp):
    """Where each term of a patch lies from the patch's first element; the terms that fill the last
    round repeat the first one.
    """
    t = g[R] * g[S] * g[C]
    found = np.zeros(-(-t // ROUND) * ROUND, np.int64)
    at = 0
    for r in range(g[R]):
        for s in range(g[S]):
            for c in range(g[C]):
                found[at] = (r * g[DH] * wp + s * g[DW]) * g[C] + c
                at += 1
    return found


@kernel
def convolve(x, g, wp, off, wt, first_row, rows, z):
    """z (rows, Q, K): rows first_row … of the map of one framed image x.

    A round at a time. Indices are unsigned: Numba's test for negative ones would keep LLVM from
    vectorising.
    """
    k, q = np.uint64(g[K]), g[Q]
    for t in range(0, off.size, ROUND):
        f0, f1, f2 = np.uint64(off[t]), np.uint64(off[t + 1]), np.uint64(off[t + 2])
        f3, f4, f5 = np.uint64(off[t + 3]), np.uint64(off[t + 4]), np.uint64(off[t + 5])
        f6, f7, f8 = np.uint64(off[t + 6]), np.uint64(off[t + 7]), np.uint64(off[t + 8])
        w = wt[t * g[K] : (t + ROUND) * g[K]]
        k2, k3 = k + k, k + k + k
        k4, k5, k6, k7, k8 = k2 + k2, k2 + k3, k3 + k3, k3 + k2 + k2, k3 + k3 + k2
        for i in range(rows):
            for j in range(q):
                p = np.uint64(((first_row + i) * g[SH] * wp + j * g[SW]) * g[C])
                o = np.uint64((i * q + j) * g[K])
                x0, x1, x2, x3, x4 = x[p + f0], x[p + f1], x[p + f2], x[p + f3], x[p + f4]
                x5, x6, x7, x8 = x[p + f5], x[p + f6], x[p + f7], x[p + f8]
                if t == 0:
                    for e in range(k):
                        z[o + e] = (
                            x0 * w[e] + x1 * w[k + e] + x2 * w[k2 + e]
                            + x3 * w[k3 + e] + x4 * w[k4 + e] + x5 * w[k5 + e]
                            + x6 * w[k6 + e] + x7 * w[k7 + e] + x8 * w[k8 + e]
                        )  # fmt: skip
                else:
                    for e in range(k):
                        z[o + e] += (
                            x0 * w[e] + x1 * w[k + e] + x2 * w[k2 + e]
                            + x3 * w[k3 + e] + x4 * w[k4 + e] + x5 * w[k5 + e]
                            + x6 * w[k6 + e] + x7 * w[k7 + e] + x8 * w[k8 + e]
                        )  # fmt: skip


@kernel
def forward(out, x, n, w, b, relu, g, hp, wp, framed, wt):
    size, row, k = g[H] * g[W] * g[C], g[Q] * g[K], g[K]
    arrange(w, g, wt)
    off = offsets(g, wp)
    framed[:] = 0
    for i in range(n):
        place(x[i * size : (i + 1) * size], g, hp, wp, framed)
        for r in range(g[P]):
            z = out[(i * g[P] + r) * row : (i * g[P] + r + 1) * row]
            convolve(framed, g, wp, off, wt, r, 1, z)
            bias_relu(z, g[Q], k, b, relu)


@kernel
def forward_pool(out, argmax, x, n, w, b, relu, g, ph, pw, hp, wp, framed, wt, z):
    size, k, rows, cols = g[H] * g[W] * g[C], g[K], g[P] // ph, g[Q] // pw
    row = cols * k
    arrange(w, g, wt)
    off = offsets(g, wp)
    framed[:] = 0
    for i in range(n):
        place(x[i * size : (i + 1) * size], g, hp, wp, framed)
        for r in range(rows):
            at = (i * rows + r) * row
            convolve(framed, g, wp, off, wt, r * ph, ph, z)
            a = argmax[at : at + row] if argmax.size else argmax
            max_pool(z, 1, cols, k, ph, pw, b, relu, out[at : at + row], a)


def conv2d(out, x, w, b, *, act, scratch, **geometry):
    p = layout(x.shape[1:3], x.shape[3], w.shape, **geometry)
    image, filters, _ = parts(p)
    framed, wt = scratch[:image], scratch[image : image + filters]
    forward(
        flat(out),
        flat(x),
        x.shape[0],
        flat(w),
        bias_or_empty(b, x),
        act == "relu",
        p.g,
        *frame(p.g),
        framed,
        wt,
    )
    if act not in (None, "relu"):
        epilogue(out, None, act)


def conv2d_pool(out, argmax, x, w, b, *, act, pool, scratch, **geometry):
    p = layout(x.shape[1:3], x.shape[3], w.shape, pool, **geometry)
    image, filters, _ = parts(p)
    framed, wt, z = scratch[:image], scratch[image : image + filters], scratch[image + filters :]
    a = NO_ARGMAX if argmax is None else flat(argmax)
    bias, relu = bias_or_empty(b, x), act == "relu"
    forward_pool(
        flat(out),
        a,
        flat(x),
        x.shape[0],
        flat(w),
        bias,
        relu,
        p.g,
        *pool,
        *frame(p.g),
        framed,
        wt,
        z,
    )
    if act not in (None, "relu"):
        epilogue(out, None, act)
