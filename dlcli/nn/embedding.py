"""Embeddings: rows of a table by their ids."""

from __future__ import annotations

import numpy as np
from dlcli_kernels.philox import Generator

from ..engine.tape import apply
from ..engine.tensor import Tensor
from . import init
from .module import Module, Parameter


class Embedding(Module):
    """ids int64 of any shape → (…, size): row `ids[…]` of weight (count, size), which begins as
    N(0, std²).

    padding: an id whose row is zeros and stays so: it has no gradient. An id outside 0 … count−1
    gives NaN. The gradient is that of the rows that were read: see `optim` for who makes use of it.
    """

    def __init__(
        self, count: int, size: int, *, padding: int | None = None, std: float = 1.0
    ) -> None:
        if min(count, size) < 1:
            raise ValueError(f"Embedding: {count} rows of {size} must each be 1 or more")
        if padding is not None and not 0 <= padding < count:
            raise ValueError(f"Embedding: padding {padding} is none of {count} ids")
        self.weight = Parameter((count, size), normal(std, padding))
        self.padding = padding

    def forward(self, ids: Tensor) -> Tensor:
        out: Tensor = apply("embedding", self.weight, ids, padding=self.padding)
        return out


def normal(std: float, padding: int | None) -> init.Fill:
    """A fill with N(0, std²), and zeros in the row `padding`."""

    def fill(rng: Generator, shape: tuple[int, ...]) -> np.ndarray:
        values = np.asarray(rng.normal(*shape)) * std
        if padding is not None:
            values[padding] = 0
        return values

    return fill
