"""3×3 convolutions with less than half of the products: F(2×2, 3×3) of Winograd (1980), as Lavin &
Gray (2016) use it.

    Y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A

of 4×4 places d of the image makes 2×2 places Y of the map: 16 products for each pair of channels
instead of 36. Summed over the channels they are 16 products of matrices, tiles × channels by
channels × filters, on register tiles. Their operands are sums of four numbers of the image and of
up to nine of a filter, so that errors are some three times those of the direct sum; what is
infinite becomes NaN in the rest of its tile. The gradient for x is the same with the filters
turned round. Maps of odd extent have a tile more, of which the rest is not kept.
"""

from functools import cache

import numpy as np

from ..cpu import kernel
from ..cpu_sandwich import sandwich
from ..cpu_tile import BITS, VECTORS, WIDEST
from ..cpu_turn import turn
from ..cpu_walk import lanes_of
from ..elementwise.cpu_numpy import epilogue
from .cpu_blocks import flat, floats
from .cpu_im2col import sizes
from .cpu_tiled import LINE, aligned
from .geometry import extents, images_for
from .tiled_products import tiles

SIDE, POINTS = 4, 16  # of the places that a tile reads
MANY = 64  # tiles at a time: their operands fit the L2 cache
LEAST_CHANNELS = 48  # of either side, below which the sums around the products cost what they save
LEAST_TILES = 48  # of a range of images, which lays the filters out anew
LEAST_SAVED = 1.6  # products of the direct sum, without those with padding, for each that is made

of_image = sandwich(((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1)))  # Bᵀ
of_filter = sandwich(((1, 0, 0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0, 0, 1)))  # G
of_products = sandwich(((1, 1, 1, 0), (0, 1, -1, -1)))  # Aᵀ

# Words of a geometry.
CHANNELS, FILTERS, ACROSS, TILES, ROW, EACH, TOP, LEFT, HEIGHT, WIDTH, P, Q, TURNED = range(13)


