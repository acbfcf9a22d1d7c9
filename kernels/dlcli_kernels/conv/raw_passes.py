"""How Python calls `raw_passes.cu`: sums of parts in order, pooling of a map and its inverse."""

from math import prod

from ..elementwise.activations import NUMBERS
from ..raw import Source, target
from .raw_geometry import blocks

PASSES = Source(__name__, "raw_passes.cu")
THREADS = 256  # of a block
WAVES = 8  # blocks for each multiprocessor, at the most


def wide(*channels):
    """4, where every number of channels allows 128-bit accesses, else 1."""
    return 1 if any(c % 4 for c in channels) else 4


def over(count, width=1):
    """The grid of a pass over `count` elements, `width` of them per thread."""
    return min(blocks(count, THREADS * width), WAVES * target().multiprocessors)


def add_parts(out, parts, bias, columns, count, act=None):
    """out = act(bias + the sum of `count` copies of out in `parts`); rows of `columns`."""
    size = prod(out.shape)
    PASSES.kernel("conv_add_parts", WIDTH=1)(
        over(size, 4), THREADS, out, parts, bias, size, columns, count, NUMBERS[act]
    )


def add_taps(dw, db, sums, taps, k, ranges):
    """dw (K, taps) and db (a list of one, or empty) from sums (ranges, taps + 1, K)."""
    PASSES.kernel("conv_add_taps", WIDTH=1)(
        blocks((taps + 1) * k, THREADS), THREADS, dw, *(db or [None]), sums, taps, k, ranges
    )


def pool_parts(out, argmax, parts, bias, g, value, count, act):
    """The maximum of each window of a map that is the sum of `count` copies. value: g's struct."""
    width, size = wide(g.K), g.N * g.P * g.Q * g.K
    PASSES.kernel("conv_pool_parts", WIDTH=width)(
        over(prod(out.shape), width), THREADS,
        out, argmax, parts, bias, value, count, size, NUMBERS[act],
    )  # fmt: skip


def unpool(dz, dout, argmax, g, value):
    """dz of the whole map of geometry g, from that of the pooled one."""
    width = wide(g.K)
    PASSES.kernel("conv_unpool", WIDTH=width)(
        over(g.N * g.P * g.Q * g.K, width), THREADS, dz, dout, argmax, value
    )


def bias_ranges(g):
    """Ranges of rows of db's sums: enough to fill the device, of 64 rows and more."""
    return max(min(blocks(g.N * g.rows * g.columns, 64), 256), 1)


def bias_grad(db, dout, g, sums):
    """db: the sums of dout's columns, in ranges, then over the ranges."""
    ranges, rows = bias_ranges(g), g.N * g.rows * g.columns
    PASSES.kernel("conv_bias_sums", WIDTH=1)(
        (blocks(g.K, 32), ranges), (32, 8), sums, dout, rows, g.K
    )
    add_parts(db, sums, None, g.K, ranges)
