"""All steps of at most 128 units in one launch: a block keeps the whole recurrent matrix in its
registers and shared memory and runs a few sequences from their first step to their last.

A multiprocessor has 256 KB of registers and 227 KB of shared memory (163 on sm_80), and the matrix
of 128 units takes 256 KB of them; so no step reads it from memory, and none waits for another
block. Up to as many sequences as blocks run at once each have a block of their own, with more a
block takes two or four. Chosen by analysis; not measured.
"""

from typing import NamedTuple

from ..raw import Source, target
from .raw_steps import most_shared

SOURCE = Source(__name__, "cuda_raw_persistent.cu")
LARGEST = (1 << 31) - 1  # elements, so that 32 bits count them
MOST_UNITS = 128
# groups of 16 weights in registers, by sequences of a block: as many as compile without spills
KEPT = {"lstm_run": {1: 12, 2: 11, 4: 11}, "lstm_run_grad": {1: 10, 2: 11, 4: 11}}
AT_ONCE = {32: 8, 64: 2, 128: 1}  # blocks of a multiprocessor, which its registers limit


class Plan(NamedTuple):
    """Units that a block is made for, sequences of it, groups of weights in registers; and the
    bytes of shared memory for the rest and the inputs.
    """

    units: int
    rows: int
    kept: int
    shared: int


def _plan(kernel, n, h):
    units = next(u for u in AT_ONCE if h <= u)
    at_once = AT_ONCE[units] * target().multiprocessors
    rows = 1 if n <= at_once else 2 if n <= 2 * at_once else 4
    kept = KEPT[kernel][rows]
    weights = max(units // 8 - kept, 0) * 16 * 2 * units
    inputs = units if kernel == "lstm_run" else 4 * units
    return Plan(units, rows, kept, 4 * (weights + 2 * rows * inputs))


def supports(op, *ins, **attrs):
    if op == "lstm_sequence":
        kernel, z = "lstm_run", ins[0]
    else:
        kernel, z = "lstm_run_grad", ins[3]
    h = z.shape[2] // 4
    if z.dtype != "float32" or h > MOST_UNITS or z.size > LARGEST:
        return False
    return _plan(kernel, z.shape[0], h).shared <= most_shared()


def _run(kernel, shape, reverse, *args):
    """Launches over all sequences. shape: N, T, H."""
    n, t, h = shape
    plan = _plan(kernel, n, h)
    run = SOURCE.kernel(kernel, UNITS=plan.units, ROWS=plan.rows, KEPT_GROUPS=plan.kept)
    blocks = -(-n // plan.rows) if h else 0
    run(blocks, 2 * plan.units, *args, n, t, h, int(reverse), shared=plan.shared)


def lstm_sequence(out, h_last, c_last, gates, cells, zx, h0, c0, w, lengths, *, reverse=False):
    states, saved = (h_last, c_last), (gates, cells)
    _run("lstm_run", out.shape, reverse, out, *states, *saved, zx, h0, c0, w, lengths)


def lstm_sequence_grad(
    dz, dh0, dc0, dout, dh_last, dc_last, gates, cells, c0, w, lengths, *, reverse=False
):
    above, saved = (dout, dh_last, dc_last), (gates, cells, c0)
    _run("lstm_run_grad", cells.shape, reverse, dz, dh0, dc0, *above, *saved, w, lengths)
