"""Rows copied, and added one after the other: NumPy's `add.at` looks every element up anew.

6,400 rows of 200 out of 25,000 (float32, one core): the gradient takes 1.2 ms, a part of it to fill
the table with zeros, and 24 by `add.at`. The rows take 0.3 ms, as long as by `take`, which would
have to be told of ids outside the table in a pass of its own.
"""

import numpy as np

from ..cpu import kernel

NO_PADDING = -1  # never an id that has a gradient


@kernel
def copy_rows(out, table, ids):
    for i in range(ids.size):
        to, row = out[i], ids[i]
        if row < 0 or row >= table.shape[0]:
            for k in range(to.size):
                to[k] = np.nan
        else:
            source = table[row]
            for k in range(to.size):
                to[k] = source[k]


@kernel
def add_rows(dtable, dout, ids, padding):
    """Position after position, so that the sum of each row has one order."""
    for row in range(dtable.shape[0]):
        to = dtable[row]
        for k in range(to.size):
            to[k] = 0.0
    for i in range(ids.size):
        row = ids[i]
        if row >= 0 and row < dtable.shape[0] and row != padding:
            to, source = dtable[row], dout[i]
            for k in range(to.size):
                to[k] += source[k]


def embedding(out, table, ids, *, padding=None):
    if out.size:
        copy_rows(out.reshape(-1, table.shape[1]), table, ids.reshape(-1))


def embedding_grad(dtable, dout, ids, *, rows, padding=None):
    if dtable.size:
        padding = NO_PADDING if padding is None else padding
        add_rows(dtable, dout.reshape(-1, dtable.shape[1]), ids.reshape(-1), padding)
