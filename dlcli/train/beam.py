"""Beam search: the most probable sentences that a model can write, of many sources at a time.

A step extends each source's best `width` beginnings by every word and keeps the best of these. Of
the ones that end, the best by its mean log-probability per word is what the model says (Sutskever
et al. 2014, normalised as Cho et al. 2014). With a width of 1 it is the greedy choice of each word.

All steps have the same shapes, whatever has ended: a device prepares them once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np


class Decoder(Protocol):
    """What writes: it holds a state for each of n sources × width beginnings."""

    def step(self, words: np.ndarray) -> np.ndarray:
        """The last words (n, width) int64 → log-probabilities of the next (n, width, words)."""

    def keep(self, rows: np.ndarray) -> None:
        """Beginning i of a source goes on from what was its beginning rows[·, i]: (n, width)."""


@dataclass(frozen=True)
class Written:
    """words: without the end. log_p: of all words and the end, −∞ if nothing could be written."""

    words: list[int]
    log_p: float

    @property
    def score(self) -> float:
        """The mean log-probability of a word, the end counted."""
        return self.log_p / (len(self.words) + 1)


def search(
    decoder: Decoder, n: int, *, width: int, longest: int, end: int, never: Sequence[int] = ()
) -> list[Written]:
    """The best sentence of each of n sources.

    longest: words at most, at least 0; what is no shorter ends there. end: the word that ends a
    sentence, and begins one. never: words that are not written. ValueError: no width, or length.
    """
    if width < 1 or longest < 0:
        raise ValueError(f"{width} beginnings of {longest} words")
    best = [Written([], -np.inf)] * n
    ended = np.zeros(n, np.int64)  # sentences of each source
    total = np.full((n, width), -np.inf)
    total[:, 0] = 0
    words = np.full((n, width), end)
    written = np.zeros((n, width, 0), np.int64)
    for length in range(1, longest + 2):  # with the end
        scores = _extended(decoder.step(words), total, never, None if length <= longest else end)
        options, values = _best(scores, 2 * width)  # so many that `width` of them do not end
        rows, words = options // scores.shape[-1], options % scores.shape[-1]
        for i, j in zip(*np.nonzero((words == end) & np.isfinite(values)), strict=True):
            if j < width and ended[i] < width:
                ended[i] += 1
                found = Written(written[i, rows[i, j]].tolist(), float(values[i, j]))
                best[i] = max(best[i], found, key=lambda w: w.score)
        values[words == end] = -np.inf
        kept = np.argsort(-values, axis=1, kind="stable")[:, :width]
        rows, words, total = (np.take_along_axis(a, kept, axis=1) for a in (rows, words, values))
        reachable = total.max(axis=1) / (longest + 1)  # the most that a score can still become
        done = (ended >= width) | (reachable <= [w.score for w in best])
        if done.all():
            break
        written = np.take_along_axis(written, rows[:, :, None], axis=1)
        written = np.concatenate((written, words[:, :, None]), axis=2)
        decoder.keep(rows)
    return best


def _extended(
    found: np.ndarray, total: np.ndarray, never: Sequence[int], only: int | None
) -> np.ndarray:
    """Log-probabilities (n, width, words) of beginnings extended by each word, float64."""
    scores = found.astype(np.float64)
    scores[:, :, list(never)] = -np.inf
    if only is not None:
        scores[:, :, :only] = scores[:, :, only + 1 :] = -np.inf
    scores += total[:, :, None]
    scores[np.isnan(scores)] = -np.inf
    return scores


def _best(scores: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """The `most` highest of each source, best first, of equal ones the first: their positions
    (n, m) in width × words, and their values.
    """
    flat = scores.reshape(len(scores), -1)
    most = min(most, flat.shape[1])
    found = np.sort(np.argpartition(-flat, most - 1, axis=1)[:, :most], axis=1)
    values = np.take_along_axis(flat, found, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    return np.take_along_axis(found, order, axis=1), np.take_along_axis(values, order, axis=1)
