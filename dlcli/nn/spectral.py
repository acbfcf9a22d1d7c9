"""Spectral norm: a layer whose weight is divided by its largest singular value."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..engine.tape import apply, no_grad
from ..engine.tensor import Tensor
from . import init
from .module import Learned, Module

FIRST_ITERATIONS = 15  # when the layer is initialised, as PyTorch does


class SpectralNorm(Module):
    """`layer` with weight / σ in place of its weight, σ the largest singular value of the weight as
    a matrix (outputs, everything else) (Miyato et al. 2018).

    σ = uᵀ W v. In training each forward pass moves u and v, which are part of the state, by
    `iterations` power iterations; in evaluation they stay. They are constants to the gradient,
    which passes through σ as in PyTorch's parametrisation. ValueError for no iterations at all.
    """

    def __init__(self, layer: Any, *, iterations: int = 1, eps: float = 1e-12) -> None:
        if iterations < 1:
            raise ValueError(f"at least one power iteration is needed, not {iterations}")
        self.layer, self.iterations, self.eps = layer, iterations, eps
        shape = layer.weight.shape
        self.axis = getattr(layer, "output_axis", 0) % len(shape)
        outputs = shape[self.axis]
        self.u = Learned(np.zeros((outputs, 1), np.float32))
        self.v = Learned(np.zeros((int(np.prod(shape)) // max(outputs, 1), 1), np.float32))

    def matrix(self) -> Tensor:
        """The weight as a matrix: (outputs, rest), or (rest, outputs) where outputs come last."""
        weight = self.layer.weight
        rows = weight.shape[0] if self.axis == 0 else weight.size // weight.shape[-1]
        return weight.reshape(rows, -1)

    def seed(self, seed: int, path: str) -> None:
        """Begins with a random direction and lets it turn towards the singular vectors."""
        self.u.write(init.stream(seed, f"{path}.u").normal(*self.u.shape))
        with no_grad():
            v = self._unit(apply("matmul", self.matrix(), self.u, ta=self.axis == 0))
            u, v = self._iterate(FIRST_ITERATIONS, v)
        self._keep(u, v)

    def _unit(self, x: Tensor) -> Tensor:
        """x / ‖x‖; eps keeps 0 in place."""
        squares = apply("sum", apply("mul", x, x), axes=(0, 1), keepdims=False)
        norm = apply("sqrt", apply("shift", squares, by=self.eps**2))
        return apply("div", x, apply("broadcast", norm, shape=x.shape, axes=(0, 1)))

    def _iterate(self, times: int, v: Tensor) -> tuple[Tensor, Tensor]:
        matrix, first = self.matrix(), self.axis == 0
        for _ in range(times):
            u = self._unit(apply("matmul", matrix, v, ta=not first))
            v = self._unit(apply("matmul", matrix, u, ta=first))
        return u, v

    def _keep(self, u: Tensor, v: Tensor) -> None:
        apply("assign", self.u, u)
        apply("assign", self.v, v)

    def normalised(self) -> Tensor:
        """The weight divided by σ."""
        u: Tensor = self.u
        v: Tensor = self.v
        if self.training:
            with no_grad():
                u, v = self._iterate(self.iterations, v)
                self._keep(u, v)  # copies: a later pass must not change what this one recorded
        weight = self.layer.weight
        axes = tuple(range(len(weight.shape)))
        image = apply("matmul", self.matrix(), v, ta=self.axis != 0)
        sigma = apply("sum", apply("mul", u, image), axes=(0, 1), keepdims=False)
        return apply("div", weight, apply("broadcast", sigma, shape=weight.shape, axes=axes))

    def forward(self, *inputs: Tensor) -> Any:
        own = self.layer.weight
        normalised = self.normalised()
        self.layer.weight = normalised
        try:
            return self.layer(*inputs)
        finally:
            self.layer.weight = own
