"""One step of an LSTM in one kernel, and its gradient in another: all four gates of four
neighbouring units belong to one thread, in 128-bit accesses.

Bound by memory: 14 floats per unit, either way. Chosen by that count; not measured.
"""

from ..raw import Source, target

SOURCE = Source(__name__, "cuda_raw_fused.cu")
THREADS = 256
BLOCKS = 8  # to a multiprocessor
LARGEST = (1 << 31) - 1  # elements, so that 32 bits count them


def supports(op, *ins, **attrs):
    return all(a is None or (a.dtype == "float32" and a.size <= LARGEST) for a in ins)


def _run(kernel, units, size, *args):
    width = 1 if units % 4 else 4
    n = size // width
    blocks = min(-(-n // THREADS), BLOCKS * target().multiprocessors)
    SOURCE.kernel(kernel, WIDTH=width)(blocks, THREADS, *args, n, units)


def lstm_cell(h, c_next, gates, zx, zh, c):
    _run("lstm_cell", c.shape[1], c.size, h, c_next, gates, zx, zh, c)


def lstm_cell_grad(dz, dc, dh, dc_next, gates, c, c_next):
    _run("lstm_cell_grad", c.shape[1], c.size, dz, dc, dh, dc_next, gates, c, c_next)
