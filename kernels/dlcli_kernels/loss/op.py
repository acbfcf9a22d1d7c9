"""Losses, one number per sample or per element: `cross_entropy.py` holds those of classes, fused
with the softmax, `pointwise.py` those of single elements.

The mean or sum over them is another op, so that these can be cut by rows.
"""

from .cross_entropy import (
    CLASS_WEIGHT_OF,
    SOFT_CROSS_ENTROPY,
    SOFT_CROSS_ENTROPY_GRAD,
    SOFTMAX_CROSS_ENTROPY,
    SOFTMAX_CROSS_ENTROPY_GRAD,
)
from .pointwise import (
    ABSOLUTE_ERROR,
    ABSOLUTE_ERROR_GRAD,
    BCE_WITH_LOGITS,
    BCE_WITH_LOGITS_GRAD,
    HUBER,
    HUBER_GRAD,
    SQUARED_ERROR,
    SQUARED_ERROR_GRAD,
)

__all__ = [
    "ABSOLUTE_ERROR",
    "ABSOLUTE_ERROR_GRAD",
    "BCE_WITH_LOGITS",
    "BCE_WITH_LOGITS_GRAD",
    "CLASS_WEIGHT_OF",
    "HUBER",
    "HUBER_GRAD",
    "SOFTMAX_CROSS_ENTROPY",
    "SOFTMAX_CROSS_ENTROPY_GRAD",
    "SOFT_CROSS_ENTROPY",
    "SOFT_CROSS_ENTROPY_GRAD",
    "SQUARED_ERROR",
    "SQUARED_ERROR_GRAD",
]
