"""Any number of units, by tiles of 8 units and 16 sequences (recurrent_tiles.cuh): all steps in one
launch of blocks that run at once, with a barrier of the grid between two, or a launch per step.

As the LSTM's, with a quarter of its weights. Chosen by analysis; not measured.
"""

from ..elementwise.activations import NUMBERS
from ..lstm import raw_tiles
from ..lstm.raw_tiles import Sizes, Tiles
from ..raw import Source

SOURCE = Source(__name__, "cuda_raw_tiles.cu")
KERNELS = Tiles(SOURCE)


def _sizes(op, *ins):
    return Sizes(*ins[0 if op == "rnn_sequence" else 2].shape, 1, op != "rnn_sequence")


def supports(op, *ins, **attrs):
    return raw_tiles.supports(_sizes(op, *ins), *ins)


def workspace(op, *ins, **attrs):
    return _sizes(op, *ins).scratch


def rnn_sequence(out, h_last, zx, h0, w, lengths, *, act="tanh", reverse=False, scratch):
    s, states = _sizes("rnn_sequence", zx), (h_last,)
    operands = (out, h_last, zx, NUMBERS[act])
    KERNELS.launch("rnn_steps", s, reverse, operands, w, lengths, states, (h0,), scratch)


def rnn_sequence_grad(
    dz, dh0, dout, dh_last, out, w, lengths, *, act="tanh", reverse=False, scratch
):
    s, states = _sizes("rnn_sequence_grad", dout, dh_last, out), (dh0,)
    operands = (dz, dh0, dout, out, NUMBERS[act])
    KERNELS.launch("rnn_steps_grad", s, reverse, operands, w, lengths, states, (dh_last,), scratch)
