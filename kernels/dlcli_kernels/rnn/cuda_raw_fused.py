"""One step of a vanilla recurrent layer in one kernel, and its gradient in another, in 128-bit
accesses.

Bound by memory: 3 floats per unit, either way. Chosen by that count; not measured.
"""

from ..elementwise.activations import NUMBERS
from ..lstm.raw_limits import countable
from ..raw import Source, target

SOURCE = Source(__name__, "cuda_raw_fused.cu")
THREADS = 256
BLOCKS = 8  # to a multiprocessor


def supports(op, *ins, **attrs):
    return countable(*ins)


def _run(kernel, out, *ins, act):
    width = 1 if out.size % 4 else 4
    n = out.size // width
    blocks = min(-(-n // THREADS), BLOCKS * target().multiprocessors)
    SOURCE.kernel(kernel, WIDTH=width)(blocks, THREADS, out, *ins, n, NUMBERS[act])


def rnn_cell(h, zx, zh, *, act="tanh"):
    _run("rnn_cell", h, zx, zh, act=act)


def rnn_cell_grad(dz, dh, h, *, act="tanh"):
    _run("rnn_cell_grad", dz, dh, h, act=act)
