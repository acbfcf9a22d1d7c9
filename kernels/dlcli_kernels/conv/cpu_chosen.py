"""The gradients of convolution + max-pooling from the chosen elements alone.

Max-pooling hands its gradient to one element of each window, so three quarters of dz are zeros at
2×2 (and with relu about half of the rest). Instead of filling them in for a dense product, each
element that is left adds one scaled patch: to dw[k] the patch of x under it, to dx the filter k.
A patch is R runs of S·C floats, contiguous in NHWC, which LLVM vectorises; four patches are added
at a time, so that the sum is loaded and stored once for four. Zeros are skipped: 0 · ∞ is 0 here.
"""

import numpy as np

from ..cpu import kernel
from .cpu_blocks import DH, LEFT, SH, SW, TOP, C, H, K, P, Q, R, S, W, flat, floats
from .cpu_direct import frame, place
from .cpu_im2col import GEOMETRY, NONE, layout, sizes

SHORTEST_RUN = 24  # floats: there dx is level with the dense product, dw 1.3 times faster


def supports(name, *ins, **attrs):
    """The pooled gradients of one group without horizontal dilation, and runs long enough."""
    if name not in ("conv2d_pool_dgrad", "conv2d_pool_wgrad") or attrs["groups"] != 1:
        return False
    _, c, w = sizes(name, ins, attrs)
    return attrs["dilation"][1] == 1 and w[2] * c >= SHORTEST_RUN


def workspace(name, *ins, **attrs):
    """One image in its frame: zeros around it stand for the padding."""
    x_size, c, w = sizes(name, ins, attrs)
    p = layout(x_size, c, w, attrs["pool"], **{key: attrs[key] for key in GEOMETRY})
    hp, wp = frame(p.g)
    return floats(ins[0], hp * wp * c)


@kernel
def origins(g, ph, pw, wp):
    """Where patches begin in a framed image.

    The patch of each window's first element, and of each element relative to that one.
    """
    rows, cols = g[P] // ph, g[Q] // pw
    windows, elements = np.empty(rows * cols, np.uint64), np.empty(ph * pw, np.uint64)
    for i in range(rows):
        for j in range(cols):
            windows[i * cols + j] = (i * ph * g[SH] * wp + j * pw * g[SW]) * g[C]
    for u in range(ph):
        for v in range(pw):
            elements[u * pw + v] = (u * g[SH] * wp + v * g[SW]) * g[C]
    return windows, elements


@kernel
def add_patches(y, first, y_step, x, starts, x_step, factors, m, rows, run):
    """y[first + r·y_step + e] += Σᵢ factors[i] · x[starts[i] + r·x_step + e], i < m, e < run."""
    whole = m - m % 4
    for i in range(0, whole, 4):
        d0, d1, d2, d3 = factors[i], factors[i + 1], factors[i + 2], factors[i + 3]
        s0, s1, s2, s3 = starts[i], starts[i + 1], starts[i + 2], starts[i + 3]
        o = first
        for _ in range(rows):
            for e in range(run):
                y[o + e] += d0 * x[s0 + e] + d1 * x[s1 + e] + d2 * x[s2 + e] + d3 * x[s3 + e]
            o += y_step
            s0 += x_step
            s1 += x_step
            s2 += x_step
            s3 += x_step
    for i in range(whole, m):
        d, s, o = factors[i], starts[i], first
        for _ in range(rows):
            for e in range(run):
                y[o + e] += d * x[s + e]
            o += y_step
            s += x_step


@kernel
def wgrad(dw, db, dout, argmax, x, n, g, ph, pw, hp, wp, framed):
    windows, elements = origins(g, ph, pw, wp)
    size, k, run = g[H] * g[W] * g[C], g[K], np.uint64(g[S] * g[C])
    t, step = g[R] * g[S] * g[C], np.uint64(g[DH] * wp * g[C])
    factors, starts = np.empty(windows.size, dout.dtype), np.empty(windows.size, np.uint64)
    dw[:] = 0
    db[:] = 0
    framed[:] = 0
    for i in range(n):
        place(x[i * size : (i + 1) * size], g, hp, wp, framed)
        for c in range(k):
            m = 0
            total = dw.dtype.type(0)
            for j in range(windows.size):
                at = (i * windows.size + j) * k + c
                if dout[at] != 0:
                    factors[m], starts[m] = dout[at], windows[j] + elements[argmax[at]]
                    total += dout[at]
                    m += 1
            add_patches(dw, np.uint64(c * t), run, framed, starts, step, factors, m, g[R], run)
            if db.size:
                db[c] += total


@kernel
def dgrad(dx, dout, argmax, n, w, g, ph, pw, hp, wp, framed):
    windows, elements = origins(g, ph, pw, wp)
    size, k, run = g[H] * g[W] * g[C], g[K], np.uint64(g[S] * g[C])
    t, step = g[R] * g[S] * g[C], np.uint64(g[DH] * wp * g[C])
    factors = np.empty((elements.size, k), dout.dtype)  # by element of the window
    starts, counts = np.empty((elements.size, k), np.uint64), np.empty(elements.size, np.int64)
    line = g[W] * g[C]
    for i in range(n):
        framed[:] = 0
        for j in range(windows.size):
            counts[:] = 0
            for c in range(k):
                at = (i * windows.size + j) * k + c
                if dout[at] != 0:
                    u = argmax[at]
                    factors[u, counts[u]], starts[u, counts[u]] = dout[at], np.uint64(c * t)
                    counts[u] += 1
            for u in range(elements.size):
                first = windows[j] + elements[u]
                add_patches(
                    framed, first, step, w, starts[u], run, factors[u], counts[u], g[R], run
                )
        for r in range(g[H]):
            first = ((r + g[TOP]) * wp + g[LEFT]) * g[C]
            dst_row = dx[i * size + r * line : i * size + (r + 1) * line]
            src_row = framed[first : first + line]
            for e in range(line):
                dst_row[e] = src_row[e]


def conv2d_pool_wgrad(dw, *rest, filters, bias, pool, scratch, **geometry):
    db, dout, argmax, x = rest if bias else (NONE[dw.dtype], *rest)
    g = layout(x.shape[1:3], x.shape[3], dw.shape, pool, **geometry).g
    wgrad(
        flat(dw), db, flat(dout), flat(argmax), flat(x), x.shape[0], g, *pool, *frame(g), scratch
    )  # fmt: skip


def conv2d_pool_dgrad(out, dout, argmax, w, *, size, pool, scratch, **geometry):
    g = layout(tuple(size), out.shape[3], w.shape, pool, **geometry).g
    n = out.shape[0]
    dgrad(flat(out), flat(dout), flat(argmax), n, flat(w), g, *pool, *frame(g), scratch)
