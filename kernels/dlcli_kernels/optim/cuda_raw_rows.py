"""Steps on the rows that have a gradient, in one launch, in 128-bit accesses.

Bound by memory: 28 bytes per element of those rows with Adam. Chosen by that count; not measured.
Rates and powers are computed in float64 once per block or thread, the elements in float32.
"""

import numpy as np

from ..raw import Source, target

SOURCE = Source(__name__, "cuda_raw_rows.cu")
BLOCK = 256
BLOCKS = 8  # per multiprocessor: 2,048 threads, all that it holds
LARGEST = (1 << 31) - 1  # elements of the gradient, and rows of a table, so that 32 bits count them


def supports(op, p, index, g, *others, **attrs):
    return p.dtype == "float32" and max(g.size, p.shape[0]) <= LARGEST


def _run(kernel, p, index, g, buffers, *settings):
    """buffers: states, and those of one element. settings: real ones are passed as float64."""
    (rows, columns), count = p.shape, index.shape[0]
    width = 1 if columns % 4 else 4
    blocks = min(-(-g.size // (width * BLOCK)), BLOCKS * target().multiprocessors)
    wide = [np.float64(a) if isinstance(a, float) else a for a in settings]
    operands = (p, index, g, *buffers, rows, columns, count, *wide)
    SOURCE.kernel(kernel, WIDTH=width)(blocks, BLOCK, *operands)


def sgd_rows_step(p, index, g, lr, step, halt):
    _run("sgd_rows", p, index, g, (lr, halt))


def momentum_rows_step(p, index, g, m, lr, step, halt, *, momentum, dampening=0.0, nesterov=False):
    settings = (float(momentum), float(dampening), int(nesterov))
    _run("momentum_rows", p, index, g, (m, lr, step, halt), *settings)


def adam_rows_step(p, index, g, m, v, lr, step, halt, *, beta1=0.9, beta2=0.999, eps=1e-8):
    settings = (float(beta1), float(beta2), float(eps))
    _run("adam_rows", p, index, g, (m, v, lr, step, halt), *settings)
