"""What a recommender must beat: ratings from means alone, and the same list for everybody."""

from __future__ import annotations

import numpy as np

ITEM_DAMPING, USER_DAMPING = 25.0, 10.0  # ratings of nobody's that pull a bias to 0 (Koren 2010)


class Biases:
    """rating = mean + b_item + b_user, each the mean of what those before it leave, damped.

    users, items: ids (n,) int64 of the training part; ratings (n,). shape: (users, items), how many
    ids there are; of id 0, which nobody has, the bias is 0.
    """

    def __init__(
        self, users: np.ndarray, items: np.ndarray, ratings: np.ndarray, shape: tuple[int, ...]
    ) -> None:
        self.mean = float(ratings.mean())
        self.item = _damped(items, ratings - self.mean, shape[1], ITEM_DAMPING)
        rest = ratings - self.mean - self.item[items]
        self.user = _damped(users, rest, shape[0], USER_DAMPING)

    def __call__(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Ratings of pairs (m,)."""
        return self.mean + self.item[items] + self.user[users]


def _damped(ids: np.ndarray, values: np.ndarray, count: int, damping: float) -> np.ndarray:
    sums = np.bincount(ids, weights=values, minlength=count)
    return sums / (np.bincount(ids, minlength=count) + damping)


def ranks(scores: np.ndarray, left_out: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The places, from 0, of the items `wanted` (m,) by `scores` (items,), highest first.

    left_out: items that are not in the list. Of equal scores the lower id comes first. Item 0 is
    none: it has the last place, as one that is left out has.
    """
    listed = np.array(scores, np.float64)
    listed[left_out] = -np.inf
    listed[0] = -np.inf
    order = np.argsort(-listed, kind="stable")
    places = np.empty(len(listed), np.int64)
    places[order] = np.arange(len(listed))
    places[~np.isfinite(listed)] = len(listed)
    return places[wanted]
