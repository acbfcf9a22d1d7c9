"""An exponential moving average of a module's parameters, carried in buffers: what is trained jumps
about, its average does not (Polyak & Juditsky 1992; for generators Yazıcı et al. 2019).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from ..engine.tape import apply, no_grad
from .module import Learned, Module


class Average(Module):
    """average ← decay · average + (1 − decay) · parameter, after every `follow`."""

    def __init__(self, module: Module, decay: float) -> None:
        self.decay = decay
        self._pairs = []
        for path, parameter in module.named_parameters().items():
            mean = Learned(np.zeros(parameter.shape, parameter.dtype))
            vars(self)[path.replace(".", "_")] = mean
            self._pairs.append((parameter, mean))

    def begin(self) -> None:
        """The average is what the parameters are now."""
        for parameter, mean in self._pairs:
            mean.write(parameter.numpy())

    def follow(self) -> None:
        """Moves the average towards the parameters."""
        with no_grad():
            for parameter, mean in self._pairs:
                flat = mean.reshape(-1), parameter.reshape(-1)
                apply("update_running", *flat, momentum=1 - self.decay, correction=1.0)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The module computes with the average within this."""
        before = [parameter.data for parameter, _ in self._pairs]
        for parameter, mean in self._pairs:
            parameter.data = mean.data
        try:
            yield
        finally:
            for (parameter, _), data in zip(self._pairs, before, strict=True):
                parameter.data = data
