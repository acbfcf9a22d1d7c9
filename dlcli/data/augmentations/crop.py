"""crop: a window a little smaller than the picture, anywhere in it, enlarged to its size."""

from __future__ import annotations

import numpy as np
from PIL import Image

from dlcli.data.augment import Value, drawable

ABOUT = Value(4, 1, 1000, "pixels that are cut away at most", whole=True, pixels=True)
DRAWS = 4


def vary(x: np.ndarray, draws: np.ndarray, value: float) -> np.ndarray:
    """(B, H, W, C) uint8: of each a window 0 … value pixels less high, and by itself less wide,
    resampled linearly: nearer, and stretched a little.
    """
    height, width = x.shape[1:3]
    for i, (high, wide, top, left) in enumerate(draws.tolist()):
        less_high, less_wide = high * value, wide * value
        y, z = top * less_high, left * less_wide
        window = (z, y, z + width - less_wide, y + height - less_high)
        for plane in drawable(x[i]):
            picture = Image.fromarray(plane)
            plane[...] = picture.resize((width, height), Image.Resampling.BILINEAR, window)
    return x
