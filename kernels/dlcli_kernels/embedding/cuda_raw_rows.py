"""Rows copied 128 bits at a time; the gradient by blocks that own rows of the table and look for
their ids among all: without atomics, added in ascending order of position.

Bound by memory, in both directions: the gradient writes the whole table once and reads each row of
dout once, and V / 128 times 8 bytes per id from the L2. Chosen by that count; not measured.
"""

from ..raw import Source, target

SOURCE = Source(__name__, "cuda_raw_rows.cu")
THREADS = 256
BLOCKS = 8  # to a multiprocessor
SHARE = 128  # rows of the table to a block at most
SHARES = 4  # blocks to a multiprocessor below which a block owns fewer
LARGEST = (1 << 31) - 1  # what 32 bits count: rows, and of the gradient elements


def supports(op, first, ids, **attrs):
    if op == "embedding":
        counted = max(*first.shape, ids.size)
    else:
        counted = max(first.size, attrs["rows"] * first.shape[-1])
    return first.dtype == "float32" and counted <= LARGEST


def _width(columns):
    return 1 if columns % 4 else 4


def embedding(out, table, ids, *, padding=None):
    rows, columns = table.shape
    width, across = _width(columns), 1
    while across < THREADS and across * width < columns:
        across *= 2
    n = ids.size if columns else 0
    blocks = min(-(-n * across // THREADS), BLOCKS * target().multiprocessors)
    run = SOURCE.kernel("embedding", WIDTH=width)
    run(blocks, THREADS, out, table, ids, n, rows, columns, across)


def embedding_grad(dtable, dout, ids, *, rows, padding=None):
    columns = dout.shape[-1]
    width = _width(columns)
    tiles = -(-columns // (32 * width))
    share = rows * tiles // (SHARES * target().multiprocessors)
    share = max(1, min(SHARE, share))
    run = SOURCE.kernel("embedding_grad", WIDTH=width)
    run(
        tiles * -(-rows // share), THREADS, dtable, dout, ids, ids.size, rows, columns, share,
        max(tiles, 1), -1 if padding is None else padding,
    )  # fmt: skip
