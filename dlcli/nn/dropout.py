"""Dropout."""

from __future__ import annotations

import numpy as np
from dlcli_kernels.philox import key

from ..engine.tape import apply, no_grad
from ..engine.tensor import Tensor
from .module import Buffer, Module


class Dropout(Module):
    """Zeroes each element with probability p while training and scales the rest by 1 / (1 − p)
    (Srivastava et al. 2014).

    Its random stream is named by the module's path; a counter in `rng` moves on with every pass
    and travels with the checkpoint.
    """

    def __init__(self, p: float) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"dropout: p is a probability, not {p}")
        self.p = p
        self.rng = Buffer(np.zeros(5, np.uint32))

    def seed(self, seed: int, path: str) -> None:
        self.rng.write((*key(seed, f"dropout/{path}"), 0, 0, 0))

    def forward(self, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        if not self.training or self.p == 0:
            return x
        out = apply("dropout", x, self.rng, p=self.p)
        with no_grad():
            apply("advance", self.rng)
        return out
