"""Rows of images by the taps of `taps.py`: copied in runs, or blended row by row.

Where one element makes each output, a row is copied in runs of neighbours, and a row like the last
one from there. Where two do, two rows are blended into a scratch row that stays in the cache, then
its pixels; inner loops run over channels. Transposes do the same backwards. Bound by memory.
"""

from functools import lru_cache

import numpy as np

from ..cpu import kernel
from . import taps

U = np.uint64  # with signed indices Numba's test for negative ones costs more than the sums

# --- one element makes each output ----------------------------------------------------------------


@kernel
def copy(out, x):
    for e in range(out.size):
        out[e] = x[e]


@kernel
def add(out, x):
    for e in range(out.size):
        out[e] += x[e]


@kernel
def run_length(index, q):
    """How many outputs from q on are made of neighbours, one after the other."""
    end = q + 1
    while end < index.size and index[end] == index[end - 1] + 1:
        end += 1
    return end - q


@kernel
def pick(out, x, images, size, c, rows, columns):
    """out[n, p, q] = x[n, rows[p], columns[q]]."""
    h, w = size
    wide, line = columns.size * c, w * c
    for i in range(images):
        for p in range(rows.size):
            at = (i * rows.size + p) * wide
            dst = out[at : at + wide]
            if p > 0 and rows[p] == rows[p - 1]:
                copy(dst, out[at - wide : at])
                continue
            first = (i * h + rows[p]) * line
            src, q = x[first : first + line], 0
            while q < columns.size:
                run = run_length(columns, q)
                j = columns[q]
                copy(dst[q * c : (q + run) * c], src[j * c : (j + run) * c])
                q += run


@kernel
def collect(out, dout, images, size, c, rows, columns):
    """The transpose of `pick`: out[n, rows[p], columns[q]] += dout[n, p, q]."""
    h, w = size
    wide, line = columns.size * c, w * c
    out[:] = 0
    for i in range(images):
        for p in range(rows.size):
            at = (i * rows.size + p) * wide
            src, first, q = dout[at : at + wide], (i * h + rows[p]) * line, 0
            dst = out[first : first + line]
            while q < columns.size:
                run = run_length(columns, q)
                j = columns[q]
                add(dst[j * c : (j + run) * c], src[q * c : (q + run) * c])
                q += run


# --- two elements make each output ----------------------------------------------------------------


@kernel
def blend(out, x, y, a, b):
    for e in range(out.size):
        out[e] = a * x[e] + b * y[e]


@kernel
def spread(x, y, dout, a, b):
    """The transpose of `blend`; x and y may be the same."""
    for e in range(dout.size):
        x[e] += a * dout[e]
    for e in range(dout.size):
        y[e] += b * dout[e]


@kernel
def mix(out, x, images, size, c, rows, row_shares, columns, column_shares, line):
    h, w = size
    count, wide, narrow = rows.shape[0], columns.shape[0] * c, w * c
    for i in range(images):
        for p in range(count):
            first, second = (i * h + rows[p, 0]) * narrow, (i * h + rows[p, 1]) * narrow
            a, b = row_shares[p, 0], row_shares[p, 1]
            blend(line, x[first : first + narrow], x[second : second + narrow], a, b)
            at = (i * count + p) * wide
            for q in range(columns.shape[0]):
                o, j, k = U(at + q * c), U(columns[q, 0] * c), U(columns[q, 1] * c)
                a, b = column_shares[q, 0], column_shares[q, 1]
                for e in range(U(c)):
                    out[o + e] = a * line[j + e] + b * line[k + e]


@kernel
def unmix(out, dout, images, size, c, rows, row_shares, columns, column_shares, line):
    """The transpose of `mix`."""
    h, w = size
    count, wide, narrow = rows.shape[0], columns.shape[0] * c, w * c
    out[:] = 0
    for i in range(images):
        for p in range(count):
            at = (i * count + p) * wide
            line[:] = 0
            for q in range(columns.shape[0]):
                o, j, k = U(at + q * c), U(columns[q, 0] * c), U(columns[q, 1] * c)
                a, b = column_shares[q, 0], column_shares[q, 1]
                for e in range(U(c)):
                    line[j + e] += a * dout[o + e]
                for e in range(U(c)):
                    line[k + e] += b * dout[o + e]
            first, second = (i * h + rows[p, 0]) * narrow, (i * h + rows[p, 1]) * narrow
            a, b = row_shares[p, 0], row_shares[p, 1]
            spread(out[first : first + narrow], out[second : second + narrow], line, a, b)


# --- the ops --------------------------------------------------------------------------------------


def workspace(op, x, *, factor=None, **attrs):
    """One row of the small images for the bilinear ops."""
    if not op.startswith("upsample_bilinear"):
        return None
    w = x.shape[2] // factor[1] if op.endswith("_grad") else x.shape[2]
    return x.like(w * x.shape[3])


@lru_cache(maxsize=256)
def single(kind, *geometry):
    """The one index of each output."""
    return np.ascontiguousarray(getattr(taps, kind)(*geometry)[0][:, 0])


@lru_cache(maxsize=256)
def double(extent, factor, dtype):
    """The two indices of each output and their shares."""
    indices, shares = taps.bilinear(extent, factor)
    return indices, shares.astype(dtype)


def by_one(loop, large, small, kind, both):
    """Runs `pick` or `collect` between large and small images, by taps for rows and columns."""
    out, x = (large, small) if loop is pick else (small, large)
    n, h, w, c = small.shape
    rows, columns = single(kind, h, *both[0]), single(kind, w, *both[1])
    loop(out.reshape(-1), x.reshape(-1), n, (h, w), c, rows, columns)


def by_two(loop, large, small, factor, line):
    """Runs `mix` or `unmix`."""
    out, x = (large, small) if loop is mix else (small, large)
    n, h, w, c = small.shape
    tables = double(h, factor[0], x.dtype), double(w, factor[1], x.dtype)
    loop(out.reshape(-1), x.reshape(-1), n, (h, w), c, *tables[0], *tables[1], line)


def upsample_nearest(out, x, *, factor):
    by_one(pick, out, x, "nearest", [(f,) for f in factor])


def upsample_nearest_grad(out, dout, *, factor):
    by_one(collect, dout, out, "nearest", [(f,) for f in factor])


def upsample_bilinear(out, x, *, factor, scratch):
    by_two(mix, out, x, factor, scratch)


def upsample_bilinear_grad(out, dout, *, factor, scratch):
    by_two(unmix, dout, out, factor, scratch)


def pad_reflect(out, x, *, padding):
    by_one(pick, out, x, "reflect", padding)


def pad_reflect_grad(out, dout, *, padding):
    by_one(collect, dout, out, "reflect", padding)
