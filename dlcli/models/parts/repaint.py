"""What models that repaint pictures measure."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dlcli.engine.tensor import Tensor

LEVELS = 127.5  # of a pixel, for a distance of 1 of −1 to 1


def distance(x: np.ndarray, y: np.ndarray) -> float:
    """The mean absolute difference of pictures in [−1, 1], in levels of 255."""
    return LEVELS * float(np.abs(x.astype(np.float64) - y).mean())


def first(x: np.ndarray) -> np.ndarray:
    """Of pairs of pictures (N, 2, H, W, C) the first ones."""
    return np.ascontiguousarray(x[:, 0])


def second(x: np.ndarray) -> np.ndarray:
    """The others."""
    return np.ascontiguousarray(x[:, 1])


def answers(outputs: Mapping[str, Tensor], n: int, *, odds: bool) -> dict[str, float]:
    """n times what a discriminator says on average of real and of made pictures: as probabilities
    "d_real" and "d_fake" where its scores are log odds, else "score_real" and "score_fake".
    """
    found = {}
    for name in ("real", "fake"):
        scores = outputs[name].numpy().astype(np.float64)
        said = 0.5 * (1 + np.tanh(0.5 * scores)) if odds else scores
        found[f"{'d' if odds else 'score'}_{name}"] = n * float(said.mean())
    return found
