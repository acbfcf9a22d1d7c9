"""mixup: each picture blended with another one, and its label likewise (Zhang et al. 2018)."""

from __future__ import annotations

from functools import cache

import numpy as np

from dlcli.data.augment import Value

ABOUT = Value(0.2, 0, 10, "α of Beta(α, α): the more, the closer to half and half", above=True)
DRAWS = 1
POINTS = 4097  # of the table; its error is below 10⁻⁴


def mix(
    x: np.ndarray, other: np.ndarray, draws: np.ndarray, value: float
) -> tuple[np.ndarray, np.ndarray]:
    """share · x + (1 − share) · other, (B, H, W, C) uint8, and the shares (B,), from ½ to 1: the
    greater one is always a picture's own, since the other one is drawn like it.
    """
    share = 1 - _lesser(draws[:, 0], value)
    own = share.astype(np.float32)[:, None, None, None]
    blend = x.astype(np.float32)
    blend -= other
    blend *= own
    blend += other
    blend += 0.5
    return blend.astype(np.uint8), share


def _lesser(draws: np.ndarray, alpha: float) -> np.ndarray:
    """Of uniform draws (B,), min(λ, 1 − λ) for λ of Beta(α, α), by its inverse distribution.

    With λ = ½ t^(1/β), β = min(α, 1), the density in t is proportional to
    t^(α/β − 1) (1 − λ)^(α − 1), which is finite where that of λ is not.
    """
    t, cumulated = _table(alpha)
    return 0.5 * np.interp(draws, cumulated, t) ** (1 / min(alpha, 1))


@cache
def _table(alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """t, and how likely a smaller one is."""
    beta, t = min(alpha, 1), np.linspace(0, 1, POINTS)
    density = t ** (alpha / beta - 1) * (1 - 0.5 * t ** (1 / beta)) ** (alpha - 1)
    cumulated = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2)])
    return t, cumulated / cumulated[-1]
