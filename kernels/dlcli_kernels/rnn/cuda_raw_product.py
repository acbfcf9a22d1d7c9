"""The gradient of the recurrent weights as one tiled product over all steps: the LSTM's kernel.

2 N·T·H² operations. Chosen by analysis, with matmul's table of tiles; not measured.
"""

from ..lstm import raw_product
from ..lstm.raw_limits import countable
from ..lstm.raw_product import SOURCE  # noqa: F401


def supports(op, dz, out, h0, lengths=None, **attrs):
    return countable(dz, dz.like(dz.shape[2], out.shape[2]))


def workspace(op, dz, out, h0, lengths=None, **attrs):
    """The parts of dw."""
    return raw_product.workspace(dz.shape[2], out.shape[2], dz)


def rnn_sequence_wgrad(dw, dz, out, h0, lengths, *, reverse=False, scratch=None):
    shift = 1 if reverse else -1
    raw_product.weights(dw, dz, out, h0, lengths, shift=shift, scratch=scratch)
