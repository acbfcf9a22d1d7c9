"""A row at a time while it is in the L1 cache, with an exponential that vectorises.

NumPy's is vectorised too, but makes a pass over memory for each step. Sums are in double precision.
"""

import numpy as np

from ..cpu import kernel
from ..cpu_math import exponential


@kernel
def row_max(x, scratch):
    """The largest element of a row of at least one, by halves, which vectorises.

    `scratch` is as long as the row. A NaN may be passed over: whatever is computed from the row is
    NaN all the same.
    """
    half = (x.size + 1) // 2
    for i in range(half):
        scratch[i] = x[i]
    for i in range(x.size - half):
        u, v = x[half + i], scratch[i]
        scratch[i] = u if u > v else v
    while half > 1:
        count = half
        half = (count + 1) // 2
        for i in range(count - half):
            u, v = scratch[half + i], scratch[i]
            scratch[i] = u if u > v else v
    return scratch[0]


@kernel
def sum_of_exponentials(x, largest):
    """Σ exp(x − largest) of a row, in float64."""
    total = 0.0
    for i in range(x.size):
        total += np.float64(exponential(x[i] - largest))
    return total


@kernel
def softmax_rows(out, x):
    for r in range(x.shape[0]):
        o, row = out[r], x[r]
        largest = row_max(row, o)
        total = 0.0
        for i in range(row.size):
            e = exponential(row[i] - largest)
            o[i] = e
            total += np.float64(e)
        share = o.dtype.type(1.0 / total)
        for i in range(row.size):
            o[i] *= share


@kernel
def log_softmax_rows(out, x):
    for r in range(x.shape[0]):
        o, row = out[r], x[r]
        largest = row_max(row, o)
        logarithm = np.log(sum_of_exponentials(row, largest))
        for i in range(row.size):
            o[i] = (row[i] - largest) - logarithm


@kernel
def softmax_grad_rows(out, y, dout):
    for r in range(y.shape[0]):
        o, row, d = out[r], y[r], dout[r]
        dot = 0.0
        for i in range(row.size):
            dot += np.float64(row[i]) * d[i]
        for i in range(row.size):
            o[i] = row[i] * (d[i] - dot)


@kernel
def log_softmax_grad_rows(out, y, dout):
    for r in range(y.shape[0]):
        o, row, d = out[r], y[r], dout[r]
        total = 0.0
        for i in range(row.size):
            total += np.float64(d[i])
        for i in range(row.size):
            o[i] = d[i] - exponential(row[i]) * total


def over_rows(rows, *arrays):
    """Runs a kernel on arrays of any rank as matrices whose rows are their last axis."""
    if arrays[0].size:
        rows(*[a.reshape(-1, a.shape[-1]) for a in arrays])


def softmax(out, x):
    over_rows(softmax_rows, out, x)


def log_softmax(out, x):
    over_rows(log_softmax_rows, out, x)


def softmax_grad(out, y, dout):
    over_rows(softmax_grad_rows, out, y, dout)


def log_softmax_grad(out, y, dout):
    over_rows(log_softmax_grad_rows, out, y, dout)
