"""shift: pictures moved up, down, left and right; what comes into view is their mirrored edge."""

from __future__ import annotations

import numpy as np

from dlcli.data.augment import Value, mirrored

ABOUT = Value(2, 1, 1000, "pixels at most", whole=True, pixels=True)
DRAWS = 2


def vary(x: np.ndarray, draws: np.ndarray, value: float) -> np.ndarray:
    """(B, H, W, C) uint8, each moved by −value … value whole pixels along both axes.

    With a margin of four pixels, what papers on CIFAR call a random crop with padding.
    """
    most = int(value)
    height, width = x.shape[1:3]
    wide = mirrored(x, most)
    places = (draws * (2 * most + 1)).astype(np.int64).tolist()
    for i, (top, left) in enumerate(places):
        x[i] = wide[i, top : top + height, left : left + width]
    return x
