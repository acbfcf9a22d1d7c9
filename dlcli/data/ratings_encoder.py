"""Users and items as numbers: the ids of the training part, which travel with a checkpoint.

Id 0 stands for every user or item that the training part has not: of these the biases of the other
side are all that is known.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from dlcli.data.ratings import MOST_LETTERS, Pair, RatingSplit
from dlcli.errors import CheckpointError

UNKNOWN = 0
MOST_IDS = 2_000_000  # of a vocabulary that is read from a file


class Ids:
    """Encodes pairs of a user and an item.

    users, items: their ids from 1 on. counts: how often each item was rated, mean, std: of the
    ratings, in the training part. rated: for each user, in that order, the numbers of the items
    that the table has ratings of, whatever their part: they are not told again, and nothing else
    comes of them.
    """

    def __init__(
        self,
        users: Sequence[str],
        items: Sequence[str],
        counts: Sequence[int],
        mean: float,
        std: float,
        rated: Sequence[Sequence[int]],
    ) -> None:
        self.users, self.items, self.mean, self.std = list(users), list(items), mean, std
        self.counts = np.array([0, *counts], np.int64)  # nobody's id 0 was never rated
        self.rated = [np.array(sorted(row), np.int64) for row in rated]
        self.user_ids = {user: i for i, user in enumerate(self.users, 1)}
        self.item_ids = {item: i for i, item in enumerate(self.items, 1)}
        if len(self.user_ids) != len(self.users) or len(self.item_ids) != len(self.items):
            raise ValueError("an id occurs twice")
        if len(self.counts) != len(self.items) + 1 or self.counts.min() < 0:
            raise ValueError(f"{len(counts)} counts of {len(self.items)} items")
        if len(self.rated) != len(self.users):
            raise ValueError(f"{len(self.rated)} lists of items for {len(self.users)} users")
        if any(row.size and not 1 <= row[0] <= row[-1] <= len(self.items) for row in self.rated):
            raise ValueError("an item that was rated is none of the items")
        if not (math.isfinite(mean) and math.isfinite(std) and std > 0):
            raise ValueError(f"a mean of {mean} and a deviation of {std}")

    @classmethod
    def fit(cls, train: RatingSplit, others: Sequence[RatingSplit]) -> Ids:
        """The ids of the training part, sorted. others: parts whose ratings are known too."""
        users, items = (sorted(set(side)) for side in zip(*train.pairs, strict=True))
        counts = Counter(item for _, item in train.pairs)
        often = [counts[item] for item in items]
        made = cls(users, items, often, 0.0, 1.0, [()] * len(users))
        rated: list[list[int]] = [[] for _ in users]
        for part in (train, *others):
            for user, item in part.pairs:
                if user in made.user_ids and item in made.item_ids:
                    rated[made.user_ids[user] - 1].append(made.item_ids[item])
        labels = train.labels
        return cls(users, items, often, float(labels.mean()), float(labels.std()), rated)

    def __call__(self, samples: Sequence[Pair]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """ids of users (B,) and of items (B,) int64; and (B, 2) float64: mean and deviation of
        ratings, in which the model's answers are to be read.
        """
        users = np.array([self.user_ids.get(user, UNKNOWN) for user, _ in samples], np.int64)
        items = np.array([self.item_ids.get(item, UNKNOWN) for _, item in samples], np.int64)
        return users, items, np.tile([self.mean, self.std], (len(samples), 1))

    def values(self, scaled: np.ndarray) -> np.ndarray:
        """A model's answers as ratings: float64."""
        return self.mean + self.std * scaled.astype(np.float64)

    def to_json(self) -> dict[str, Any]:
        """Plain values; the items of a user as one text of numbers, which takes little room."""
        return {
            "users": self.users,
            "items": self.items,
            "counts": self.counts[1:].tolist(),
            "mean": self.mean,
            "std": self.std,
            "rated": [" ".join(map(str, row.tolist())) for row in self.rated],
        }

    def bytes(self) -> int:
        """About how many a checkpoint takes for it."""
        return len(json.dumps(self.to_json(), indent=2, ensure_ascii=False).encode())

    @classmethod
    def from_json(cls, stored: object) -> Ids:
        """What `to_json` gave. CheckpointError: it is something else, or too large."""
        try:
            lists = [stored[key] for key in ("users", "items", "counts", "rated")]  # type: ignore[index]
            mean, std = stored["mean"], stored["std"]  # type: ignore[index]
            if not all(isinstance(x, list) and len(x) <= MOST_IDS for x in lists):
                raise TypeError(f"users, items, … must be lists of at most {MOST_IDS:,}")
            users, items, counts, rated = lists
            if not all(type(x) is str and 0 < len(x) <= MOST_LETTERS for x in [*users, *items]):
                raise TypeError(f"an id must be text of 1 to {MOST_LETTERS} letters")
            if not all(type(x) is str for x in rated):
                raise TypeError("the items of a user must be text")
            if not all(type(x) in (int, float) for x in (mean, std)):
                raise TypeError("mean and std must be numbers")
            if not all(type(x) is int for x in counts):
                raise TypeError("counts must be whole numbers")
            rows = [[int(number) for number in row.split()] for row in rated]
            return cls(users, items, counts, float(mean), float(std), rows)
        except (TypeError, KeyError, ValueError, OverflowError) as error:
            raise CheckpointError("the stored ids are damaged", why=str(error)) from error
