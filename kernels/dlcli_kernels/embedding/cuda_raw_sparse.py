"""The rows that a gradient is of found as bits of the table's rows, then summed by the kernel of
`embedding_grad`, for which the places in the index are the ids; two gradients are merged by looking
each row up in both.

Bound by memory: dout is read and the sums are written once, the ids are read V / 8,192 times from
the L2, and as often as `embedding_grad` reads them. Four launches, three to merge. Chosen by that
count; not measured.
"""

import numpy as np

from ..raw import Source, target
from ..spec import Spec
from . import cuda_raw_rows

SOURCE = Source(__name__, "cuda_raw_sparse.cu")
THREADS = 256
BLOCKS = 8  # to a multiprocessor
CHUNK = 32 * THREADS  # rows of the table to a block
LARGEST = (1 << 31) - 1  # elements, and rows of a table, so that 32 bits count them


def supports(op, first, second, *others, rows, **attrs):
    values = first if op == "embedding_rows_grad" else second
    made = values.size + sum(spec.size for spec in others)
    return values.dtype == "float32" and max(made, rows) <= LARGEST - CHUNK


def _chunks(rows):
    return -(-rows // CHUNK)


def _words(rows):
    """64-bit words for the bits, the rows used before each 32 of them, and the chunks' counts."""
    chunks = _chunks(rows)
    return -(-(2 * chunks * THREADS + chunks) // 2)


def workspace(op, first, second, *others, rows, **attrs):
    """The places of the ids, where they are needed; the bits, and their counts."""
    places = second.size if op == "embedding_rows_grad" else 0
    return Spec((places + _words(rows),), np.dtype(np.int64))


def _blocks(n):
    return min(-(-n // THREADS), BLOCKS * target().multiprocessors)


def _list(index, scratch, ids, more, rows, padding, width):
    """Fills the index; returns the bits and how many rows are used before each word of them."""
    chunks = _chunks(rows)
    words, numbers = chunks * THREADS, scratch.view(np.int32)
    bits, before = numbers[:words].view(np.uint32), numbers[words : 2 * words]
    counts = numbers[2 * words :]
    used, listed = (SOURCE.kernel(name, WIDTH=width) for name in ("used_rows", "list_rows"))
    n_more = 0 if more is None else more.size
    used(chunks, THREADS, bits, counts, ids, ids.size, more, n_more, rows, padding)
    listed(chunks, THREADS, index, before, bits, counts, rows, index.size)
    return bits, before


def embedding_rows_grad(index, values, dout, ids, *, rows, padding=None, scratch):
    places, n, none = scratch[: ids.size], ids.size, -1 if padding is None else padding
    bits, before = _list(index, scratch[n:], ids, None, rows, none, width=1)
    find = SOURCE.kernel("places_of", WIDTH=1)
    find(_blocks(n) if rows else 0, THREADS, places, ids, bits, before, n, rows, none)
    cuda_raw_rows.embedding_grad(values, dout, places, rows=index.size)


def merge_rows(index_out, out, index, values, other_index, other_values, *, rows, scratch):
    columns, most = out.shape[1], index_out.size
    width = 1 if columns % 4 else 4
    _list(index_out, scratch, index, other_index, rows, -1, width)
    add = SOURCE.kernel("add_rows", WIDTH=width)
    add(
        _blocks(out.size // width), THREADS, out, index_out, index, values, index.size,
        other_index, other_values, other_index.size, rows, columns, most,
    )  # fmt: skip
