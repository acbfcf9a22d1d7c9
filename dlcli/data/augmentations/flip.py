"""flip: pictures turned left to right, one in two; of things that look the same from both sides."""

from __future__ import annotations

import numpy as np

from dlcli.data.augment import Value

ABOUT = Value(0.5, 0, 1, "how often, from 0 to 1")
DRAWS = 1


def vary(x: np.ndarray, draws: np.ndarray, value: float) -> np.ndarray:
    """(B, H, W, C) uint8, some turned."""
    turned = draws[:, 0] < value
    x[turned] = x[turned, :, ::-1]
    return x