def supports(name, *ins, **attrs):
    """Steps of 1, one group, channels that fill whole vectors; and where it is faster."""
    if name not in ("conv2d", "conv2d_dgrad") or attrs["groups"] != 1 or BITS != WIDEST:
        return False
    size, c, (k, *window, _) = sizes(name, ins, attrs)
    padding, lanes = attrs["padding"], lanes_of(ins[0].dtype.itemsize)
    if [*window, *attrs["stride"], *attrs["dilation"]] != [3, 3, 1, 1, 1, 1]:
        return False
    if max(map(max, padding)) > 2 or c % lanes or k % lanes or min(c, k) < LEAST_CHANNELS:
        return False
    out = extents(size, (3, 3), (1, 1), padding, (1, 1))
    down, across = (-(-side // 2) for side in (size if name == "conv2d_dgrad" else out))
    images = images_for(9 * c * k, out[0] * out[1], ins[0].shape[0]) or ins[0].shape[0]
    direct = np.prod([_met(*axis) for axis in zip(size, out, padding, strict=True)])
    saves = direct >= LEAST_SAVED * POINTS * down * across
    return bool(saves) and images * down * across >= LEAST_TILES


def _met(size, out, padding):
    """How often a filter's row meets one of the image, along one axis."""
    at = np.add.outer(np.arange(out), np.arange(3)) - padding[0]
    return int(((at >= 0) & (at < size)).sum())


@cache
def _geometry(name, size, c, k, padding):
    """The words for an image that is read and a map that is made."""
    p, q = extents(size, (3, 3), (1, 1), padding, (1, 1))
    (top, _), (left, _) = padding
    read, made, first, channels, filters = size, (p, q), (top, left), c, k
    if name == "conv2d_dgrad":
        read, made, first, channels, filters = made, read, (2 - top, 2 - left), k, c
    down, across = -(-made[0] // 2), -(-made[1] // 2)
    row = max(2 * across + 2, first[1] + read[1]) * channels
    each = max(2 * down + 2, first[0] + read[0]) * row
    turned = int(name == "conv2d_dgrad")
    words = channels, filters, across, down * across, row, each, *first, *read, *made, turned
    return np.array(words, np.int64)


def _parts(g):
    """Floats of the frames of some images, of the laid out filters, of one panel of them before,
    of the operands, of the products and of what one tile makes.
    """
    c, k = int(g[CHANNELS]), int(g[FILTERS])
    some = max(1, MANY // int(g[TILES]))
    panel = 0 if g[TURNED] else POINTS * VECTORS * BITS // 32 * c
    return some * int(g[EACH]), POINTS * c * k, panel, POINTS * MANY * c, POINTS * MANY * k, 4 * k


def _words(name, ins, attrs):
    size, c, (k, *_) = sizes(name, ins, attrs)
    return _geometry(name, tuple(size), c, k, tuple(map(tuple, attrs["padding"])))


def workspace(name, *ins, **attrs):
    """All of `_parts`, each from a cache line on."""
    return floats(ins[0], sum(_parts(_words(name, ins, attrs))) + 7 * LINE)


@kernel
def lay_out(u, panel, w, g, wide, lanes):
    """u: for each point and `wide` filters (C, wide) of G g Gᵀ, one after the other."""
    c, k = g[CHANNELS], g[FILTERS]
    for j in range(0, k, wide):
        many = min(wide, k - j)
        if g[TURNED]:  # w (C, 3, 3, K) of what is read and made here: the last place first
            for i in range(c):
                for e in range(0, many, lanes):
                    last = 9 * k * i + 8 * k + j + e
                    of_filter(u, j * c + i * many + e, c * k, w, last, -3 * k, -k)
            continue
        for i in range(many):
            for e in range(0, c, lanes):
                of_filter(panel, i * c + e, many * c, w, 9 * c * (j + i) + e, 3 * c, c)
        for point in range(POINTS):
            turn(u, point * c * k + j * c, many, panel, point * many * c, c, many, c)


@kernel
def frame(x, m, g, framed):
    """m images into their frames, of which all else is zero."""
    run = g[WIDTH] * g[CHANNELS]
    for e in range(m):
        at = e * g[EACH] + g[TOP] * g[ROW] + g[LEFT] * g[CHANNELS]
        for i in range(e * g[HEIGHT], (e + 1) * g[HEIGHT]):
            dst, src = framed[at : at + run], x[i * run : (i + 1) * run]
            for j in range(run):
                dst[j] = src[j]
            at += g[ROW]


@kernel
def read(v, framed, first, count, g, lanes):
    """v (16, count, C): Bᵀ d B of the tiles first … first + count − 1."""
    c, row = g[CHANNELS], g[ROW]
    for t in range(count):
        image, place = divmod(first + t, g[TILES])
        i, j = divmod(place, g[ACROSS])
        at = image * g[EACH] + 2 * i * row + 2 * j * c
        for e in range(0, c, lanes):
            of_image(v, t * c + e, count * c, framed, at + e, row, c)


@kernel
def write(out, m, made, first, count, b, relu, g, lanes):
    """The places of the map that the tiles make: Aᵀ m A, the bias, relu. made (4, K): those of one
    tile.
    """
    k = g[FILTERS]
    for t in range(count):
        image, place = divmod(first + t, g[TILES])
        i, j = divmod(place, g[ACROSS])
        for e in range(0, k, lanes):
            of_products(made, e, k, m, t * k + e, SIDE * count * k, count * k)
        for corner in range(4):
            y, x = 2 * i + corner // 2, 2 * j + corner % 2
            if y < g[P] and x < g[Q]:
                at = ((image * g[P] + y) * g[Q] + x) * k
                dst, src = out[at : at + k], made[corner * k : (corner + 1) * k]
                for e in range(k):
                    value = src[e] + b[e]
                    dst[e] = out.dtype.type(0) if relu and value <= 0 else value  # NaN is not


@kernel
def convolve(out, x, n, w, b, relu, g, wide, lanes, zeros, rows, walk, framed, u, panel, v, m, z):
    """out of n images x, some at a time."""
    c, k, per = g[CHANNELS], g[FILTERS], g[TILES]
    image, made, some = g[HEIGHT] * g[WIDTH] * c, g[P] * g[Q] * k, max(1, MANY // per)
    lay_out(u, panel, w, g, wide, lanes)
    framed[: min(some, n) * g[EACH]] = 0
    for i in range(0, n, some):
        now = min(some, n - i)
        frame(x[i * image :], now, g, framed)
        for first in range(0, now * per, MANY):
            count = min(MANY, now * per - first)
            read(v, framed, first, count, g, lanes)
            of, to = rows[0, :count] * c, rows[0, :count] * k
            for point in range(POINTS):
                left, right = v[point * count * c :], u[point * c * k :]
                target = m[point * count * k :]
                for j in range(0, k, wide):
                    many = min(wide, k - j)
                    tiles(
                        many // lanes, target, to, of, count, j, zeros, True, False, left, right,
                        j * c, walk, many, 0, c,
                    )  # fmt: skip
            write(out[i * made :], m, z, first, count, b, relu, g, lanes)


@cache
def _tables(c, k, dtype):
    rows = np.arange(MANY, dtype=np.int64)[None]
    return np.zeros(k, dtype), rows, np.arange(c, dtype=np.int64)


def _run(out, x, w, b, relu, g, scratch):
    lanes = lanes_of(out.itemsize)
    zeros, rows, walk = _tables(int(g[CHANNELS]), int(g[FILTERS]), out.dtype)
    parts = []
    for size in _parts(g):
        scratch = aligned(scratch)
        parts.append(scratch[:size])
        scratch = scratch[size:]
    bias = zeros if b is None else b
    images = flat(out), flat(x), x.shape[0], flat(w), bias, relu
    convolve(*images, g, VECTORS * lanes, lanes, zeros, rows, walk, *parts)


def conv2d(out, x, w, b, *, act, scratch, **geometry):
    _run(out, x, w, b, act == "relu", _words("conv2d", (x, w), geometry), scratch)
    if act not in (None, "relu"):
        epilogue(out, None, act)


def conv2d_dgrad(out, dout, w, *, size, scratch, **geometry):
    g = _words("conv2d_dgrad", (dout, w), {"size": size, **geometry})
    _run(out, dout, w, None, False, g, scratch)
