"""Choosing what comes next from the scores of what may: by chance, of the most probable ones."""

from __future__ import annotations

import numpy as np

from dlcli.errors import NonFiniteError


def shares(
    scores: np.ndarray,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> np.ndarray:
    """Probabilities (V,) float64 of scores (V,), their sum 1.

    temperature: what scores are divided by; towards 0 the best one takes all, at 0 it does. top_k:
    only so many of the best may be chosen. top_p: only the fewest of the best that together have at
    least this probability of what is left (Holtzman et al. 2020). Of equal scores the lower index
    is the better one. A score of −inf is never chosen.

    NonFiniteError: a score is NaN or +inf, or all are −inf.
    """
    z = scores.astype(np.float64)
    best = int(z.argmax())
    if not np.isfinite(z[best]) or np.isnan(z).any():
        raise NonFiniteError("the model's scores are NaN or infinite")
    if temperature == 0:
        found = np.zeros(len(z))
        found[best] = 1.0
        return found
    with np.errstate(over="ignore"):  # at a tiny temperature: e to −inf is 0
        found = np.exp((z - z[best]) / temperature)
    found /= found.sum()
    if top_k is None and top_p is None:
        return found
    order = np.argsort(-z, kind="stable")
    if top_k is not None:
        found[order[top_k:]] = 0.0
        found /= found.sum()
    if top_p is not None:
        enough = int(np.searchsorted(np.cumsum(found[order]), top_p)) + 1
        found[order[enough:]] = 0.0
        found /= found.sum()
    return found


def choose(probabilities: np.ndarray, u: float) -> int:
    """The index on which u in [0, 1) falls, where each takes its share of the interval."""
    ends = np.cumsum(probabilities)
    return int(np.searchsorted(ends, u * ends[-1], side="right"))
