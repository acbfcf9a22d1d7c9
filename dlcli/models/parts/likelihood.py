"""How probable images are by what a decoder gives for their pixels, and how far the distribution of
a code is from N(0, 1): the two parts of a variational bound, in nats, for each image.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from dlcli import nn
from dlcli.engine.tape import apply
from dlcli.engine.tensor import Tensor, made_on_host, zeros
from dlcli.nn.functional import activation

FIRST = -1.0  # log of the deviation of pixels that a Gaussian begins with


class Bernoulli(nn.Module):
    """Pixels are shares of white; the decoder gives their log odds (Kingma & Welling 2014)."""

    def forward(self, values: Tensor, x: np.ndarray) -> Tensor:
        """The cross-entropy of images x (N, H, W, C) in [−1, 1]: (N,)."""
        target = made_on_host(_shares(values.dtype), x)
        return per_image(apply("bce_with_logits", values, target, None))

    def picture(self, values: np.ndarray) -> np.ndarray:
        """The expected image, in [−1, 1]."""
        return np.tanh(values / 2)


class Gaussian(nn.Module):
    """Pixels, black and white 1 apart, scatter around what the decoder gives with one deviation for
    all, which is learned (Rybkin et al. 2021). It is a density, so that nats may be below 0.
    """

    def __init__(self) -> None:
        self.log_deviation = nn.Parameter((1,), lambda rng, shape: np.full(shape, FIRST))

    def forward(self, values: Tensor, x: np.ndarray) -> Tensor:
        """The negative log density of images x (N, H, W, C) in [−1, 1]: (N,)."""
        means = activation(values, "tanh")
        squares = per_image(apply("squared_error", means, made_on_host(_of_type(values.dtype), x)))
        pixels = values.size // values.shape[0]
        log = apply("broadcast", self.log_deviation, shape=squares.shape, axes=(0,))
        precision = exp(apply("scale", log, by=-2.0))
        near = apply("scale", apply("mul", squares, precision), by=0.25 / 2)
        volume = apply("shift", log, by=0.5 * math.log(2 * math.pi))
        return apply("add", near, apply("scale", volume, by=pixels))

    def picture(self, values: np.ndarray) -> np.ndarray:
        """The expected image, in [−1, 1]."""
        return np.tanh(values)


@cache
def _of_type(dtype: Any) -> Callable[[np.ndarray], np.ndarray]:
    return lambda x: x.astype(dtype)


@cache
def _shares(dtype: Any) -> Callable[[np.ndarray], np.ndarray]:
    """Of white, of pixels in [−1, 1]."""
    return lambda x: ((x + 1) / 2).astype(dtype)


LIKELIHOODS: dict[str, type[nn.Module]] = {"bernoulli": Bernoulli, "gaussian": Gaussian}


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, variance) ‖ N(0, 1)) of codes (N, D), each number by itself: (N,).
    ½ Σ (mean² + variance − 1 − log variance).
    """
    spread = apply("add", exp(log_variance), apply("scale", log_variance, by=-1.0))
    both = apply("add", apply("mul", mean, mean), apply("shift", spread, by=-1.0))
    return apply("scale", per_image(both), by=0.5)


def exp(x: Tensor) -> Tensor:
    """e to x, as the quotient of the two shares of softmax(x, 0): accurate for |x| < 87, where they
    are normal float32 numbers.
    """
    column = x.reshape(-1, 1)
    shares = apply("softmax", apply("concat", column, zeros(column.shape, x.dtype)))
    parts = (apply("columns", shares, start=i, stop=i + 1) for i in range(2))
    found: Tensor = apply("div", *parts)
    return found.reshape(*x.shape)


def per_image(x: Tensor) -> Tensor:
    """(N, …) → (N,): the sums."""
    return apply("sum", x.reshape(x.shape[0], -1), axes=(1,), keepdims=False)
