"""Any number of units, by tiles of 8 units and 16 sequences (recurrent_tiles.cuh): all steps in one
launch of blocks that run at once, with a barrier of the grid between two, or a launch per step.

One launch where every block of 8 units has a multiprocessor and keeps its weights in shared memory
(128 H bytes): about 1,000 units at most. The matrix is then read from memory once per call and not
once per step; a step costs its product and a barrier, about 1.5 µs. Left-over multiprocessors share
the sequences. With more units the weights come from memory, or the L2 cache, in each step, and a
step costs a launch. Chosen by analysis; not measured.
"""

from ..raw import Source
from . import raw_tiles
from .raw_tiles import Sizes, Tiles

SOURCE = Source(__name__, "cuda_raw_tiles.cu")
KERNELS = Tiles(SOURCE)
GATES = 4


def _sizes(op, *ins):
    n, t, wide = ins[0 if op == "lstm_sequence" else 3].shape
    return Sizes(n, t, wide // GATES, GATES, op != "lstm_sequence")


def supports(op, *ins, **attrs):
    return raw_tiles.supports(_sizes(op, *ins), *ins)


def workspace(op, *ins, **attrs):
    return _sizes(op, *ins).scratch


def lstm_sequence(
    out, h_last, c_last, gates, cells, zx, h0, c0, w, lengths, *, reverse=False, scratch
):
    s, states = _sizes("lstm_sequence", zx), (h_last, c_last)
    operands = (out, *states, gates, cells, zx)
    KERNELS.launch("lstm_steps", s, reverse, operands, w, lengths, states, (h0, c0), scratch)


def lstm_sequence_grad(
    dz, dh0, dc0, dout, dh_last, dc_last, gates, cells, c0, w, lengths, *, reverse=False, scratch
):
    s, states = _sizes("lstm_sequence_grad", dout, dh_last, dc_last, gates), (dh0, dc0)
    operands, first = (dz, *states, dout, gates, cells, c0), (dh_last, dc_last)
    KERNELS.launch("lstm_steps_grad", s, reverse, operands, w, lengths, states, first, scratch)
