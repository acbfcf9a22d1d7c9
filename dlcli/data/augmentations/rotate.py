"""rotate: pictures turned by a few degrees; what comes into view is their mirrored edge."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from dlcli.data.augment import Value, drawable, mirrored

ABOUT = Value(10, 0, 180, "degrees at most, either way")
DRAWS = 1


def vary(x: np.ndarray, draws: np.ndarray, value: float) -> np.ndarray:
    """(B, H, W, C) uint8, each turned about its centre by −value … value degrees, resampled
    linearly.
    """
    height, width = x.shape[1:3]
    reach = math.sin(math.radians(min(value, 90))) * max(height, width) / 2
    margin = min(math.ceil(reach) + 1, min(height, width) - 1)
    wide = mirrored(x, margin)
    for i, draw in enumerate(draws[:, 0].tolist()):
        angle = math.radians(value * (2 * draw - 1))
        cos, sin = math.cos(angle), math.sin(angle)
        # from a place of the result to one of the wide picture, both about their centres
        right = (width / 2) * (1 - cos) - sin * height / 2 + margin
        down = (height / 2) * (1 - cos) + sin * width / 2 + margin
        way = (cos, sin, right, -sin, cos, down)
        for plane, whole in zip(drawable(x[i]), drawable(wide[i]), strict=True):
            plane[...] = Image.fromarray(whole).transform(
                (width, height), Image.Transform.AFFINE, way, Image.Resampling.BILINEAR
            )
    return x
