"""One kernel for all three: each row of the result is a part of a row of one array, then of
another, then zeros, in 128-bit accesses where every part begins on a boundary of them.

Bound by memory: each element is read and written once. Chosen by that count; not measured.
"""

from ..raw import Source, target

SOURCE = Source(__name__, "cuda_raw_rows.cu")
THREADS = 256
BLOCKS = 8  # to a multiprocessor
LARGEST = (1 << 31) - 1  # elements, so that 32 bits count them


def supports(op, *ins, size=0, **attrs):
    x = ins[0]
    rows = x.size // max(x.shape[-1], 1)
    made = rows * (size or sum(a.shape[-1] for a in ins))
    return all(a.dtype == "float32" for a in ins) and max(made, x.size) <= LARGEST


def _run(out, a, b, *, a_pitch, a_first=0, a_end, b_pitch=0, b_end=0):
    """Columns of out: up to a_end those of a from a_first on, up to b_end those of b."""
    columns = out.shape[-1]
    whole = not any(k % 4 for k in (columns, a_pitch, a_first, a_end, b_pitch, b_end))
    width = 4 if whole else 1
    n = out.size // width
    blocks = min(-(-n // THREADS), BLOCKS * target().multiprocessors)
    SOURCE.kernel("rows_of_two", WIDTH=width)(
        blocks, THREADS, out, a, b, n, columns, a_pitch, a_first, a_end, b_pitch, b_end
    )


def concat(out, x, y):
    first, second = x.shape[-1], y.shape[-1]
    _run(out, x, y, a_pitch=first, a_end=first, b_pitch=second, b_end=first + second)


def columns(out, x, *, start, stop):
    _run(out, x, None, a_pitch=x.shape[-1], a_first=start, a_end=stop - start)


def columns_grad(out, x, *, start, size):
    own = x.shape[-1]
    _run(out, None, x, a_pitch=0, a_end=start, b_pitch=own, b_end=start + own)
