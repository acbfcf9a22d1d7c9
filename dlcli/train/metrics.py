"""What a classifier's outputs are worth, in NumPy; and means over the batches of an epoch.

0 / 0 (the precision of a class that was never predicted, the recall of one that never occurs)
counts as 0, and whoever reports it says so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

# A sum of correct ones, divided by the samples, is the accuracy; of squared errors, the root of it
# is the RMSE; of nats, e to it is the perplexity.
NAMES = {"correct": "accuracy", "squares": "rmse", "nats": "perplexity"}
FUNCTIONS = {"squares": math.sqrt, "nats": lambda nats: math.exp(min(nats, MOST_NATS))}
MOST_NATS = 700.0  # of which e to them is a number
BY_CLASS = "/"  # in the name of a sum over the samples of a class: "hits/3"
ROLES = ("hits", "true", "said")  # how often it was right, occurs, was told
COUNT = "tokens"  # where a model sums these too, they are what the other sums are divided by


class Sums:
    """Sums over the samples of some batches, in Python's floats: exact through JSON and back."""

    def __init__(self, sums: Mapping[str, float] | None = None, samples: int = 0) -> None:
        self.sums, self.samples = dict(sums or {}), samples

    def add(self, sums: Mapping[str, float], samples: int) -> None:
        """Adds the sums of a batch of `samples`."""
        for name, value in sums.items():
            self.sums[name] = self.sums.get(name, 0.0) + float(value)
        self.samples += samples

    def means(self, prefix: str = "") -> dict[str, float]:
        """The figures by name, e.g. "val_loss" with the prefix "val_"; {} without data."""
        if not self.samples:
            return {}
        n = self.sums.get(COUNT, self.samples) or self.samples
        means = {k: v / n for k, v in self.sums.items() if k != COUNT and BY_CLASS not in k}
        figures = {k: FUNCTIONS[k](v) if k in FUNCTIONS else v for k, v in means.items()}
        figures |= self._by_class()
        return {prefix + NAMES.get(k, k): v for k, v in figures.items()}

    def _by_class(self) -> dict[str, float]:
        """The mean F1 of the classes that occur or were told, from sums as `Model.measure` says."""
        there = {k.partition(BY_CLASS)[2] for k in self.sums if BY_CLASS in k}
        if not there:
            return {}
        f1 = []
        for k in sorted(there):
            hits, true, said = (self.sums.get(f"{w}{BY_CLASS}{k}", 0.0) for w in ROLES)
            f1.append(2 * hits / (true + said))
        return {"macro_f1": sum(f1) / len(f1)}


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Logarithms of the class probabilities (n, K) in float64, without overflow.

    A row that holds a NaN or +inf is NaN.
    """
    z = logits.astype(np.float64)
    with np.errstate(invalid="ignore"):  # inf - inf
        z = z - z.max(axis=1, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=1, keepdims=True))


def cross_entropy(logits: np.ndarray, y: np.ndarray) -> np.ndarray:
    """-log p of the true class of each sample: (n,) float64 from (n, K) and (n,) integers."""
    return -log_softmax(logits)[np.arange(len(y)), y]


def confusion_matrix(y: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """How often class i was taken for class j: (K, K) int64, rows are true, columns predicted."""
    cells = y.astype(np.int64) * classes + predicted
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def divide(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """The quotient in float64, 0 where the denominator is 0."""
    out = np.zeros(len(denominator), dtype=np.float64)
    return np.divide(numerator, denominator, out=out, where=denominator != 0)


def per_class(confusion: np.ndarray) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Figures of each class, and where they are 0 / 0.

    The first dict has precision, recall, f1 (K,) float64 and support, predicted (K,) int64; the
    second has (K,) bool for the first three. F1 = 2·TP / (2·TP + FP + FN).
    """
    hits = np.diagonal(confusion)
    support, predicted = confusion.sum(axis=1), confusion.sum(axis=0)
    figures = {
        "precision": divide(hits, predicted),
        "recall": divide(hits, support),
        "f1": divide(2 * hits, support + predicted),
        "support": support,
        "predicted": predicted,
    }
    undefined = {
        "precision": predicted == 0,
        "recall": support == 0,
        "f1": support + predicted == 0,
    }
    return figures, undefined


def averages(figures: Mapping[str, np.ndarray], weights: np.ndarray | None) -> dict[str, float]:
    """Means of precision, recall and f1 over the classes, by `weights` (K,) if given; 0 of none."""
    names = ("precision", "recall", "f1")
    if weights is not None and not weights.sum():
        return dict.fromkeys(names, 0.0)
    return {name: float(np.average(figures[name], weights=weights)) for name in names}


def top_classes(scores: np.ndarray, k: int) -> np.ndarray:
    """The k classes with the highest scores in each row, best first: (n, k) int64.

    Of equal ones the lower class comes first, as with argmax. k is at most K.
    """
    return np.argsort(-scores, axis=1, kind="stable")[:, : min(k, scores.shape[1])]


def top_k_hits(scores: np.ndarray, y: np.ndarray, ks: Sequence[int]) -> dict[int, int]:
    """For each k, in how many rows the true class is among the k best; each k is at most K."""
    order = top_classes(scores, max(ks))
    return {k: int((order[:, :k] == y[:, None]).any(axis=1).sum()) for k in ks}
