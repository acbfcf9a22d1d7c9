"""Convolution and its gradient for x as products on register tiles that read the image in place: no
patch is ever written down.

For each output pixel a table has the place where its patch begins, another table has the places of
the patch's elements seen from there, and `cpu_walk.py` sums along them; `tiled_layout.py` says what
is done at the edges. The gradient for x is one such convolution of
dout for each place within a stride (four of them at 2 × 2), each with the elements of the filters
that reach it. The filters are laid out in panels in every call. With pooling, the map stays in
scratch and only its maxima leave it.
"""

from functools import cache

import numpy as np

from ..cpu import kernel
from ..cpu_tile import BITS, WIDEST
from ..cpu_walk import lanes_of
from ..elementwise.cpu_numpy import epilogue
from .cpu_blocks import flat, floats, max_pool
from .cpu_im2col import GEOMETRY, NO_ARGMAX, bias_or_empty, sizes
from .tiled_layout import (
    COLUMNS,
    EACH,
    FRAME,
    IMAGE,
    MANY,
    OUT,
    OUT_X,
    OUT_Y,
    PANELS,
    backward,
    forward,
)
from .tiled_products import correlate, frame, pack

FEW_CHANNELS = 16
LINE = 16  # numbers: vectors that lie across two cache lines are read twice


def supports(name, *ins, **attrs):
    """One group; the channels of the result fill whole vectors.

    Not where vectors are narrow and SGEMM is as fast, unless its sums would be short.
    """
    if name not in ("conv2d", "conv2d_dgrad", "conv2d_pool") or attrs["groups"] != 1:
        return False
    _, c, (k, *_) = sizes(name, ins, attrs)
    made, summed = (c, k) if name == "conv2d_dgrad" else (k, c)
    return (
        wide_enough(summed)
        and min(summed, made) > 0
        and made % lanes_of(ins[0].dtype.itemsize) == 0
    )


def wide_enough(channels):
    """Whether tiles are faster than SGEMM here, for sums over so many channels of each pixel."""
    return BITS == WIDEST or channels < FEW_CHANNELS


def _layout(name, ins, attrs):
    made = backward if name == "conv2d_dgrad" else forward
    x_size, c, w = sizes(name, ins, attrs)
    vector = lanes_of(ins[0].dtype.itemsize)
    return made(tuple(x_size), c, w, attrs.get("pool"), vector, *(attrs[k] for k in GEOMETRY[:3]))


def workspace(name, *ins, **attrs):
    """The framed images of a block, the panels and, with pooling, the block's map."""
    p = _layout(name, ins, attrs)
    return floats(ins[0], p.frame + p.panels + p.map + LINE)


def aligned(scratch):
    """The scratch from its first whole cache line on."""
    return scratch[-scratch.ctypes.data // scratch.itemsize % LINE :]


@kernel
def convolve(out, x, n, w, b, relu, g, phases, parts, of, to, walk, source, scratch):
    """out of n images x, some at a time."""
    many = max(1, min(g[MANY], n))
    framed, panels = scratch[: g[FRAME]], scratch[g[FRAME] : g[FRAME] + g[PANELS]]
    pack(panels, w, phases, source, g)
    framed[: min(many * g[EACH], framed.size)] = 0
    for i in range(0, n, many):
        m = min(many, n - i)
        a = frame(x[i * g[IMAGE] :], m, g, framed)
        correlate(out[i * g[OUT] :], a, m, phases, parts, of, to, walk, panels, g, b, relu)


@kernel
def convolve_pool(
    out, argmax, x, n, w, b, relu, ph, pw, zeros, g, phases, parts, of, to, walk, source, scratch
):
    """out and argmax of n images x: the maxima of their maps."""
    many = max(1, min(g[MANY], n))
    framed, panels = scratch[: g[FRAME]], scratch[g[FRAME] : g[FRAME] + g[PANELS]]
    z = scratch[g[FRAME] + g[PANELS] :]
    rows, cols, k = g[OUT_Y] // ph, g[OUT_X] // pw, g[COLUMNS]
    small = rows * cols * k
    pack(panels, w, phases, source, g)
    framed[: min(many * g[EACH], framed.size)] = 0
    for i in range(0, n, many):
        m = min(many, n - i)
        a = frame(x[i * g[IMAGE] :], m, g, framed)
        correlate(z, a, m, phases, parts, of, to, walk, panels, g, zeros, False)
        for j in range(m):
            first = (i + j) * small
            places = argmax[first : first + small] if argmax.size else argmax
            target = out[first : first + small]
            max_pool(z[j * g[OUT] :], rows, cols, k, ph, pw, b, relu, target, places)


@cache
def _zeros(columns, dtype):
    return np.zeros(columns, dtype)


def conv2d(out, x, w, b, *, act, scratch, **geometry):
    p = _layout("conv2d", (x, w), geometry)
    bias = _zeros(w.shape[0], out.dtype) if b is None else b
    images = (flat(out), flat(x), x.shape[0])
    convolve(*images, flat(w), bias, act == "relu", *p.tables, aligned(scratch))
    if act not in (None, "relu"):
        epilogue(out, None, act)


def conv2d_dgrad(out, dout, w, *, size, scratch, **geometry):
    p = _layout("conv2d_dgrad", (dout, w), {"size": size, **geometry})
    bias = _zeros(w.shape[3], out.dtype)
    images = (flat(out), flat(dout), dout.shape[0])
    convolve(*images, flat(w), bias, False, *p.tables, aligned(scratch))


def conv2d_pool(out, argmax, x, w, b, *, act, pool, scratch, **geometry):
    p = _layout("conv2d_pool", (x, w), {"pool": pool, **geometry})
    maxima = (flat(out), NO_ARGMAX if argmax is None else flat(argmax))
    how = (bias_or_empty(b, x), act == "relu", *pool, _zeros(w.shape[0], out.dtype))
    convolve_pool(*maxima, flat(x), x.shape[0], flat(w), *how, *p.tables, aligned(scratch))
    if act not in (None, "relu"):
        epilogue(out, None, act)
