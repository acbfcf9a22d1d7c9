"""The gradient penalty: a critic's gradient held to a norm, which is a gradient of a gradient."""

from __future__ import annotations

from collections.abc import Callable

from ..engine.tape import apply, grad
from ..engine.tensor import Tensor
from .functional import mean

TINY = 1e-16  # under the root: a gradient of zero has a norm with a finite slope


def gradient_penalty(
    critic: Callable[[Tensor], Tensor], points: Tensor, *, norm: float = 1.0
) -> Tensor:
    """The mean over `points` (N, …) of (‖∂ critic / ∂ point‖₂ − norm)²: a scalar, to be added to
    a loss (Gulrajani et al. 2017, who take points on lines between real and generated samples).

    critic: a score for each point, of which only the sum's gradient is taken: no score may depend
    on other points, so no batch norm.
    """
    inputs = Tensor(points.data, requires_grad=True)
    (slope,) = grad(critic(inputs), [inputs], create_graph=True)
    axes = tuple(range(1, len(slope.shape)))
    squares = apply("sum", apply("mul", slope, slope), axes=axes, keepdims=False)
    away = apply("shift", apply("sqrt", apply("shift", squares, by=TINY)), by=-norm)
    return mean(apply("mul", away, away))
