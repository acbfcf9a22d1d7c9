"""The gradient of a convolution for its filters and bias on the register tiles of `cpu_tiled.py`:
sums over pixels whose patches are read where they lie in the image.

A row of a filter reaches S·C numbers that lie side by side. Where they fill whole vectors, four
filters' channels of dout are summed with vectors of the patches, straight into dw. Otherwise four
elements of the patches are summed with vectors of dout's channels, into the transpose of dw.
"""

import numpy as np

from ..cpu import kernel
from ..cpu_tile import VECTORS
from ..cpu_turn import turn
from ..cpu_walk import lanes_of, right_1, right_2, right_3, right_4
from .cpu_blocks import add_rows, flat, floats
from .cpu_im2col import GEOMETRY, NONE, sizes
from .cpu_tiled import LINE, aligned, wide_enough
from .tiled_layout import EACH, FRAME, IMAGE, MANY, VECTOR, forward
from .tiled_products import ROWS_1, ROWS_2, ROWS_3, ROWS_4, frame, tiles

PIXELS = 256  # of a sum before it is added to dw: their patches and channels stay in the cache


def _wide(w, dilation, vector):
    """Whether a filter's row reaches whole vectors of numbers side by side."""
    return dilation[1] == 1 and w[2] * w[3] % vector == 0


def supports(name, *ins, **attrs):
    """One group, and rows of the filters or channels of the result that fill whole vectors."""
    if name != "conv2d_wgrad" or attrs["groups"] != 1:
        return False
    _, c, w = sizes(name, ins, attrs)
    vector = lanes_of(ins[0].dtype.itemsize)
    filled = _wide(w, attrs["dilation"], vector) or w[0] % vector == 0
    return wide_enough(c) and c > 0 and w[0] > 0 and filled


def _layout(name, ins, attrs):
    x_size, c, w = sizes(name, ins, attrs)
    vector = lanes_of(ins[0].dtype.itemsize)
    geometry = (attrs[k] for k in GEOMETRY[:3])
    return forward(tuple(x_size), c, w, None, vector, *geometry, framed=True), w


def workspace(name, *ins, **attrs):
    """The framed images of a block and the transpose of dw."""
    p, _ = _layout(name, ins, attrs)
    return floats(ins[0], p.frame + p.panels + LINE)


@kernel
def right_tiles(v, c, to, of, rows, at_c, a, b, at_b, walk, step, first, end):
    """`rows` rows of c, v vectors wide, += columns of a · walked rows first … end of b."""
    last = rows - 1
    if v == 4:
        for i in range(0, rows, ROWS_4):
            right_4(c, to, of, i, last, at_c, c, False, False, a, b, at_b, walk, step, first, end)
    elif v == 3:
        for i in range(0, rows, ROWS_3):
            right_3(c, to, of, i, last, at_c, c, False, False, a, b, at_b, walk, step, first, end)
    elif v == 2:
        for i in range(0, rows, ROWS_2):
            right_2(c, to, of, i, last, at_c, c, False, False, a, b, at_b, walk, step, first, end)
    else:
        for i in range(0, rows, ROWS_1):
            right_1(c, to, of, i, last, at_c, c, False, False, a, b, at_b, walk, step, first, end)


@kernel
def add_filters(dw, dz, a, rows, pixels, taps, k, run, vector):
    """dw (K, T) += Σ over pixels of dz (rows, K) and vectors of their patches in a."""
    t = taps.size
    to, of = np.arange(k) * t, np.arange(k)
    for first in range(0, rows, PIXELS):
        end = min(first + PIXELS, rows)
        for row in range(0, t, run):
            for j in range(0, run, VECTORS * vector):
                v = min(VECTORS, (run - j) // vector)
                at_b = taps[row] + j
                right_tiles(v, dw, to, of, k, row + j, dz, a, at_b, pixels, k, first, end)


@kernel
def add_turned(dwt, dz, a, rows, pixels, taps, k, vector):
    """dwt (T, K) += Σ over pixels of elements of their patches in a and vectors of dz (rows, K)."""
    t = taps.size
    to = np.arange(t) * k
    for first in range(0, rows, PIXELS):
        end = min(first + PIXELS, rows)
        for j in range(0, k, VECTORS * vector):
            v = min(VECTORS, (k - j) // vector)
            tiles(v, dwt, to, taps, t, j, dwt, False, False, a, dz, j, pixels, k, first, end)


@kernel
def wgrad(dw, db, dout, x, n, area, k, run, g, pixels, taps, scratch):
    """dw and db of n images x, some at a time. area: pixels of a map, of k channels. run: of a
    filter's row, or 0 for the transpose of dw.
    """
    many = max(1, min(g[MANY], n))
    framed, dwt = scratch[: g[FRAME]], scratch[g[FRAME] : g[FRAME] + dw.size]
    dw[:] = 0
    db[:] = 0
    if run == 0:
        dwt[:] = 0
    framed[: min(many * g[EACH], framed.size)] = 0
    for i in range(0, n, many):
        m = min(many, n - i)
        dz, rows = dout[i * area * k :], m * area
        a = frame(x[i * g[IMAGE] :], m, g, framed)
        if run == 0:
            add_turned(dwt, dz, a, rows, pixels, taps, k, g[VECTOR])
        else:
            add_filters(dw, dz, a, rows, pixels, taps, k, run, g[VECTOR])
        if db.size:
            add_rows(dz, rows, k, db)
    if run == 0:
        turn(dw, 0, taps.size, dwt, 0, k, taps.size, k)


def conv2d_wgrad(dw, *rest, filters, bias, scratch, **geometry):
    db, dout, x = rest if bias else (NONE[dw.dtype], *rest)
    p, w = _layout("conv2d_wgrad", (dout, x), {"filters": filters, **geometry})
    run = w[2] * w[3] if _wide(w, geometry["dilation"], p.g[VECTOR]) else 0
    images = (flat(dout), flat(x), x.shape[0], dout.shape[1] * dout.shape[2])
    wgrad(flat(dw), db, *images, w[0], run, p.g, p.of, p.walk, aligned(scratch))
