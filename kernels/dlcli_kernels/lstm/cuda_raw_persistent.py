"""All steps of at most 128 units in one launch: a block keeps the whole recurrent matrix in its
registers and shared memory and runs a few sequences from their first step to their last
(recurrent_persistent.cuh).

A multiprocessor has 256 KB of registers and 227 KB of shared memory (163 on sm_80), and the matrix
of 128 units takes 256 KB of them; so no step reads it from memory, and none waits for another
block. Chosen by analysis; not measured.
"""

from ..raw import Source
from .raw_persistent import Persistent

SOURCE = Source(__name__, "cuda_raw_persistent.cu")
KERNELS = Persistent(
    SOURCE,
    "lstm_run",
    "lstm_run_grad",
    gates=4,
    kept={1: 12, 2: 11, 4: 10},
    at_once={32: 8, 64: 2, 128: 1},
)


def supports(op, *ins, **attrs):
    if op == "lstm_sequence":
        kernel, z = KERNELS.run, ins[0]
    else:
        kernel, z = KERNELS.grad, ins[3]
    return KERNELS.supports(kernel, z.shape[0], z.shape[2] // 4, z)


def lstm_sequence(out, h_last, c_last, gates, cells, zx, h0, c0, w, lengths, *, reverse=False):
    operands = (out, h_last, c_last, gates, cells, zx, h0, c0, w, lengths)
    KERNELS.launch(KERNELS.run, out.shape, reverse, *operands)


def lstm_sequence_grad(
    dz, dh0, dc0, dout, dh_last, dc_last, gates, cells, c0, w, lengths, *, reverse=False
):
    operands = (dz, dh0, dc0, dout, dh_last, dc_last, gates, cells, c0, w, lengths)
    KERNELS.launch(KERNELS.grad, cells.shape, reverse, *operands)
