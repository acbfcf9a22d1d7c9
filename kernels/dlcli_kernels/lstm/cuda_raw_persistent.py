"""All steps of at most 128 units in one launch: a block keeps the whole recurrent matrix in its
registers and shared memory and runs a few sequences from their first step to their last.

A multiprocessor has 256 KB of registers and 227 KB of shared memory (163 on sm_80), and the matrix
of 128 units takes 256 KB of them; so no step reads it from memory, and none waits for another
block. Up to as many sequences as blocks run at once each have a block of their own, with more a
block takes two or four. Chosen by analysis; not measured.
"""

from ..raw import Source, target

SOURCE = Source(__name__, "cuda_raw_persistent.cu")
LARGEST = (1 << 31) - 1  # elements, so that 32 bits count them
MOST_UNITS = 128
KEPT_GROUPS = {1: 12, 2: 12, 4: 12}  # of 16 weights in registers, by sequences of a block
AT_ONCE = {32: 8, 64: 2, 128: 1}  # blocks of a multiprocessor, which its registers limit


def supports(op, *ins, **attrs):
    if op == "lstm_sequence":
        z, w = ins[0], ins[3]
    else:
        z, w = ins[3], ins[6]
    return z.dtype == "float32" and w.shape[1] <= MOST_UNITS and z.size <= LARGEST


def _run(kernel, reach, shape, *args):
    """Launches over all sequences. reach: inputs of a product per unit; shape: N, T, H."""
    n, t, h = shape
    units = next(u for u in AT_ONCE if h <= u)
    at_once = AT_ONCE[units] * target().multiprocessors
    rows = 1 if n <= at_once else 2 if n <= 2 * at_once else 4
    kept = KEPT_GROUPS[rows]
    weights = max(units // 8 - kept, 0) * 16 * 2 * units
    run = SOURCE.kernel(kernel, UNITS=units, ROWS=rows, KEPT_GROUPS=kept)
    shared = 4 * (weights + 2 * rows * reach * units)
    run(-(-n // rows) if h else 0, 2 * units, *args[:-1], n, t, h, int(args[-1]), shared=shared)


def lstm_sequence(out, h_last, c_last, gates, cells, zx, h0, c0, w, lengths, *, reverse=False):
    _run(
        "lstm_run", 1, out.shape,
        out, h_last, c_last, gates, cells, zx, h0, c0, w, lengths, reverse,
    )  # fmt: skip


def lstm_sequence_grad(
    dz, dh0, dc0, dout, dh_last, dc_last, gates, cells, c0, w, lengths, *, reverse=False
):
    _run(
        "lstm_run_grad", 4, cells.shape,
        dz, dh0, dc0, dout, dh_last, dc_last, gates, cells, c0, w, lengths, reverse,
    )  # fmt: skip
