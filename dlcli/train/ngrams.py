"""What counting alone knows of a language: the nats of a text by how often symbols, and pairs of
them, occur in another. Whatever a language model learns shows beside it.

    unigram   p(w) = (c(w) + 1) / (n + V)                                        Laplace
    bigram    p(w | v) = max(c(v, w) − D, 0) / c(v) + D k(v) / c(v) · p(w)         Ney et al. 1994

c counts, V is the number of ids, k(v) how many different ones follow v, and D = 0.75.
"""

from __future__ import annotations

import numpy as np

DISCOUNT = 0.75
AT_ONCE = 1 << 20  # symbols, so that the memory is that of different pairs


class Counts:
    """Of ids (n,) below `ids`, with those before them."""

    def __init__(self, ids: int) -> None:
        self.ids = ids
        self.single = np.zeros(ids, np.int64)
        self.pairs = np.zeros(0, np.int64)  # before · ids + after, ascending
        self.times = np.zeros(0, np.int64)

    def add(self, before: np.ndarray, after: np.ndarray) -> None:
        """Counts each of `after` (n,) int64, and it behind that of `before` (n,)."""
        self.single += np.bincount(after, minlength=self.ids)
        pairs, times = np.unique(before * self.ids + after, return_counts=True)
        every = np.concatenate((self.pairs, pairs))
        self.pairs, where = np.unique(every, return_inverse=True)
        weights = np.concatenate((self.times, times))
        self.times = np.bincount(where, weights, minlength=len(self.pairs)).astype(np.int64)

    def nats(self, before: np.ndarray, after: np.ndarray) -> dict[str, float]:
        """The sums of nats by "unigram" and "bigram" of what stands in a text like that."""
        alone = (self.single[after] + 1) / (self.single.sum() + self.ids)
        heads = self.pairs // self.ids
        seen = np.bincount(heads, self.times, minlength=self.ids)[before]
        kinds = np.bincount(heads, minlength=self.ids)[before]
        wanted = before * self.ids + after
        at = np.minimum(np.searchsorted(self.pairs, wanted), max(len(self.pairs) - 1, 0))
        times = np.where(self.pairs[at] == wanted, self.times[at], 0) if len(self.pairs) else 0
        held = np.maximum(seen, 1)
        paired = np.maximum(times - DISCOUNT, 0) / held + DISCOUNT * kinds / held * alone
        both = {"unigram": alone, "bigram": np.where(seen > 0, paired, alone)}
        return {name: float(-np.log(p).sum()) for name, p in both.items()}
