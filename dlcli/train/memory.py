"""What is done when a step does not fit into memory: batches are cut into pieces.

Each piece has its own pass forwards and backwards, and counts by its share of the batch, so that
the gradient is that of the whole batch (see `step.py`). Three things are not quite the same: batch
norm sees each piece alone, random numbers (dropout, noise) are drawn piece by piece, and sums are
rounded in another order. A batch is halved at most three times; what is found out stays for the
rest of the run.
"""

from __future__ import annotations

import dataclasses
import sys
import tracemalloc
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from dlcli.engine import executor
from dlcli.errors import OutOfMemoryError
from dlcli.train.protocol import Batch, Model

if TYPE_CHECKING:
    from dlcli.train.step import Stepper

MOST_HALVINGS = 3
MIB = 1 << 20
FREE = "free some memory, then go on with `dlcli train --resume {run}`"


class TooLarge(MemoryError):  # internal: the loop turns it into an OutOfMemoryError
    """A step does not fit into memory however its batch is cut.

    batch: that did not fit. clean: as of `step.Halted`.
    """

    def __init__(self, batch: Batch, clean: bool) -> None:
        super().__init__("out of memory")
        self.batch, self.clean = batch, clean


class Pieces:
    """Into what batches are cut: pieces of at most `most` samples, after so many `halvings`.

    batch_size: of a whole batch; where nobody says it, that of the first one that did not fit.
    many: what samples are called. tell: is given a line whenever a batch is halved.
    """

    def __init__(self, model: Model) -> None:
        self.whole = hasattr(model, "hold")  # it carries a state for each row of whole batches
        self.normed = any(name.endswith("running_mean") for name in model.named_buffers())
        self.halvings, self.batch_size = 0, 0
        self.tell: Callable[[str], None] = lambda line: None
        self.many = "samples"

    @property
    def most(self) -> int:
        """Samples of a piece."""
        return max(1, -(-self.batch_size // 2**self.halvings))

    def of(self, group: Sequence[Batch]) -> list[Batch]:
        """The batches of a group, cut if that was found to be necessary."""
        if not self.halvings:
            return list(group)
        return [piece for batch in group for piece in cut(batch, self.most)]

    def halve(self, pieces: Sequence[Batch]) -> bool:
        """Halves the pieces, which did not fit; False where that cannot be done any more."""
        largest = max(len(piece.indices) for piece in pieces)
        if self.whole or largest < 2 or self.halvings >= MOST_HALVINGS:
            return False
        self.batch_size = self.batch_size or largest
        self.halvings += 1
        but = "; batch norm sees each piece alone" if self.normed else ""
        self.tell(
            f"a step of {largest:,} {self.many} does not fit into memory: from here on a batch is"
            f" cut into {2**self.halvings} pieces of at most {self.most:,}, with the gradient of"
            f" the whole{but}"
        )
        return True


def peak() -> int | None:
    """The most bytes that this process has held at a time; None where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return held if sys.platform == "darwin" else held * 1024


def cut(batch: Any, most: int) -> list[Batch]:
    """A batch in pieces of at most `most` samples, views of its arrays; whole if it cannot be cut.

    Of a batch of sentences y has an entry for each word, (B·T,): those of a sentence stay with it.
    """
    n = len(batch.indices)
    rows = all(len(array) == n for array in batch.inputs)
    if n <= most or not rows or len(batch.y) % n:
        return [batch]
    each = len(batch.y) // n
    return [
        dataclasses.replace(
            batch,
            x=batch.x[lo : lo + most],
            y=batch.y[lo * each : (lo + most) * each],
            indices=batch.indices[lo : lo + most],
            more=tuple(array[lo : lo + most] for array in batch.more),
        )
        for lo in range(0, n, most)
    ]


def explain(stepper: Stepper, found: TooLarge, step: int, many: str, run: str) -> OutOfMemoryError:
    """The error to raise, with what a step needs and a size of batch that was tried and fits."""
    n, pieces = len(found.batch.indices), stepper.pieces
    part = f", cut into {2**pieces.halvings}," if pieces.halvings else ""
    whole = pieces.batch_size or n
    what = f"out of memory in step {step + 1}: a batch of {whole:,} {many}{part} does not fit"
    if pieces.whole:
        hint = "use a smaller --batch-size or a smaller model"
        return OutOfMemoryError(what, why="it carries states and cannot be cut", hint=hint)
    fits, one, each = _try(stepper, found.batch, n // 2)
    if not fits:
        why = "not even one alone does"
        return OutOfMemoryError(
            what, why=why, hint=f"use a smaller model, or {FREE.format(run=run)}"
        )
    hint = f"start anew with --batch-size {fits}, which was tried and fits, or free some memory"
    if executor.current().device != "cpu":
        return OutOfMemoryError(what, why="its memory is that of the GPU", hint=hint)
    total = (one + each * (whole - 1)) / MIB
    why = f"by estimate its step takes {total:,.1f} MiB, that of one alone {one / MIB:,.1f} MiB"
    return OutOfMemoryError(what, why=why, hint=hint)


def _try(stepper: Stepper, batch: Batch, most: int) -> tuple[int, float, float]:
    """The most samples, halving from `most`, of which a step fits, 0 if none; the bytes that a
    step of one sample takes at its peak, and those of each further one.
    """
    fits, peak = most, None
    while fits and (peak := _peak(stepper, batch, fits)) is None:
        fits //= 2
    if peak is None:
        return 0, 0.0, 0.0
    one = _peak(stepper, batch, 1)
    if one is None or fits == 1:
        return fits, peak / fits, peak / fits
    return fits, one, max(0.0, (peak - one) / (fits - 1))


def _peak(stepper: Stepper, batch: Batch, size: int) -> int | None:
    """Bytes that the gradients of the first samples of a batch take at the peak, None: they do not
    fit. It leaves no trace in the model.
    """
    tracemalloc.start()
    try:
        fitted = stepper.rehearse(cut(batch, size)[0])
        return tracemalloc.get_traced_memory()[1] if fitted else None
    finally:
        tracemalloc.stop()
