"""What a model gives for arrays of the host, by plans where it may be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import tape
from .planner import Planner
from .tensor import Tensor, on_device


class Forward:
    """Without gradients. The memory of `model`'s parameters and buffers is what plans rely on, and
    whether there may be any it says by `plan`.

    function: of arrays, what is wanted of them; by default the model's answer, alone.
    """

    def __init__(self, model: Any, function: Callable[..., Sequence[Tensor]] | None = None) -> None:
        self.model = model
        self.function = function or (lambda *arrays: [model.forward(*map(on_device, arrays))])
        self.planner = Planner(enabled=True)
        self._watched: list[Tensor] = []

    def __call__(self, *inputs: np.ndarray) -> list[np.ndarray]:
        """The values of what the function gives; they are the caller's."""
        with tape.no_grad():
            found = self._planned(inputs) if getattr(self.model, "plan", False) else None
            return [t.numpy() for t in (self.function(*inputs) if found is None else found)]

    def _planned(self, inputs: Sequence[np.ndarray]) -> Sequence[Tensor] | None:
        if not self._watched:
            model = self.model
            self._watched += model.named_parameters().values()
            self._watched += model.named_buffers().values()
        found: Sequence[Tensor] | None = self.planner.run(
            ("forward", self.model.training),
            self._watched,
            inputs,
            lambda: self.function(*inputs),
            lambda tensors: tensors,
        )
        return found
