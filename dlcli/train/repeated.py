"""Steps that come up again and again, done as a whole: their ops may be repeated without Python.

Nothing is read before the end. A loss or gradient that is not finite sets a flag that all phases
share, and no optimiser moves anything from there on; so it is found out afterwards.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from dlcli.engine import tape
from dlcli.engine.planner import Planner
from dlcli.engine.tensor import Rows, Tensor
from dlcli.train.memory import TooLarge
from dlcli.train.protocol import Batch, Model, Phase


class Halted(Exception):  # internal: the loop turns it into a NonFiniteError
    """A loss or gradient of `phase` is not finite.

    clean: no phase has updated anything in this step and the buffers are those of before, so
    that the model is in the state from before the step.
    """

    def __init__(self, phase: str, loss: float, grad_norm: float | None, clean: bool) -> None:
        super().__init__(phase)
        self.phase, self.loss, self.grad_norm, self.clean = phase, loss, grad_norm, clean


class Done(NamedTuple):
    """What a phase has found in a step, on the device. squares: its gradient's squared norm."""

    phase: Phase
    optimizer: Any
    loss: Tensor
    outputs: dict[str, Tensor]
    squares: Tensor


Measured = tuple[Phase, Tensor, dict[str, Tensor]]  # its loss, its outputs


class Repeater:
    """The phases of a model, each with its optimiser. Whether plans may be made, the model says."""

    def __init__(self, model: Model, phases: Sequence[Phase], optimizers: Sequence[Any]) -> None:
        self.model, self.phases, self.optimizers = model, phases, optimizers
        self.planner = Planner(enabled=getattr(model, "plan", False))
        self._moved = [t for o in optimizers if o is not None for t in o.tensors()]
        if self.planner.enabled:
            self._moved += model.named_parameters().values()

    def step(
        self, due: Sequence[tuple[Phase, Any]], batch: Batch, lr: float, buffers: Sequence[Tensor]
    ) -> list[Done] | None:
        """A step by its plan, or one that a plan is to be made of. None: it is neither, and nothing
        was done. buffers: the model's.

        MemoryError: it does not fit into memory, no phase has moved anything. TooLarge: some have.
        """
        done: list[Done] = []
        called = False

        def whole() -> list[Done]:
            nonlocal called
            called = True
            return self._whole(due, batch, done)

        for _, optimizer in due:
            optimizer.lr.write(lr)
        key = "step", *[phase.name for phase, _ in due]
        try:
            found: list[Done] | None = self.planner.run(
                key,
                [*self._moved, *buffers, *tables_of(batch)],
                arrays_of(batch),
                whole,
                _outputs,
            )
        except MemoryError:
            if done or not called:  # how far a plan came is not known
                raise TooLarge(batch, clean=False) from None
            raise
        for one in found or ():
            one.optimizer.squares = one.squares
        return found

    def measure(self, batch: Batch) -> Iterable[Measured]:
        """The losses and outputs of all phases, by a plan where there is one."""
        found: list[Measured] | None = self.planner.run(
            ("measure",),
            [*self._moved, *self.model.named_buffers().values(), *tables_of(batch)],
            arrays_of(batch),
            lambda: list(self._losses(batch)),
            _outputs,
        )
        return self._losses(batch) if found is None else found

    def _whole(
        self, due: Sequence[tuple[Phase, Any]], batch: Batch, done: list[Done]
    ) -> list[Done]:
        """A step; `done` grows with its phases."""
        for phase, optimizer in due:
            optimizer.zero_grad()
            with others_frozen(phase, self.phases):
                loss, outputs = phase.loss(batch)
                optimizer.watch(loss)
                tape.backward(loss)
            optimizer.update()
            done.append(Done(phase, optimizer, loss, outputs, optimizer.squares))
            if hasattr(phase, "after"):
                phase.after()
        return done

    def _losses(self, batch: Batch) -> Iterator[Measured]:
        for phase in self.phases:
            yield phase, *phase.loss(batch)


def finite(done: Sequence[Done]) -> list[float]:
    """The losses of a step. Halted: one of them, or a gradient, is not finite."""
    losses = [found.loss.item() for found in done]
    if done[0].optimizer.halted():
        for i, (found, loss) in enumerate(zip(done, losses, strict=True)):
            norm = found.optimizer.grad_norm()
            if not math.isfinite(loss):
                raise Halted(found.phase.name, loss, None, clean=i == 0)
            if not math.isfinite(norm):
                raise Halted(found.phase.name, loss, norm, clean=i == 0)
        raise Halted(done[0].phase.name, losses[0], None, clean=True)  # by an earlier step
    return losses


@contextmanager
def others_frozen(phase: Phase, phases: Sequence[Phase]) -> Iterator[None]:
    """Parameters of other phases require no gradient within this."""
    own = {id(tensor) for tensor in phase.parameters.values()}
    others = [t for p in phases for t in p.parameters.values() if id(t) not in own]
    for tensor in others:
        tensor.requires_grad = False
    try:
        yield
    finally:
        for tensor in others:
            tensor.requires_grad = True


def arrays_of(batch: Any) -> list[np.ndarray]:
    """What of a batch a model may take and the host has."""
    shares = getattr(batch, "shares", None)
    inputs = [x.ids if isinstance(x, Rows) else x for x in batch.inputs]
    return [*inputs, batch.y, batch.indices, *([] if shares is None else [shares])]


def tables_of(batch: Any) -> list[Tensor]:
    """What of a batch is on the device."""
    return [x.table for x in batch.inputs if isinstance(x, Rows)]


def _outputs(found: Sequence[Done | Measured]) -> Iterator[Tensor]:
    for one in found:
        yield from one[3 if isinstance(one, Done) else 2].values()
