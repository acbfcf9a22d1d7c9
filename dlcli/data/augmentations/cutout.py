"""cutout: a square of each picture covered by its mean colour (DeVries & Taylor 2017)."""

from __future__ import annotations

import numpy as np

from dlcli.data.augment import Value

ABOUT = Value(8, 1, 1000, "pixels of a side", whole=True, pixels=True)
DRAWS = 2


def vary(x: np.ndarray, draws: np.ndarray, value: float) -> np.ndarray:
    """(B, H, W, C) uint8, each with a square about any of its pixels covered: at the edge, a part
    of one. The mean colour of the picture itself is what tells least.
    """
    side, size = int(value), np.array(x.shape[1:3])
    starts = (draws * size).astype(np.int64) - side // 2
    first, last = np.maximum(starts, 0).tolist(), (starts + side).tolist()
    height, width, channels = x.shape[1:]
    for picture, (top, left), (bottom, right) in zip(x, first, last, strict=True):
        lines = picture.reshape(height, width * channels).sum(axis=0, dtype=np.int64)  # contiguous
        mean = lines.reshape(width, channels).sum(axis=0) / (height * width)
        picture[top:bottom, left:right] = np.rint(mean).astype(np.uint8)
    return x
