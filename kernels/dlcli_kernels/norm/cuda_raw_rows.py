"""Layer norm with a warp to a row, or a block where rows are longer than 1,024: sums in float64 by
shuffles, 128-bit accesses.

The gradients of gamma and beta are sums per column, as in `cuda_raw_columns`. Bound by memory: 8
bytes per element forwards, 20 backwards. Chosen by that count; not measured.
"""

from math import prod

import numpy as np

from ..raw import Source, target
from .raw_columns import LARGEST, THREADS, cut, width_of

SOURCE = Source(__name__, "cuda_raw_rows.cu")
LONGEST = 1024  # floats of a row that a warp takes alone
BLOCKS = 8  # to a multiprocessor


def supports(op, x, *others, **attrs):
    return x.dtype == "float32" and x.size <= LARGEST


def workspace(op, x, *others, **attrs):
    return cut(x.shape).sums if op == "layernorm_grad" else None


def _by_row(kernel, shape, operands, *settings):
    """Launches a kernel over all rows of arrays of this shape."""
    rows, columns = prod(shape[:-1]), shape[-1]
    threads = 32 if columns <= LONGEST else THREADS
    blocks = min(-(-rows * threads // THREADS), BLOCKS * target().multiprocessors)
    run = SOURCE.kernel(kernel, WIDTH=width_of(columns), THREADS=threads)
    run(blocks, THREADS, *operands, rows, columns, *settings)


def layernorm(out, mean, rstd, x, gamma, beta, *, eps=1e-5):
    _by_row("layernorm", x.shape, (out, mean, rstd, x, gamma, beta), np.float64(eps))


def layernorm_grad(dx, dgamma, dbeta, x, gamma, mean, rstd, dout, *, scratch):
    _by_row("layernorm_dx", x.shape, (dx, x, gamma, mean, rstd, dout))
    c = cut(x.shape)
    forms = {"WIDTH": c.width, "THREADS": 32}
    SOURCE.kernel("layernorm_sums", **forms)(
        c.grid, THREADS, dgamma, dbeta, scratch, x, dout, mean, rstd, c.rows, c.columns, c.across
    )
    if c.chunks > 1:
        SOURCE.kernel("layernorm_sums_end", **forms)(
            -(-c.columns // 32), THREADS, dgamma, dbeta, scratch, c.chunks, c.columns
        )
