"""What the CPU convolutions share, one image at a time on flat buffers: columns of patches, their
scatter, pooling and its inverse.

A geometry is an int64 array, so that a kernel has one argument for it: see `geometry`. No op is
implemented here.
"""

from functools import cache

import numpy as np

from ..cpu import kernel
from ..spec import Spec
from .geometry import LARGE_FILTERS, ROWS_FOR_LARGE

H, W, C, K, R, S, P, Q, SH, SW, TOP, LEFT, DH, DW, G = range(15)


@cache
def _numbers(*values):
    """The same array each time: a launch that is given a new one cannot be written down."""
    return np.array(values, np.int64)


def geometry(x_size, c, w_shape, out_size, stride, padding, dilation, groups):
    """The geometry of a convolution whose output map is (P, Q); a smaller map than the
    convolution's leaves its last rows out.
    """
    k, r, s, _ = w_shape
    (top, _), (left, _) = padding
    return _numbers(*x_size, c, k, r, s, *out_size, *stride, top, left, *dilation, groups)


def images_per_block(rows: int, columns: int, filters: int) -> int:
    """How many images share one product: at least 192 rows where the column buffer stays below
    half a megabyte; 512 and four megabytes where the filters, that many floats, are large.
    """
    least, most = (ROWS_FOR_LARGE, 1 << 20) if filters >= LARGE_FILTERS else (192, 1 << 17)
    return int(max(1, min(-(-least // max(rows, 1)), most // max(rows * columns, 1))))


def flat(array):
    """The elements of a contiguous array as one axis; None stays None."""
    return None if array is None else array.reshape(-1)


def floats(like: Spec, n: int) -> Spec:
    """A scratch buffer of n elements."""
    return Spec((max(int(n), 1),), like.dtype)


@kernel
def im2col(x, g, group, col):
    """One image x (H·W·C) → col (P·Q, R·S·Cg): a row per output, runs of S·Cg elements where the
    filter's columns touch.
    """
    h, w, c, r, s, p, q = g[H], g[W], g[C], g[R], g[S], g[P], g[Q]
    cg = c // g[G]
    whole = g[DW] == 1 and g[G] == 1
    run, t = s * cg, r * s * cg
    for i in range(p):
        for fr in range(r):
            row = i * g[SH] + fr * g[DH] - g[TOP]
            for j in range(q):
                at = (i * q + j) * t + fr * run
                first = j * g[SW] - g[LEFT]
                dst = col[at : at + run]
                if row < 0 or row >= h:
                    dst[:] = 0
                elif whole and first >= 0 and first + s <= w:
                    src = x[(row * w + first) * c : (row * w + first) * c + run]
                    for e in range(run):
                        dst[e] = src[e]
                else:
                    for fs in range(s):
                        column = first + fs * g[DW]
                        part = dst[fs * cg : (fs + 1) * cg]
                        if column < 0 or column >= w:
                            part[:] = 0
                        else:
                            at_x = (row * w + column) * c + group * cg
                            src = x[at_x : at_x + cg]
                            for e in range(cg):
                                part[e] = src[e]


@kernel
def col2im(col, g, group, x):
    """The transpose of `im2col`: adds each element of col to the element of x that it came from."""
    h, w, c, r, s, p, q = g[H], g[W], g[C], g[R], g[S], g[P], g[Q]
    cg = c // g[G]
    whole = g[DW] == 1 and g[G] == 1
    run, t = s * cg, r * s * cg
    for i in range(p):
        for fr in range(r):
            row = i * g[SH] + fr * g[DH] - g[TOP]
            if row < 0 or row >= h:
                continue
            for j in range(q):
                at = (i * q + j) * t + fr * run
                first = j * g[SW] - g[LEFT]
                src = col[at : at + run]
                if whole and first >= 0 and first + s <= w:
                    dst = x[(row * w + first) * c : (row * w + first) * c + run]
                    for e in range(run):
                        dst[e] += src[e]
                else:
                    for fs in range(s):
                        column = first + fs * g[DW]
                        if column >= 0 and column < w:
                            at_x = (row * w + column) * c + group * cg
                            dst, part = x[at_x : at_x + cg], src[fs * cg : (fs + 1) * cg]
                            for e in range(cg):
                                dst[e] += part[e]


@kernel
def bias_relu(z, n, k, b, relu):
    """z (n, k) ← relu(z + b) in place; b of no elements: no bias."""
    for i in range(n):
        row = z[i * k : (i + 1) * k]
        if b.size:
            for e in range(k):
                row[e] += b[e]
        if relu:
            for e in range(k):
                row[e] = row[e] if not row[e] <= 0 else row.dtype.type(0)


@kernel
def max_pool(z, rows, cols, k, ph, pw, b, relu, out, argmax):
    """One map z (rows·ph, cols·pw, k) → out (rows, cols, k) and argmax, with bias and relu on the
    maximum. argmax of no elements: not made.
    """
    for i in range(rows):
        for j in range(cols):
            at = (i * cols + j) * k
            o = out[at : at + k]
            width = cols * pw * k
            first = i * ph * width + j * pw * k
            if argmax.size == 0:
                for e in range(k):
                    o[e] = z[first + e]
                for u in range(ph):
                    for v in range(pw):
                        src = z[first + u * width + v * k : first + u * width + v * k + k]
                        for e in range(k):
                            o[e] = src[e] if (src[e] > o[e]) | (src[e] != src[e]) else o[e]
            elif ph == 2 and pw == 2:
                a = argmax[at : at + k]
                z0, z1 = z[first : first + k], z[first + k : first + 2 * k]
                z2, z3 = (
                    z[first + width : first + width + k],
                    z[first + width + k : first + width + 2 * k],
                )
                for e in range(k):  # a NaN compares unequal to itself, and once taken it stays
                    m, w = z0[e], np.uint8(0)
                    m, w = (z1[e], np.uint8(1)) if z1[e] > m or z1[e] != z1[e] else (m, w)
                    m, w = (z2[e], np.uint8(2)) if z2[e] > m or z2[e] != z2[e] else (m, w)
                    m, w = (z3[e], np.uint8(3)) if z3[e] > m or z3[e] != z3[e] else (m, w)
                    o[e], a[e] = m, w
            else:
                a = argmax[at : at + k]
                for e in range(k):
                    o[e], a[e] = z[first + e], np.uint8(0)
                for u in range(ph):
                    for v in range(pw):
                        src = z[first + u * width + v * k : first + u * width + v * k + k]
                        for e in range(k):
                            if src[e] > o[e] or src[e] != src[e]:
                                o[e], a[e] = src[e], np.uint8(u * pw + v)
    bias_relu(out, rows * cols, k, b, relu)


@kernel
def unpool(dout, argmax, rows, cols, k, ph, pw, dz):
    """One map: dz (rows·ph, cols·pw, k) is dout (rows, cols, k) at each window's argmax and zero
    elsewhere.
    """
    width = cols * pw * k
    for i in range(rows):
        for j in range(cols):
            at = (i * cols + j) * k
            d, a = dout[at : at + k], argmax[at : at + k]
            for u in range(ph):
                for v in range(pw):
                    first = (i * ph + u) * width + (j * pw + v) * k
                    dst, here = dz[first : first + k], np.uint8(u * pw + v)
                    for e in range(k):
                        dst[e] = d[e] if a[e] == here else d.dtype.type(0)


@kernel
def add_rows(z, n, k, total):
    """total (k) += Σ rows of z (n, k)."""
    for i in range(n):
        row = z[i * k : (i + 1) * k]
        for e in range(k):
            total[e] += row[e]
