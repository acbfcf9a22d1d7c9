"""The gradient of the recurrent weights as one tiled product over all steps: the LSTM's kernel,
which takes the gradients of r and z from dz and those of q from dq, where they lie.

6 N·T·H² operations. Chosen by analysis, with matmul's table of tiles; not measured.
"""

from ..lstm import raw_product
from ..lstm.raw_limits import countable
from ..lstm.raw_product import SOURCE  # noqa: F401


def supports(op, dz, dq, out, h0, lengths=None, **attrs):
    return countable(dz, dz.like(dz.shape[2], out.shape[2]))


def workspace(op, dz, dq, out, h0, lengths=None, **attrs):
    """The parts of dw."""
    return raw_product.workspace(dz.shape[2], out.shape[2], dz)


def gru_sequence_wgrad(dw, dz, dq, out, h0, lengths, *, reverse=False, scratch=None):
    raw_product.weights(
        dw,
        dz,
        out,
        h0,
        lengths,
        shift=1 if reverse else -1,
        scratch=scratch,
        dq=dq,
        own=2 * out.shape[2],
    )
