"""Any number of units, by tiles of 8 units and 16 sequences (recurrent_tiles.cuh): all steps in one
launch of blocks that run at once, with a barrier of the grid between two, or a launch per step.

As the LSTM's; of the four places for gates that a block has, one stays empty. Chosen by analysis;
not measured.
"""

from ..lstm import raw_tiles
from ..lstm.raw_tiles import Sizes, Tiles
from ..raw import Source

SOURCE = Source(__name__, "cuda_raw_tiles.cu")
KERNELS = Tiles(SOURCE)
GATES = 3


def _sizes(op, *ins):
    n, t, _ = ins[0 if op == "gru_sequence" else 2].shape
    return Sizes(n, t, ins[1 if op == "gru_sequence" else 4].shape[1], GATES, op != "gru_sequence")


def supports(op, *ins, **attrs):
    return raw_tiles.supports(_sizes(op, *ins), *ins)


def workspace(op, *ins, **attrs):
    return _sizes(op, *ins).scratch


def gru_sequence(out, h_last, gates, zx, h0, w, b, lengths, *, reverse=False, scratch):
    s, states = _sizes("gru_sequence", zx, h0), (h_last,)
    operands = (out, h_last, gates, zx, b)
    KERNELS.launch("gru_steps", s, reverse, operands, w, lengths, states, (h0,), scratch)


def gru_sequence_grad(
    dz, dq, dh0, dout, dh_last, gates, out, h0, w, lengths, *, reverse=False, scratch
):
    s, states = _sizes("gru_sequence_grad", dout, dh_last, gates, out, h0), (dh0,)
    operands = (dz, dq, dh0, dout, gates, out, h0)
    KERNELS.launch("gru_steps_grad", s, reverse, operands, w, lengths, states, (dh_last,), scratch)
