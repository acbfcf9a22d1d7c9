"""The table of activations: y = f(x), dx from dy with whatever the derivative is cheapest in (the
output y, or the input x), and how that derivative changes with it.

Plain NumPy in any float type. An activation whose gradient needs only y can be the epilogue of a
product or a convolution.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Array = np.ndarray
SQRT_2, INV_SQRT_2PI = 2.0**0.5, (2.0 * np.pi) ** -0.5
SELU_A, SELU_S = 1.6732632423543772, 1.0507009873554805  # Klambauer et al. 2017


@dataclass(frozen=True)
class Activation:
    """`saved` says what `grad(saved, dy)` takes: "y" (the output) or "x" (the input).

    `curve(saved, dy)` is the derivative of `grad` by `saved`; None where f has no curvature.
    """

    forward: Callable[[Array], Array]
    saved: str
    grad: Callable[[Array, Array], Array]
    curve: Callable[[Array, Array], Array] | None = None


def erf(x: Array) -> Array:
    """The error function, element by element with the C library's: NumPy has none. Slow; a
    reference.
    """
    import math

    return np.vectorize(math.erf, otypes=[x.dtype])(x) if x.size else x


def sigmoid(x: Array) -> Array:
    """1 / (1 + e⁻ˣ) without overflow."""
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e)).astype(x.dtype)


def _gelu_grad(x: Array, dy: Array) -> Array:
    return dy * (0.5 * (1 + erf(x / SQRT_2)) + x * np.exp(-0.5 * x * x) * INV_SQRT_2PI)


def _gelu_curve(x: Array, dy: Array) -> Array:
    return dy * np.exp(-0.5 * x * x) * INV_SQRT_2PI * (2 - x * x)


def _silu_grad(x: Array, dy: Array) -> Array:
    s = sigmoid(x)
    return dy * s * (1 + x * (1 - s))


def _silu_curve(x: Array, dy: Array) -> Array:
    s = sigmoid(x)
    return dy * s * (1 - s) * (2 + x * (1 - 2 * s))


def _below(y: Array, dy: Array) -> Array:
    return np.where(y > 0, 0 * dy, dy)


def _elu(x: Array) -> Array:
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))


def _selu(x: Array) -> Array:
    return (SELU_S * np.where(x > 0, x, SELU_A * np.expm1(np.minimum(x, 0)))).astype(x.dtype)


ACTIVATIONS: dict[str, Activation] = {
    "relu": Activation(lambda x: np.maximum(x, 0), "y", lambda y, dy: np.where(y <= 0, 0, dy)),
    "relu6": Activation(
        lambda x: np.clip(x, 0, 6), "y", lambda y, dy: np.where((y > 0) & (y < 6), dy, 0 * y)
    ),
    "leaky_relu": Activation(
        lambda x: np.where(x > 0, x, 0.01 * x), "y", lambda y, dy: np.where(y > 0, dy, 0.01 * dy)
    ),
    "leaky_relu_0.2": Activation(
        lambda x: np.where(x > 0, x, 0.2 * x), "y", lambda y, dy: np.where(y > 0, dy, 0.2 * dy)
    ),
    "elu": Activation(_elu, "y", lambda y, dy: np.where(y > 0, dy, dy * (y + 1)), _below),
    "selu": Activation(
        _selu, "y", lambda y, dy: dy * np.where(y > 0, SELU_S, y + SELU_S * SELU_A), _below
    ),
    "sigmoid": Activation(
        sigmoid, "y", lambda y, dy: dy * y * (1 - y), lambda y, dy: dy * (1 - 2 * y)
    ),
    "tanh": Activation(np.tanh, "y", lambda y, dy: dy * (1 - y * y), lambda y, dy: -2 * (dy * y)),
    "softplus": Activation(
        lambda x: np.logaddexp(x, 0),
        "y",
        lambda y, dy: dy * -np.expm1(-y),
        lambda y, dy: dy * np.exp(-y),
    ),
    "gelu": Activation(lambda x: 0.5 * x * (1 + erf(x / SQRT_2)), "x", _gelu_grad, _gelu_curve),
    "silu": Activation(lambda x: x * sigmoid(x), "x", _silu_grad, _silu_curve),
    "hard_tanh": Activation(
        lambda x: np.clip(x, -1, 1), "y", lambda y, dy: np.where(np.abs(y) < 1, dy, 0 * y)
    ),
}

# What CUDA C++ kernels call them: the numbers of include/activation.cuh.
NUMBERS: dict[str | None, int] = {None: 0, **{name: i for i, name in enumerate(ACTIVATIONS, 1)}}

EPILOGUES = frozenset(
    name for name, a in ACTIVATIONS.items() if a.saved == "y"
)  # may be fused into a product or convolution

CURVED = tuple(name for name, a in ACTIVATIONS.items() if a.curve is not None)


def activate(z: Array, act: str | None) -> Array:
    """act(z), or z itself where `act` is None: the epilogue in a reference.

    The dtype of z is kept.
    """
    return z if act is None else ACTIVATIONS[act].forward(z).astype(z.dtype, copy=False)
