"""colour: pictures in another light: brighter or darker, with more or less contrast and colour."""

from __future__ import annotations

import numpy as np

from dlcli.data.augment import Value

ABOUT = Value(0.2, 0, 1, "how much, 0.2 is 20 % more or less")
DRAWS = 3
LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # what red, green and blue add to a grey


def vary(x: np.ndarray, draws: np.ndarray, value: float) -> np.ndarray:
    """(B, H, W, C) uint8: of each brightness, contrast (about the mean of its grey) and, where C is
    3, saturation, times 1 − value … 1 + value, each by itself; cut off at black and white.
    """
    gains = (1 + value * (2 * draws - 1)).astype(np.float32).tolist()
    weights = LUMA if x.shape[-1] == 3 else np.full(x.shape[-1], 1 / x.shape[-1], np.float32)
    for picture, (bright, contrast, colourful) in zip(x, gains, strict=True):
        own = picture.astype(np.float32)
        grey = own @ weights
        level = bright * (1 - contrast) * grey.mean()
        gain = bright * contrast
        if x.shape[-1] == 3:
            own *= gain * colourful
            own += (gain * (1 - colourful) * grey + (level + 0.5))[..., None]
        else:
            own *= gain
            own += level + 0.5
        np.clip(own, 0, 255, out=own)
        picture[...] = own  # the half that was added rounds
    return x
