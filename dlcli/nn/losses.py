"""Losses: a scalar tensor, the mean over all elements or samples.

Predictions and targets have one dtype; labels are int64.
"""

from __future__ import annotations

from ..engine.tape import apply, no_grad
from ..engine.tensor import Tensor
from .functional import mean, total


def cross_entropy(
    logits: Tensor, labels: Tensor, weight: Tensor | None = None, *, label_smoothing: float = 0.0
) -> Tensor:
    """Softmax and cross-entropy in one: logits (N, K), labels (N,) int64, class weights (K,).

    With weights, which are constants, the weighted mean: Σ lossₙ / Σ weight[labelₙ], as in PyTorch.
    A label of −100 adds nothing to a sum; the mean without weights is over all N nevertheless.
    """
    losses = apply("softmax_cross_entropy", logits, labels, weight, label_smoothing=label_smoothing)
    if weight is None:
        return mean(losses)
    with no_grad():
        shares = total(apply("class_weight_of", labels, weight))
    return apply("div", total(losses), shares)


def soft_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Against class probabilities: logits (N, K), target (N, K)."""
    return mean(apply("soft_cross_entropy", logits, target))


def bce_with_logits(logits: Tensor, target: Tensor, pos_weight: Tensor | None = None) -> Tensor:
    """Binary cross-entropy: logits and target (…, K), target in [0, 1], pos_weight (K,)."""
    return mean(apply("bce_with_logits", logits, target, pos_weight))


def mse(x: Tensor, target: Tensor) -> Tensor:
    """The mean squared error."""
    return mean(apply("squared_error", x, target))


def mae(x: Tensor, target: Tensor) -> Tensor:
    """The mean absolute error."""
    return mean(apply("absolute_error", x, target))


def huber(x: Tensor, target: Tensor, delta: float = 1.0) -> Tensor:
    """½ d² where |d| ≤ delta, delta (|d| − ½ delta) beyond, d = x − target (Huber 1964)."""
    return mean(apply("huber", x, target, delta=delta))
