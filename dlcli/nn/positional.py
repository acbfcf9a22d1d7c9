"""Where in its sequence a step stands, added to its features: (N, T, features) → the same."""

from __future__ import annotations

import numpy as np

from ..engine.tape import apply
from ..engine.tensor import Tensor, on_device
from .embedding import normal
from .module import Module, Parameter

STD = 0.02  # of learned positions at first, as in BERT and GPT-2


def sinusoids(length: int, features: int) -> np.ndarray:
    """(length, features) float64: feature 2i of step t is sin(t / 10000^(2i / features)), feature
    2i + 1 the cosine of the same (Vaswani et al. 2017).
    """
    rate = 10000.0 ** (-2.0 * (np.arange(features) // 2) / max(features, 1))
    angle = np.arange(length)[:, np.newaxis] * rate
    return np.where(np.arange(features) % 2 == 0, np.sin(angle), np.cos(angle))


def spread(rows: Tensor, like: Tensor) -> Tensor:
    """x + rows (T, features) for each of its N sequences."""
    wide: Tensor = apply("broadcast", rows, shape=tuple(like.shape), axes=(0,))
    found: Tensor = apply("add", like, wide)
    return found


class SinusoidalPositions(Module):
    """Adds `sinusoids`: nothing to learn, and any length. Times `scale`, 1 by default."""

    def __init__(self, features: int, *, scale: float = 1.0) -> None:
        self.features, self.scale = features, scale
        self.rows: Tensor | None = None  # made for the longest sequence so far

    def forward(self, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        length = x.shape[1]
        if self.rows is None or self.rows.shape[0] < length or self.rows.dtype != x.dtype:
            values = self.scale * sinusoids(length, self.features)
            self.rows = on_device(values.astype(x.dtype))
        return spread(Tensor(self.rows.data[:length]), x)


class LearnedPositions(Module):
    """Adds a vector of its own for each of `length` positions: weight (length, features), which
    begins as N(0, 0.02²).
    """

    def __init__(self, length: int, features: int) -> None:
        if min(length, features) < 1:
            raise ValueError(
                f"LearnedPositions: {length} positions of {features} features must each be 1 or"
                " more"
            )
        self.weight = Parameter((length, features), normal(STD, None))

    def forward(self, *inputs: Tensor) -> Tensor:
        """ValueError for a sequence longer than there are positions."""
        (x,) = inputs
        length, most = x.shape[1], self.weight.shape[0]
        if length > most:
            raise ValueError(
                f"LearnedPositions: a sequence of {length} steps, but {most} positions"
            )
        ids = on_device(np.arange(length))
        return spread(apply("embedding", self.weight, ids, padding=None), x)
