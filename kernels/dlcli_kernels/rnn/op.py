"""The vanilla recurrent layer (Elman 1990): `cell.py` has one step, `sequence.py` all of them in
one op, each with their gradients.

    h′ = act(zx + h · wᵀ),   act = tanh or relu

zx is the input's product with its bias. Sequences are (N, T, features).
"""

from .cell import RNN_CELL, RNN_CELL_GRAD
from .sequence import RNN_SEQUENCE, RNN_SEQUENCE_GRAD, RNN_SEQUENCE_WGRAD

__all__ = [
    "RNN_CELL",
    "RNN_CELL_GRAD",
    "RNN_SEQUENCE",
    "RNN_SEQUENCE_GRAD",
    "RNN_SEQUENCE_WGRAD",
]
