"""Losses: a scalar tensor, the mean over the batch."""

from __future__ import annotations

from ..engine.tape import apply
from ..engine.tensor import Tensor
from .functional import mean, total


def cross_entropy(
    logits: Tensor, labels: Tensor, weight: Tensor | None = None, *, label_smoothing: float = 0.0
) -> Tensor:
    """Softmax and cross-entropy in one: logits (N, K), labels (N,) int64, class weights (K,).

    With weights, their weighted mean, as in PyTorch.
    """
    losses = apply("softmax_cross_entropy", logits, labels, weight, label_smoothing=label_smoothing)
    if weight is None:
        return mean(losses)
    shares = apply("class_weight_of", labels, weight)
    return apply("scale", total(losses), by=1.0 / float(total(shares).item()))


def soft_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Against class probabilities: logits (N, K), target (N, K)."""
    return mean(apply("soft_cross_entropy", logits, target))


def bce_with_logits(logits: Tensor, target: Tensor, pos_weight: Tensor | None = None) -> Tensor:
    """Binary cross-entropy of any shape, target in [0, 1]."""
    return mean(apply("bce_with_logits", logits, target, pos_weight))


def mse(x: Tensor, target: Tensor) -> Tensor:
    """The mean squared error."""
    return mean(apply("squared_error", x, target))


def mae(x: Tensor, target: Tensor) -> Tensor:
    """The mean absolute error."""
    return mean(apply("absolute_error", x, target))


def huber(x: Tensor, target: Tensor, delta: float = 1.0) -> Tensor:
    """Quadratic within delta, linear beyond (Huber 1964)."""
    return mean(apply("huber", x, target, delta=delta))
