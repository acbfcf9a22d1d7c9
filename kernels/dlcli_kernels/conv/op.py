"""The ops of convolution: `conv2d.py` has the convolution and its two gradients, `pooled.py` the
same with max-pooling in one pass.
"""

from .conv2d import CONV2D, CONV2D_DGRAD, CONV2D_WGRAD
from .pooled import CONV2D_POOL, CONV2D_POOL_DGRAD, CONV2D_POOL_WGRAD

__all__ = [
    "CONV2D",
    "CONV2D_DGRAD",
    "CONV2D_POOL",
    "CONV2D_POOL_DGRAD",
    "CONV2D_POOL_WGRAD",
    "CONV2D_WGRAD",
]
