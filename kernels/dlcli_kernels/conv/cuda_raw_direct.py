"""Convolution of up to four channels, its bias, activation and max-pooling in one pass: filters in
shared memory, a patch of the map in registers. For the first layer, which is bound by memory.

A layer 1 → 32, 3×3 with pooling by 2 has 288 operations for each pixel of x and writes 10 bytes per
32 of them; an implicit product would pad its 9 terms to 16 and write the map before pooling, five
times as much. Chosen by analysis; not measured.
"""

from ..elementwise.activations import NUMBERS
from ..raw import Source, target
from .raw_geometry import blocks, countable, geometry_of, struct

SOURCE = Source(__name__, "cuda_raw_direct.cu")
THREADS = 256
LANES = 4  # channels per thread
MOST_CHANNELS = 4
SHARED = 48 << 10  # bytes of filters in a block
BLOCKS_AT_ONCE = 8  # per multiprocessor; more would load the filters again


def supports(name, *ins, **attrs):
    g = geometry_of(name, *ins, **attrs)
    few = g.groups == 1 and g.C <= MOST_CHANNELS and 4 * LANES * g.taps <= SHARED
    return few and countable(g, *ins)


def shape(g, patches):
    """(grid, block, bytes of shared memory): x of a block is along channels, y along patches."""
    across = 1
    while across * LANES < g.K and across < 32 and 8 * across * LANES * g.taps <= SHARED:
        across *= 2
    down = THREADS // across
    chunks = blocks(g.K, LANES * across)
    most = blocks(BLOCKS_AT_ONCE * target().multiprocessors, max(chunks, 1))
    grid = min(blocks(patches, down), most), chunks
    return grid, (across, down), 4 * LANES * across * g.taps


def constants(g, patch):
    """The filter's side where the fast path takes it, and the patch of a thread."""
    unit = (g.sh, g.sw, g.dh, g.dw) == (1, 1, 1, 1)
    side = g.R if unit and g.R == g.S and g.R in (3, 5) else 0
    return {"FILTER": side, "PATCH_ROWS": patch[0], "PATCH_COLUMNS": patch[1]}


def conv2d(out, x, w, b, *, act, **attrs):
    g = geometry_of("conv2d", x, w, **attrs)
    g = g._replace(rows=blocks(g.P, 2), columns=blocks(g.Q, 2))
    launch("conv_direct", g, (2, 2), (out,), x, w, b, act)


def conv2d_pool(out, argmax, x, w, b, *, act, **attrs):
    g = geometry_of("conv2d_pool", x, w, **attrs)
    patch = (2, 2) if (g.ph, g.pw) == (2, 2) else (1, 1)
    launch("conv_direct_pool", g, patch, (out, argmax), x, w, b, act)


def launch(kernel, g, patch, outs, x, w, b, act):
    """A thread for each of g.rows × g.columns patches or windows of an image and four channels."""
    count = g.N * g.rows * g.columns
    grid, block, shared = shape(g, count)
    SOURCE.kernel(kernel, **constants(g, patch))(
        grid, block, *outs, x, w, b, struct(g), count, NUMBERS[act], shared=shared,
    )  # fmt: skip
