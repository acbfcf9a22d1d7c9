"""What classifiers share: one phase with cross-entropy, and accuracy. No model itself."""

from __future__ import annotations

from typing import Any

import numpy as np

from dlcli.engine.tensor import Tensor, made_on_host, on_device
from dlcli.nn import losses
from dlcli.nn.module import Module, Sequential


class Train:
    """The one phase of a classifier: lower the cross-entropy by moving every parameter."""

    name = "train"

    def __init__(self, model: Classifier) -> None:
        self.model = model
        self.parameters: dict[str, Tensor] = dict(model.named_parameters())

    def loss(self, batch: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """A batch, with batch.y (N,) int64 → the mean loss, and the logits (N, classes). Labels are
        smoothed, and classes weighed, in training only.
        """
        logits = self.model(*[on_device(array) for array in self.model.inputs(batch)])
        labels, weight = on_device(batch.y), None
        if not self.model.training:
            return losses.cross_entropy(logits, labels), {"logits": logits}
        if self.model.class_weight is not None:
            weight = on_device(self.model.class_weight)
        smoothing = self.model.label_smoothing
        if (shares := getattr(batch, "shares", None)) is not None:
            target = made_on_host(self._mixed, shares)
            return losses.soft_cross_entropy(logits, target), {"logits": logits}
        loss = losses.cross_entropy(logits, labels, weight, label_smoothing=smoothing)
        return loss, {"logits": logits}

    def _mixed(self, shares: np.ndarray) -> np.ndarray:
        """What is aimed at for samples that are mixed of several classes."""
        return _target(shares, self.model.label_smoothing, self.model.class_weight)


def _target(shares: np.ndarray, smoothing: float, weight: np.ndarray | None) -> np.ndarray:
    """Shares of the classes (N, K) smoothed, then weighed as `cross_entropy` weighs labels: the
    mean over a batch is the weighted mean.
    """
    target = shares * (1 - smoothing) + smoothing / shares.shape[1]
    if weight is not None:
        target = target * weight
        target = target * (len(target) / (shares @ weight).sum())
    return target.astype(np.float32)


class Classifier(Module):
    """Layers from images (N, H, W, C) to logits (N, classes).

    label_smoothing, class_weight (classes,) float32: of the loss in training. mixes: its loss knows
    samples that are mixed of several classes. resident: see `train.protocol.Model`.
    """

    mixes = resident = True

    label_smoothing = 0.0
    class_weight: np.ndarray | None = None

    def __init__(self, *layers: Module) -> None:
        self.net = Sequential(*layers)

    def children(self) -> Any:
        yield from self.net.children()  # parameters are named by layer: 0.weight

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.net(*inputs)

    def look(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        """What the last layer is given, features (N, F), and what it says, logits (N, classes)."""
        *before, last = self.net.layers
        features = Sequential(*before)(*inputs)
        return features, last(features)

    def inputs(self, batch: Any) -> tuple[np.ndarray, ...]:
        """What the model takes of a batch: batch.x, such as images (N, H, W, C) float."""
        return (batch.x,)

    def phases(self) -> list[Train]:
        """One."""
        return [Train(self)]

    def measure(self, outputs: dict[str, Tensor], batch: Any) -> dict[str, float]:
        """How many of the batch are right; in evaluation mode also by classes, "hits/3": how often
        class 3 is right, "true/3": how often it occurs, "said/3": how often it is told.
        """
        said = outputs["logits"].numpy().argmax(1)
        hits = batch.y == said
        found = {"correct": float(np.count_nonzero(hits))}
        if not self.training:
            for role, labels in (("hits", batch.y[hits]), ("true", batch.y), ("said", said)):
                for k, n in zip(*np.unique(labels, return_counts=True), strict=True):
                    found[f"{role}/{k}"] = float(n)
        return found
