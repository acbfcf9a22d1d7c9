"""Depthwise convolution, one filter per channel, and its gradients: a thread has four channels of a
patch of pixels, its sums in registers. Bound by memory: 3 × 3 has 18 operations for 8 bytes.

At stride 1 dgrad is the forward kernel with the filter reversed. wgrad sums ranges of pixels into
the workspace, tap by tap, which a second kernel adds in order. As products the filters would be
tiles of one column. Chosen by analysis; not measured.
"""

from ..elementwise.activations import NUMBERS
from ..raw import Source, target
from ..spec import Spec
from .raw_geometry import blocks, countable, geometry_of, struct
from .raw_passes import add_taps

SOURCE = Source(__name__, "cuda_raw_depthwise.cu")
THREADS = 256
TAPS = 9  # of a filter that a thread of wgrad sums at once
SHARED = 48 << 10  # bytes of filters in a block
BLOCKS_AT_ONCE = 8  # per multiprocessor
PIXELS = 256  # in a range of wgrad, at the least


def supports(name, *ins, **attrs):
    g = geometry_of(name, *ins, **attrs)
    one_each = g.groups == g.C == g.K and g.groups > 1
    return one_each and 16 * g.R * g.S <= SHARED and countable(g, *ins)


def block_of(g, taps):
    """(channels of a thread, threads along channels, threads along pixels).

    taps: floats of shared memory that each channel of a block needs.
    """
    channels = 4 if g.C % 4 == 0 else 1
    across = 1
    while across * channels < g.C and across < 32 and 8 * across * channels * taps <= SHARED:
        across *= 2
    return channels, across, THREADS // across


def launch(kernel, g, count, filter_side, *arrays):
    """A kernel over `count` pixels or patches, filters in shared memory."""
    channels, across, down = block_of(g, g.R * g.S)
    chunks = blocks(g.C, channels * across)
    most = blocks(BLOCKS_AT_ONCE * target().multiprocessors, chunks)
    SOURCE.kernel(kernel, CHANNELS=channels, FILTER=filter_side, TAPS=TAPS)(
        (min(blocks(count, down), most), chunks), (across, down), *arrays,
        shared=4 * channels * across * g.R * g.S,
    )  # fmt: skip


def convolve(out, x, w, b, g, act, reverse):
    """The convolution of geometry g; reverse: with the taps of w in reverse order."""
    g = g._replace(rows=blocks(g.P, 2), columns=blocks(g.Q, 2))
    unit = (g.sh, g.sw, g.dh, g.dw) == (1, 1, 1, 1)
    side = 3 if unit and g.R == g.S == 3 else 0
    count = g.N * g.rows * g.columns
    launch(
        "depthwise_forward", g, count, side,
        out, x, w, b, struct(g), count, int(reverse), NUMBERS[act],
    )  # fmt: skip


def conv2d(out, x, w, b, *, act, **attrs):
    convolve(out, x, w, b, geometry_of("conv2d", x, w, **attrs), act, False)


def conv2d_dgrad(out, dout, w, **attrs):
    g = geometry_of("conv2d_dgrad", dout, w, **attrs)
    if g.sh == g.sw == 1:
        corner = {"top": (g.R - 1) * g.dh - g.top, "left": (g.S - 1) * g.dw - g.left}
        convolve(out, dout, w, None, g._replace(H=g.P, W=g.Q, P=g.H, Q=g.W, **corner), None, True)
    else:
        pixels = g.N * g.H * g.W
        launch("depthwise_dgrad", g, pixels, 0, out, dout, w, struct(g), pixels)


def ranges_of(g):
    """Ranges of pixels: enough blocks for the device, of PIXELS and more each."""
    channels, across, _ = block_of(g, 1)
    others = blocks(g.C, channels * across) * blocks(g.R * g.S, TAPS)
    enough = blocks(BLOCKS_AT_ONCE * target().multiprocessors, others)
    return max(min(enough, blocks(g.N * g.P * g.Q, PIXELS)), 1)


def workspace(name, *ins, **attrs):
    """wgrad: a sum for each range, tap and channel, and db's."""
    if not name.endswith("wgrad"):
        return None
    g = geometry_of(name, *ins, **attrs)
    return Spec((ranges_of(g), g.R * g.S + 1, g.C), ins[0].dtype)


def conv2d_wgrad(dw, *rest, scratch, bias, **attrs):
    *db, dout, x = rest
    g = geometry_of("conv2d_wgrad", dout, x, **attrs)
    channels, across, down = block_of(g, 1)
    taps, ranges = g.R * g.S, ranges_of(g)
    SOURCE.kernel("depthwise_wgrad", CHANNELS=channels, FILTER=0, TAPS=TAPS)(
        (blocks(g.C, channels * across), ranges, blocks(taps, TAPS)), (across, down),
        scratch, dout, x, struct(g), shared=4 * channels * THREADS,
    )  # fmt: skip
    add_taps(dw, db, scratch, taps, g.C, ranges)
