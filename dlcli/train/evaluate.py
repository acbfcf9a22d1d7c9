"""Evaluating a classifier on a part of a dataset, and predicting."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dlcli.data.dataset import Split
from dlcli.train.protocol import Model

Transform = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Evaluation:
    """The figures of a classifier on n samples of K classes.

    loss: mean cross-entropy. accuracy: share of correct classes. top_k: {k: share of samples
    whose class is among the k most probable}. confusion: (K, K) int64, rows are true classes,
    columns predicted ones. per_class: {"precision", "recall", "f1"} (K,) float64, {"support",
    "predicted"} (K,) int64. macro, weighted: their means over classes, plain and by support.
    undefined: per figure the classes for which it is 0 / 0, which counts as 0.
    """

    samples: int
    classes: list[str]
    loss: float
    accuracy: float
    top_k: dict[int, float]
    confusion: np.ndarray
    per_class: dict[str, np.ndarray]
    macro: dict[str, float]
    weighted: dict[str, float]
    undefined: dict[str, list[str]]

    def to_json(self) -> dict[str, Any]:
        """Plain values, "loss" and "accuracy" at the top; a figure that is not finite is None.

        per_class is a list of {"class", "precision", "recall", "f1", "support", "predicted"}.
        """
        raise NotImplementedError


def evaluate(
    model: Model,
    split: Split,
    normalize: Transform,
    *,
    classes: Sequence[str],
    batch_size: int = 256,
    top_k: Sequence[int] = (1, 5),
    workers: int = 1,
    on_batch: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """The figures of `model` on `split`, in evaluation mode and without gradients.

    on_batch(done, total) is called after each batch, in samples. DataError: the split is empty or
    a label is not one of `classes`. CheckpointError: the model has another number of classes.
    """
    raise NotImplementedError


def predict_proba(
    model: Model, images: np.ndarray, normalize: Transform, *, batch_size: int = 256
) -> np.ndarray:
    """Class probabilities (n, K) float64 of images (n, H, W, C) uint8; each row sums to 1."""
    raise NotImplementedError


def top_classes(probabilities: np.ndarray, k: int) -> np.ndarray:
    """The k most probable classes of each row, most probable first; of equals the lower: (n, k)."""
    raise NotImplementedError
