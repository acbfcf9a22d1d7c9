"""Images NHWC at other sizes, linear in them: upsampling (`upsample.py`), reflection padding
(`reflect.py`), and the transpose of each, which is its gradient.
"""

from .reflect import PAD_REFLECT, PAD_REFLECT_GRAD
from .upsample import BILINEAR, BILINEAR_GRAD, NEAREST, NEAREST_GRAD

__all__ = [
    "BILINEAR",
    "BILINEAR_GRAD",
    "NEAREST",
    "NEAREST_GRAD",
    "PAD_REFLECT",
    "PAD_REFLECT_GRAD",
]
