"""One step of a GRU in one kernel, and its gradient in another: all gates of four neighbouring
units belong to one thread, in 128-bit accesses.

Bound by memory: 12 floats per unit forwards, 13 backwards. Chosen by that count; not measured.
"""

from ..lstm.raw_limits import countable
from ..raw import Source, target

SOURCE = Source(__name__, "cuda_raw_fused.cu")
THREADS = 256
BLOCKS = 8  # to a multiprocessor


def supports(op, *ins, **attrs):
    return countable(*ins)


def _run(kernel, h, *args):
    units = h.shape[1]
    width = 1 if units % 4 else 4
    n = h.size // width
    blocks = min(-(-n // THREADS), BLOCKS * target().multiprocessors)
    SOURCE.kernel(kernel, WIDTH=width)(blocks, THREADS, *args, n, units)


def gru_cell(h_next, gates, zx, zh, h):
    _run("gru_cell", h, h_next, gates, zx, zh, h)


def gru_cell_grad(dzx, dzh, dh, dh_next, gates, h):
    _run("gru_cell_grad", h, dzx, dzh, dh, dh_next, gates, h)
