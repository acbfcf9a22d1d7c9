"""LSTM (Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000): `cell.py` has one
step, `sequence.py` all of them in one op, `layer.py` those with their input products, each with
their gradients.

    i, f, o = σ(zᵢ), σ(z_f), σ(zₒ);   g = tanh(z_g);   c′ = f·c + i·g;   h = o·tanh(c′)

The gates lie in the order i, f, g, o along the last axis of z (…, 4H), of weights (4H, in) and of
what is saved for backward. Sequences are (N, T, features).
"""

from .cell import LSTM_CELL, LSTM_CELL_GRAD
from .layer import LSTM_LAYER, LSTM_LAYER_GRAD
from .sequence import LSTM_SEQUENCE
from .sequence_grad import LSTM_SEQUENCE_GRAD, LSTM_SEQUENCE_WGRAD

__all__ = [
    "LSTM_CELL",
    "LSTM_CELL_GRAD",
    "LSTM_LAYER",
    "LSTM_LAYER_GRAD",
    "LSTM_SEQUENCE",
    "LSTM_SEQUENCE_GRAD",
    "LSTM_SEQUENCE_WGRAD",
]
