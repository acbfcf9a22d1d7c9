"""2-D pooling over NHWC images: `maximum.py` and `average.py` (windows, and the whole image).

Attributes of both: `window` (R, S), `stride` (sh, sw) and `padding` ((top, bottom), (left, right)),
each smaller than the window. The output has (H + top + bottom − R) // sh + 1 rows, and
columns likewise. A gradient takes H, W and C from `x_shape` (N, H, W, C), and N from its operand,
which may be a range of the images.
"""

from .average import AVGPOOL, AVGPOOL_GRAD, GLOBAL_AVGPOOL
from .maximum import GATHER, MAXPOOL, MAXPOOL_GRAD

__all__ = ["AVGPOOL", "AVGPOOL_GRAD", "GATHER", "GLOBAL_AVGPOOL", "MAXPOOL", "MAXPOOL_GRAD"]
