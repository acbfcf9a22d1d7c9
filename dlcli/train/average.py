"""An average of the weights while they are trained: what is trained jumps about, its average does
not (Polyak & Juditsky 1992).

average ← d · average + (1 − d) · weights after every step, with d = min(decay, (1 + step) / (10 +
step)) for step = 1, 2, …, so that what the weights began with is soon forgotten (as TensorFlow's
ExponentialMovingAverage does with `num_updates`). Running statistics are averaged likewise: those
of batch norm belong to the weights. Validation, the watchers and the checkpoints see the average in
the weights' place; what is trained lies in a checkpoint beside the optimiser's state, as
"weights/<path>", which only a resumed run reads.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Protocol

import numpy as np

from dlcli.engine.tape import apply, no_grad
from dlcli.engine.tensor import Tensor, zeros
from dlcli.errors import CheckpointError
from dlcli.train import tensors
from dlcli.train.protocol import Model

KEY = "weights/"


class Averaging(Protocol):
    """What the loop knows of it. Made when the optimisers have laid the parameters out."""

    def begin(self) -> None:
        """The average is what the weights are now."""

    def follow(self, step: int) -> None:
        """After a step; step: how many have been done, from 1."""

    def in_place(self) -> AbstractContextManager[None]:
        """The model computes with the average within this, and its `state_dict` has it."""

    def state_dict(self) -> dict[str, np.ndarray]:
        """The weights that are trained, where those of the model are the average."""

    def load_state_dict(self, arrays: Mapping[str, np.ndarray], where: str) -> None:
        """Takes the model's weights for the average and `arrays` for what is trained.

        CheckpointError: they do not fit; `where` is named.
        """


class NoAverage:
    """The weights as they are."""

    def begin(self) -> None:
        pass

    def follow(self, step: int) -> None:
        pass

    def in_place(self) -> AbstractContextManager[None]:
        return nullcontext()

    def state_dict(self) -> dict[str, np.ndarray]:
        return {}

    def load_state_dict(self, arrays: Mapping[str, np.ndarray], where: str) -> None:
        if arrays:
            why = "it has an average of the weights, and the run asks for none"
            raise CheckpointError(f"{where}: does not fit the training", why=why)


class Average:
    """Of what the optimisers move, one flat buffer each, and of the running statistics."""

    def __init__(self, decay: float, model: Model, optimizers: Sequence[Any]) -> None:
        self.decay = decay
        self.pairs: list[tuple[Tensor, Tensor]] = []  # what is trained, its average; both flat
        self.places: list[tuple[str, Tensor, Any, Any]] = []  # path, tensor, the two arrays of it
        paths = {id(t): path for path, t in model.named_parameters().items()}
        for optimizer in optimizers:
            flat = optimizer.flat
            mean = zeros(flat.data.shape, flat.data.dtype)
            self.pairs.append((flat.data, mean))
            for name, tensor in flat.parameters.items():
                array = mean.data[flat.slices[name]].reshape(tensor.shape)
                self.places.append((paths[id(tensor)], tensor, tensor.data, array))
        for path, buffer in model.named_buffers().items():
            if getattr(buffer, "averaged", False):
                mean = zeros(buffer.shape, buffer.dtype)
                now = Tensor(buffer.data)
                self.pairs.append((now.reshape(-1), mean.reshape(-1)))
                self.places.append((path, buffer, buffer.data, mean.data))

    def begin(self) -> None:
        with no_grad():
            for now, mean in self.pairs:
                apply("assign", mean, now)

    def follow(self, step: int) -> None:
        momentum = 1 - min(self.decay, (1 + step) / (10 + step))
        with no_grad():
            for now, mean in self.pairs:
                apply("update_running", mean, now, momentum=momentum, correction=1.0)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        for _, tensor, _, mean in self.places:
            tensor.data = mean
        try:
            yield
        finally:
            for _, tensor, now, _ in self.places:
                tensor.data = now

    def state_dict(self) -> dict[str, np.ndarray]:
        return {f"{KEY}{path}": Tensor(now).numpy() for path, _, now, _ in self.places}

    def load_state_dict(self, arrays: Mapping[str, np.ndarray], where: str) -> None:
        if lines := tensors.misfits(self.state_dict(), arrays):
            raise CheckpointError(f"{where}: does not fit the average", why="; ".join(lines[:6]))
        self.begin()
        for path, _, now, _ in self.places:
            Tensor(now).write(arrays[f"{KEY}{path}"])


def of(decay: float | None, model: Model, optimizers: Sequence[Any]) -> Averaging:
    """With a decay, which is that of many steps; without one there is no average."""
    return NoAverage() if decay is None else Average(decay, model, optimizers)


def split(arrays: Mapping[str, np.ndarray]) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """What a checkpoint has under "optimizer": the optimisers' own arrays, and the weights."""
    weights = {key: a for key, a in arrays.items() if key.startswith(KEY)}
    return {key: a for key, a in arrays.items() if key not in weights}, weights
