"""All steps of at most 128 units in one launch: a block keeps the whole recurrent matrix in its
registers and runs a few sequences from their first step to their last (recurrent_persistent.cuh).

The matrix of 128 units takes 64 registers of each of 256 threads, so that two blocks fit a
multiprocessor; no step reads it from memory, and none waits for another block. Chosen by analysis;
not measured.
"""

from ..elementwise.activations import NUMBERS
from ..lstm.raw_persistent import Persistent
from ..raw import Source

SOURCE = Source(__name__, "cuda_raw_persistent.cu")
KERNELS = Persistent(
    SOURCE,
    "rnn_run",
    "rnn_run_grad",
    gates=1,
    kept={1: 4, 2: 4, 4: 4},  # all
    at_once={32: 12, 64: 6, 128: 2},
)


def supports(op, *ins, **attrs):
    if op not in ("rnn_sequence", "rnn_sequence_grad"):
        return False
    n, _, h = ins[0 if op == "rnn_sequence" else 2].shape
    return KERNELS.supports(KERNELS.run if op == "rnn_sequence" else KERNELS.grad, n, h, *ins)


def rnn_sequence(out, h_last, zx, h0, w, lengths, *, act="tanh", reverse=False):
    operands = (out, h_last, zx, h0, NUMBERS[act], w, lengths)
    KERNELS.launch(KERNELS.run, out.shape, reverse, *operands)


def rnn_sequence_grad(dz, dh0, dout, dh_last, out, w, lengths, *, act="tanh", reverse=False):
    operands = (dz, dh0, dout, dh_last, out, NUMBERS[act], w, lengths)
    KERNELS.launch(KERNELS.grad, out.shape, reverse, *operands)
