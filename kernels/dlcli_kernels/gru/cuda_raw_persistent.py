"""All steps of at most 128 units in one launch: a block keeps the whole recurrent matrix in its
registers and runs a few sequences from their first step to their last (recurrent_persistent.cuh).

The matrix of 128 units takes 192 of the 255 registers that each of 256 threads may have: no step
reads it from memory, and none waits for another block. Chosen by analysis; not measured.
"""

from ..lstm.raw_persistent import Persistent
from ..raw import Source

SOURCE = Source(__name__, "cuda_raw_persistent.cu")
KERNELS = Persistent(
    SOURCE,
    "gru_run",
    "gru_run_grad",
    gates=3,
    kept={1: 16, 2: 16, 4: 16},  # all
    at_once={32: 8, 64: 3, 128: 1},
)


def supports(op, *ins, **attrs):
    if op == "gru_sequence":
        n, _, wide = ins[0].shape
        return KERNELS.supports(KERNELS.run, n, wide // 3, *ins)
    if op == "gru_sequence_grad":
        n, _, h = ins[3].shape
        return KERNELS.supports(KERNELS.grad, n, h, *ins)
    return False


def gru_sequence(out, h_last, gates, zx, h0, w, b, lengths, *, reverse=False):
    operands = (out, h_last, gates, zx, h0, b, w, lengths)
    KERNELS.launch(KERNELS.run, out.shape, reverse, *operands)


def gru_sequence_grad(dz, dq, dh0, dout, dh_last, gates, out, h0, w, lengths, *, reverse=False):
    operands = (dz, dq, dh0, dout, dh_last, gates, out, h0, w, lengths)
    KERNELS.launch(KERNELS.grad, out.shape, reverse, *operands)
