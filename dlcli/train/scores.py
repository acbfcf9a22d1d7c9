"""What the probabilities of a classifier are worth beyond the class that is the most probable: ROC,
precision and recall, calibration, and the mistakes that it is surest of. NumPy alone.

Each class is told apart from all others (one versus rest). A class that the samples do not hold, or
hold alone, has no such curve: its area is NaN, and means over the classes leave it out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

BINS = 15  # of confidence, as in Guo et al. 2017, "On calibration of modern neural networks"
GRID = 201  # false positive rates, or recalls, at which curves of classes are averaged


@dataclass(frozen=True)
class Curve:
    """x, y: (m,) each, in the order of x. area: below it, NaN where there is no curve (m = 0)."""

    x: np.ndarray
    y: np.ndarray
    area: float


NONE = Curve(np.zeros(0), np.zeros(0), float("nan"))


@dataclass(frozen=True)
class Calibration:
    """By bins of confidence: edges (b + 1,), count (b,), confidence and accuracy (b,), the means in
    each, 0 where it is empty. error: the expected calibration error, the mean of |accuracy -
    confidence| over the samples.
    """

    edges: np.ndarray
    count: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray
    error: float


def _counts(score: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many positive ones, and how many others, score at least each distinct threshold, from the
    highest.
    """
    order = np.argsort(-score, kind="stable")
    score, positive = score[order], positive[order]
    last = np.append(np.flatnonzero(np.diff(score)), len(score) - 1)  # of each run of equal scores
    hits = np.cumsum(positive)[last]
    return hits, last + 1 - hits


def roc(score: np.ndarray, positive: np.ndarray) -> Curve:
    """True positive rate over false positive rate, from (0, 0) to (1, 1), and the area (AUC).

    score: (n,), higher where it is thought positive. positive: (n,) bool.
    """
    there = int(positive.sum())
    if there in (0, len(positive)):
        return NONE
    hits, alarms = _counts(score, positive)
    x = np.append(0.0, alarms / (len(positive) - there))
    y = np.append(0.0, hits / there)
    return Curve(x, y, float(np.trapezoid(y, x)))


def precision_recall(score: np.ndarray, positive: np.ndarray) -> Curve:
    """Precision over recall, from recall 0, and the average precision: the precision at each
    threshold weighted by the recall that is won there, without interpolation.
    """
    there = int(positive.sum())
    if there in (0, len(positive)):
        return NONE
    hits, alarms = _counts(score, positive)
    precision, recall = hits / (hits + alarms), hits / there
    area = float((precision * np.diff(recall, prepend=0.0)).sum())
    return Curve(np.append(0.0, recall), np.append(precision[0], precision), area)


def macro(curves: Sequence[Curve], *, step: bool) -> Curve:
    """The mean of the curves of the classes at the same x; its area is the mean of theirs.

    step: between two points the curve has the height of the right one (precision over recall);
    otherwise it is a straight line (ROC), the upper end where it rises.
    """
    known = [curve for curve in curves if len(curve.x)]
    if not known:
        return NONE
    grid = np.linspace(0.0, 1.0, GRID)
    rows = [_stepped(c, grid) if step else _straight(c, grid) for c in known]
    return Curve(grid, np.mean(rows, axis=0), float(np.mean([c.area for c in known])))


def _stepped(curve: Curve, grid: np.ndarray) -> np.ndarray:
    found: np.ndarray = curve.y[np.searchsorted(curve.x, grid - 1e-12).clip(max=len(curve.x) - 1)]
    return found


def _straight(curve: Curve, grid: np.ndarray) -> np.ndarray:
    last = np.append(np.flatnonzero(np.diff(curve.x)), len(curve.x) - 1)
    return np.interp(grid, curve.x[last], curve.y[last])


def calibration(confidence: np.ndarray, right: np.ndarray, bins: int = BINS) -> Calibration:
    """How often it is right where it is so sure. confidence: (n,) in [0, 1], the probability of the
    most probable class. right: (n,) bool. n ≥ 1.
    """
    edges = np.linspace(0.0, 1.0, bins + 1)
    # (low, high], as in the paper: what is sure with 1 is in the last bin
    number = (np.ceil(confidence * bins).astype(np.int64) - 1).clip(0, bins - 1)
    count = np.bincount(number, minlength=bins)
    sure, hits = (np.bincount(number, v, minlength=bins) for v in (confidence, right))
    least = np.maximum(count, 1)
    error = float(np.abs(hits - sure).sum() / len(confidence))
    return Calibration(edges, count, sure / least, hits / least, error)


@dataclass(frozen=True)
class Scores:
    """Of n samples: shares (n, K) float32, the probabilities of the classes, and labels (n,) int64,
    the true ones. All of them are finite.
    """

    shares: np.ndarray
    labels: np.ndarray

    @property
    def predicted(self) -> np.ndarray:
        """(n,), the most probable class."""
        found: np.ndarray = self.shares.argmax(axis=1)
        return found

    @cached_property
    def roc(self) -> list[Curve]:
        """A curve for each class."""
        return [roc(s, self.labels == k) for k, s in enumerate(self.shares.T)]

    @cached_property
    def precision_recall(self) -> list[Curve]:
        """A curve for each class."""
        return [precision_recall(s, self.labels == k) for k, s in enumerate(self.shares.T)]

    @cached_property
    def calibration(self) -> Calibration:
        """Of the most probable class."""
        sure = self.shares.max(axis=1).astype(np.float64)
        return calibration(sure, self.predicted == self.labels)

    @cached_property
    def figures(self) -> dict[str, float]:
        """ "macro_auc" and "macro_ap" (average precision), where there are two classes or more, and
        "ece", the expected calibration error.
        """
        means = {
            "macro_auc": macro(self.roc, step=False).area,
            "macro_ap": macro(self.precision_recall, step=True).area,
        }
        return {k: v for k, v in means.items() if v == v} | {"ece": self.calibration.error}

    def mistakes(self, most: int) -> np.ndarray:
        """The positions of at most `most` samples that are taken for another class, those first of
        which it is surest; of equal ones the first.
        """
        wrong = np.flatnonzero(self.predicted != self.labels)
        sure = self.shares[wrong].max(axis=1)
        return wrong[np.argsort(-sure, kind="stable")[:most]]
