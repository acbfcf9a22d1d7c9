"""A classifier as the judge of generated images: which class each shows, how sure it is of that,
and what it sees in it, the features before its last layer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dlcli.data.loader import as_inputs
from dlcli.errors import NonFiniteError, UsageError
from dlcli.train.evaluate import inference
from dlcli.train.metrics import log_softmax
from dlcli.train.task import Trained

CONFIDENT = 0.9  # probability of a class


@dataclass(frozen=True)
class Opinion:
    """Of n images: features (n, F) float32, and probabilities of the classes (n, K) float64."""

    features: np.ndarray
    shares: np.ndarray

    @property
    def seen(self) -> np.ndarray:
        """The most probable class of each, (n,) int64."""
        found: np.ndarray = self.shares.argmax(axis=1)
        return found

    @property
    def confident(self) -> float:
        """The share of images of which the most probable class has 0.9 or more."""
        return float((self.shares.max(axis=1) >= CONFIDENT).mean())

    @property
    def classes(self) -> np.ndarray:
        """Each class's share of the images, (K,)."""
        found: np.ndarray = np.bincount(self.seen, minlength=self.shares.shape[1]) / len(self.seen)
        return found

    def agrees(self, labels: np.ndarray) -> float:
        """The share of images that show the class (n,) that they should."""
        return float((self.seen == labels).mean())


class Judge:
    """trained: a classifier, one whose model can `look`."""

    def __init__(self, trained: Trained) -> None:
        self.trained = trained
        self.name = f"{trained.info['name']} of {trained.run.path}"

    def check(self, drawn: Trained) -> None:
        """UsageError: it does not classify images such as the model draws."""
        judge = self.trained
        if getattr(drawn.kind, "reads", "") != judge.kind.name or not hasattr(judge.model, "look"):
            why = f"{judge.info['name']} does not tell images apart by features"
            hint = "give a run of cnn on the same data"
            raise UsageError(f"--judge {judge.run.path}: cannot judge", why=why, hint=hint)
        mine, theirs = (t.kind.describe(t.shape) for t in (judge, drawn))
        if mine != theirs:
            why = f"it sees images of {mine}, and the model draws {theirs}"
            raise UsageError(f"--judge {judge.run.path}: cannot judge", why=why)
        if list(judge.classes) != list(drawn.classes):
            why = f"its classes are others: {', '.join(judge.classes[:4])}, …"
            raise UsageError(f"--judge {judge.run.path}: cannot judge", why=why)

    def of(self, pixels: np.ndarray, batch_size: int) -> Opinion:
        """Its opinion of images (n, H, W, C) uint8, n ≥ 1, normalised as those it learned from.

        NonFiniteError: the judge gives no numbers.
        """
        model: Any = self.trained.model
        features, logits = [], []
        look = self.trained.planned("look")
        with inference(model):
            for start in range(0, len(pixels), batch_size):
                inputs = as_inputs(self.trained.encode(pixels[start : start + batch_size]))
                seen, said = look(*inputs)
                features.append(seen)
                logits.append(said)
        shares = np.exp(log_softmax(np.concatenate(logits)))
        if not np.isfinite(shares).all():
            raise NonFiniteError(f"{self.name} gives no numbers", why="NaN or infinite")
        return Opinion(np.concatenate(features), shares)
