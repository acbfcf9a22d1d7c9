"""GRU (Cho et al. 2014) in the form that PyTorch and cuDNN compute: `cell.py` has one step,
`sequence.py` all of them in one op, `sequence_grad.py` their gradients.

    r, z = σ(z_r), σ(z_z);   n = tanh(zx_n + r·q),  q = w_n h + b;   h′ = (1 − z)·n + z·h

The gates lie in the order r, z, n along the last axis of zx (…, 3H) and of weights (3H, in). The
reset gate stands before the product q with its own bias, not before h as in the paper: one product
of h for all gates. Sequences are (N, T, features).
"""

from .cell import GRU_CELL, GRU_CELL_GRAD
from .sequence import GRU_SEQUENCE
from .sequence_grad import GRU_SEQUENCE_GRAD, GRU_SEQUENCE_WGRAD

__all__ = [
    "GRU_CELL",
    "GRU_CELL_GRAD",
    "GRU_SEQUENCE",
    "GRU_SEQUENCE_GRAD",
    "GRU_SEQUENCE_WGRAD",
]
