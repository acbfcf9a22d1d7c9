"""From the numbers that models make back to pixels."""

from __future__ import annotations

import numpy as np

HALF = 127.5  # of 255


def to_pixels(x: np.ndarray) -> np.ndarray:
    """From [−1, 1] back to uint8; what lies beyond is cut."""
    found: np.ndarray = np.clip(np.rint((x + 1) * HALF), 0, 255).astype(np.uint8)
    return found
