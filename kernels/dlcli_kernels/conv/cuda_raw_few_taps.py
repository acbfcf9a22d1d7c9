"""The gradient for few filter elements, behind pooling or not, straight from the image: a thread
sums nine elements of one filter in registers, and reads of each window only what its maximum met.

For the first layer, where a product would use a part of a tile and, behind pooling, multiply zeros
three times in four. It takes two reads from the L1 cache for each multiplication, so that it is for
few elements. Ranges of windows are summed in the workspace and added in order. Chosen by analysis;
not measured.
"""

from ..raw import Source, target
from ..spec import Spec
from .raw_geometry import blocks, countable, geometry_of, struct
from .raw_passes import add_taps

SOURCE = Source(__name__, "cuda_raw_few_taps.cu")
TAPS = 9  # of a filter that a thread sums at once
LANES, ROWS = 32, 8  # filters, and windows at once, of a block
WINDOWS = 64  # in a range, at the least
BLOCKS_AT_ONCE = 6  # per multiprocessor
MOST_TAPS, MOST_TAPS_POOLED = 12, 48


def supports(name, *ins, **attrs):
    g = geometry_of(name, *ins, **attrs)
    most = MOST_TAPS_POOLED if "pool" in name else MOST_TAPS
    return g.groups == 1 and g.taps <= most and countable(g, *ins)


def ranges_of(g):
    """Ranges of windows: enough blocks for the device, of WINDOWS and more each."""
    others = blocks(g.K, LANES) * blocks(g.taps, TAPS)
    enough = blocks(BLOCKS_AT_ONCE * target().multiprocessors, max(others, 1))
    return max(min(enough, blocks(g.N * g.rows * g.columns, WINDOWS)), 1)


def workspace(name, *ins, **attrs):
    """A sum for each range, tap and filter, and db's."""
    g = geometry_of(name, *ins, **attrs)
    return Spec((ranges_of(g), g.taps + 1, g.K), ins[0].dtype)


def wgrad(dw, db, dout, argmax, x, g, scratch):
    ranges = ranges_of(g)
    chunks = max(blocks(g.taps, TAPS), 1)  # db is summed by the first of them
    SOURCE.kernel("conv_few_taps", TAPS=TAPS)(
        (blocks(g.K, LANES), ranges, chunks), (LANES, ROWS), scratch, dout, argmax, x, struct(g)
    )
    add_taps(dw, db, scratch, g.taps, g.K, ranges)


def conv2d_wgrad(dw, *rest, scratch, bias, **attrs):
    *db, dout, x = rest
    g = geometry_of("conv2d_wgrad", dout, x, **attrs)
    wgrad(dw, db, dout, None, x, g, scratch)


def conv2d_pool_wgrad(dw, *rest, scratch, bias, **attrs):
    *db, dout, argmax, x = rest
    g = geometry_of("conv2d_pool_wgrad", dout, argmax, x, **attrs)
    wgrad(dw, db, dout, argmax, x, g, scratch)
