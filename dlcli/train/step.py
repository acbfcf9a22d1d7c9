"""One training step, and one pass over the validation part.

A step runs every phase that is due in order: forget the gradients, loss and gradients of each batch
of the group, update. What a phase does not move requires no gradient meanwhile, and costs none.
With several batches (gradient accumulation) each counts by its share of the images, so that the
gradient is that of one large batch. A batch that does not fit into memory is cut into several.

A step on one batch may be repeated by a plan: see `repeated.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import Any

import numpy as np

from dlcli.data.loader import Loader
from dlcli.engine import executor, tape
from dlcli.engine.tensor import Tensor
from dlcli.errors import CheckpointError, UsageError
from dlcli.train import repeated, tensors
from dlcli.train.evaluate import inference
from dlcli.train.memory import Pieces, TooLarge
from dlcli.train.metrics import Sums
from dlcli.train.protocol import Batch, Model, Phase
from dlcli.train.repeated import Halted, Repeater, others_frozen

FREEZE = "leave some of them out of --freeze, such as the last layer's"


def phases(model: Model) -> list[Phase]:
    """The model's phases, each with those of its parameters that are not frozen.

    UsageError: of a phase nothing is left to train.
    """
    found = model.phases()
    for phase in found:
        every = phase.parameters
        phase.parameters = {k: t for k, t in every.items() if t.requires_grad}
        if every and not phase.parameters:
            what = f"nothing of the phase '{phase.name}' is left to train"
            raise UsageError(what, why="all of its parameters are frozen", hint=FREEZE)
    return found


class Stepper:
    """The phases of a model, each with its optimiser. make(phase) gives the optimiser."""

    def __init__(self, model: Model, make: Callable[[Phase], Any]) -> None:
        self.model = model
        self.phases = phases(model)
        self.optimizers = [make(phase) for phase in self.phases]
        for optimizer in self.optimizers[1:]:
            if optimizer is not None:  # one that is not finite stops those after it
                optimizer.halt = self.optimizers[0].halt
        self.pieces = Pieces(model)
        self.repeater = Repeater(model, self.phases, self.optimizers)

    def step(
        self, group: Sequence[Batch], lr: float, number: int
    ) -> tuple[float, dict[str, float], int]:
        """Updates the model once: the mean loss, the sums of all figures, the number of images.

        number: of the step, by which a phase that is not in every step is due. Halted: a loss or
        gradient was not finite. TooLarge: it does not fit into memory, however it is cut. The
        model's buffers are then those of before.
        """
        kept = Kept(self.model)
        images = sum(len(batch.y) for batch in group)
        pieces, due = self.pieces.of(group), self._due(number)
        sums = self._repeated(due, pieces[0], lr, kept) if len(pieces) == 1 else None
        if sums is None:
            sums = self._step(due, pieces, group, lr, kept)
        return Sums(sums, images).means()["loss"], sums, images

    def _due(self, number: int) -> list[tuple[Phase, Any]]:
        """The phases that step `number` has, with their optimisers."""
        both = zip(self.phases, self.optimizers, strict=True)
        return [(phase, opt) for phase, opt in both if number % getattr(phase, "every", 1) == 0]

    def _step(
        self,
        due: Sequence[tuple[Phase, Any]],
        pieces: Sequence[Batch],
        group: Sequence[Batch],
        lr: float,
        kept: Kept,
    ) -> dict[str, float]:
        """The sums of all figures of a step in pieces, of which what does not fit is halved."""
        images, total, clean = sum(len(batch.y) for batch in group), Sums(), True
        for phase, optimizer in due:
            before = kept if clean else Kept(self.model)
            try:
                while (sums := self._gradients(phase, optimizer, pieces, images)) is None:
                    before.restore()
                    if not self.pieces.halve(pieces):
                        largest = max(pieces, key=lambda piece: len(piece.indices))
                        raise TooLarge(largest, clean)
                    pieces = self.pieces.of(group)
            except (Halted, TooLarge) as stop:
                kept.restore()
                stop.clean = clean
                raise
            optimizer.step(lr)
            if optimizer.halted():
                kept.restore()
                value = Sums(sums.sums, images).means()["loss"] / getattr(phase, "every", 1)
                raise Halted(phase.name, value, float(optimizer.grad_norm()), clean)
            clean = False
            total.add(sums.sums, 0)
            total.add(self._norms(phase, optimizer, images), 0)
            if hasattr(phase, "after"):
                phase.after()
        return total.sums

    def _norms(self, phase: Phase, optimizer: Any, images: int) -> dict[str, float]:
        """The norm of the phase's gradient as a sum over the images, where there are several."""
        if len(self.phases) == 1:
            return {}
        norm = optimizer.grad_norm() * images * getattr(phase, "every", 1)
        return {f"{phase.name}_grad_norm": norm}

    def _repeated(
        self, due: Sequence[tuple[Phase, Any]], batch: Batch, lr: float, kept: Kept
    ) -> dict[str, float] | None:
        """The sums of all figures of a step that is repeated, None if it is not: see `Repeater`."""
        try:
            done = self.repeater.step(due, batch, lr, kept.tensors)
        except MemoryError as error:
            kept.restore()
            self._forget()
            if isinstance(error, TooLarge):
                raise
            return None
        if done is None:
            return None
        try:
            losses = repeated.finite(done)
        except Halted:
            kept.restore()
            raise
        total = Sums()
        for (phase, optimizer, _, outputs, _), loss in zip(done, losses, strict=True):
            every = getattr(phase, "every", 1)
            total.add(self._sums(phase, loss, outputs, batch, every), 0)
            total.add(self._norms(phase, optimizer, len(batch.y)), 0)
        return total.sums

    def _gradients(
        self, phase: Phase, optimizer: Any, pieces: Sequence[Batch], images: int
    ) -> Sums | None:
        """The gradients of a phase over `images` in pieces, left with its optimiser; the sums of
        its figures, or None: they do not fit into memory. Halted: a loss was not finite.
        """
        every, total = getattr(phase, "every", 1), Sums()
        optimizer.zero_grad()
        try:
            with others_frozen(phase, self.phases):
                for batch in pieces:
                    loss, outputs = phase.loss(batch)
                    optimizer.watch(loss)
                    value = loss.item()
                    if not math.isfinite(value):
                        tape.clear()
                        raise Halted(phase.name, value, None, clean=True)
                    share = len(batch.y) / images
                    tape.backward(loss if share == 1 else tape.apply("scale", loss, by=share))
                    total.add(self._sums(phase, value, outputs, batch, every), 0)
        except MemoryError:  # with it goes its traceback, which holds what was made so far
            self._forget()
            return None
        return total

    def _forget(self) -> None:
        """Lets go of what a pass made that was broken off."""
        tape.clear()
        if hasattr(self.model, "forget"):
            self.model.forget()

    def rehearse(self, batch: Batch) -> bool:
        """Whether the gradients of a batch fit into memory. It leaves no trace in the model."""
        kept = Kept(self.model)
        try:
            for phase, optimizer in zip(self.phases, self.optimizers, strict=True):
                if self._gradients(phase, optimizer, [batch], len(batch.y)) is None:
                    return False
            return True
        except Halted:
            return True  # it was computed
        finally:
            kept.restore()
            self._forget()
            self.resume()

    def resume(self) -> None:
        """Takes back that a step was not finite: it is left out for good."""
        for optimizer in self.optimizers:
            optimizer.resume()

    def validate(self, loader: Loader, stop: Callable[[], bool]) -> Sums | None:
        """The sums of the figures over a part, which leaves no trace in the model.

        None: stop(), which is asked after each batch, said so.
        """
        kept, total = Kept(self.model), Sums()
        with inference(self.model), closing(loader.epoch(0)) as batches:
            for batch in batches:
                while (found := self._measured(batch)) is None:
                    if not self.pieces.halve(self.pieces.of([batch])):
                        raise TooLarge(batch, clean=True)
                total.add(found.sums, found.samples)
                if stop():
                    break
        kept.restore()
        return None if stop() else total

    def _measured(self, batch: Batch) -> Sums | None:
        """The sums of the figures over a batch, None: it does not fit into memory."""
        total = Sums()
        try:
            for piece in self.pieces.of([batch]):
                for phase, loss, outputs in self.repeater.measure(piece):
                    total.add(self._sums(phase, loss.item(), outputs, piece, 1), 0)
                total.samples += len(piece.y)
        except MemoryError:
            self._forget()
            return None
        return total

    def _sums(
        self, phase: Phase, loss: float, outputs: dict[str, Tensor], batch: Batch, every: int
    ) -> dict[str, float]:
        """Sums over a batch: "loss", of all phases together, their own, the model's. A batch of a
        phase that is due in one of `every` steps stands for those of the others.
        """
        sums = {"loss": loss * len(batch.y) * every}
        if len(self.phases) > 1:
            sums[f"{phase.name}_loss"] = sums["loss"]
        return {**sums, **self.model.measure(outputs, batch)}

    def state_dict(self) -> dict[str, np.ndarray]:
        """The optimisers' arrays under "<phase>/<key>"."""
        return {
            f"{phase.name}/{key}": array
            for phase, optimizer in zip(self.phases, self.optimizers, strict=True)
            for key, array in optimizer.state_dict().items()
        }

    def load_state_dict(self, arrays: Mapping[str, np.ndarray], where: str) -> None:
        """Copies what `state_dict` gave. CheckpointError: it does not fit; `where` is named."""
        if lines := tensors.misfits(self.state_dict(), arrays):
            raise CheckpointError(f"{where}: does not fit the optimiser", why="; ".join(lines[:6]))
        for phase, optimizer in zip(self.phases, self.optimizers, strict=True):
            start = f"{phase.name}/"
            own = {k.removeprefix(start): a for k, a in arrays.items() if k.startswith(start)}
            optimizer.load_state_dict(own)


class Kept:
    """A copy of a model's buffers, to put back what a forward pass moved."""

    def __init__(self, model: Model) -> None:
        copy = executor.current().copy
        self.buffers = [(t, copy(t.data)) for t in model.named_buffers().values()]

    def restore(self) -> None:
        """Puts the copies back."""
        for tensor, data in self.buffers:
            tensor.data[...] = data

    @property
    def tensors(self) -> list[Tensor]:
        """Those that were copied."""
        return [tensor for tensor, _ in self.buffers]
