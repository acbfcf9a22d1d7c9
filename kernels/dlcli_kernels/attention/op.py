"""Attention: queries look at keys, and get a mean of the keys' values.

`dot.py`: scaled dot products, softmax and the mean in one op that never holds the weights, with its
gradient. `additive.py`: the scores of a small network. `masked.py`: weights from scores, of
sequences of different lengths.
"""

from .additive import ADDITIVE_SCORES, ADDITIVE_SCORES_GRAD
from .dot import ATTENTION, ATTENTION_GRAD
from .masked import MASKED_SOFTMAX

__all__ = [
    "ADDITIVE_SCORES",
    "ADDITIVE_SCORES_GRAD",
    "ATTENTION",
    "ATTENTION_GRAD",
    "MASKED_SOFTMAX",
]
