"""Where training stands: everything besides weights and optimisers that the next step depends on.

It is a checkpoint's state.json. Python writes floats so that they are read back exactly.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from dlcli.errors import CheckpointError
from dlcli.train.recipe import Recipe, lower_is_better, reached

LATER = ("skipped", "halvings")  # which checkpoints of version 0.1 lack


@dataclass(frozen=True)
class Summary:
    """What `fit` did.

    steps, epochs: done in all, over all parts of a resumed run. stop: why it ended, "epochs",
    "max_steps", "max_time", "patience" or "until". already_finished: it was resumed and there was
    nothing left to do. best: the record of metrics.jsonl with the best `monitor`, None where
    there is none. last: the last record. seconds: of training in all. images_per_second: of
    training in this process, validation left out. skipped: steps that were not finite. waited: the
    share of that time in which no batch was ready. peak_bytes: the most memory that the process
    has held, None where the system does not say.
    """

    steps: int
    epochs: int
    stop: str
    already_finished: bool
    best: dict[str, Any] | None
    last: dict[str, Any] | None
    seconds: float
    images_per_second: float
    skipped: int = 0
    waited: float = 0.0
    peak_bytes: int | None = None


@dataclass
class Progress:
    """step: steps done. epoch: epochs done, and so the index of the current one. batch: batches
    of it that are done, the loader's position. sums, samples: of its training figures so far.
    lr: of the last step. records: lines of metrics.jsonl. best, last: the best and the last of
    them. stale: epochs since `monitor` improved. seconds: spent in all. schedule: the state of
    one that adapts. recipe: by which it was trained so far. fingerprint: of the dataset. skipped:
    steps that were not finite. halvings: of batches that did not fit into memory.
    """

    step: int = 0
    epoch: int = 0
    batch: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    samples: int = 0
    lr: float = 0.0
    records: int = 0
    best: dict[str, Any] | None = None
    last: dict[str, Any] | None = None
    stale: int = 0
    seconds: float = 0.0
    schedule: dict[str, Any] = field(default_factory=dict)
    recipe: dict[str, Any] = field(default_factory=dict)
    fingerprint: str = ""
    skipped: int = 0
    halvings: int = 0

    def to_json(self) -> dict[str, Any]:
        """The fields; those that differ between two runs of one recipe stand under "timing"."""
        values = dataclasses.asdict(self)
        values["timing"] = {"seconds": values.pop("seconds")}
        return values

    @classmethod
    def from_json(cls, state: dict[str, Any], where: str) -> Progress:
        """What `to_json` gave. CheckpointError: a field is missing or of another type."""
        timing = state.get("timing")
        values = {**state, **timing} if isinstance(timing, dict) else dict(state)
        values.pop("timing", None)
        found = cls()
        for f in dataclasses.fields(cls):
            default = getattr(found, f.name)
            wanted: Any = dict | None if default is None else type(default)
            value = values.get(f.name, default if f.name in LATER else ...)
            if isinstance(default, float) and type(value) is int:
                value = float(value)
            if not isinstance(value, wanted) or isinstance(value, bool):
                raise CheckpointError(f"{where}: damaged", why=f"its {f.name!r} is not usable")
            setattr(found, f.name, value)
        counts = (found.step, found.epoch, found.batch, found.samples, found.records, found.stale)
        if min(*counts, found.skipped, found.halvings) < 0:
            raise CheckpointError(f"{where}: damaged", why="a count is negative")
        return found

    @property
    def unvalidated(self) -> bool:
        """Whether steps were done since the last validation."""
        return self.step > 0 and (self.last is None or self.last["step"] != self.step)

    def improves(self, record: dict[str, Any], monitor: str) -> tuple[bool, bool]:
        """Whether `record` is the best so far, and whether by `monitor` itself.

        Of two with the same value the one with the lower "val_loss" is better; that makes it the
        best, but is no reason for patience.
        """
        value = record.get(monitor)
        if value is None:
            return False, False
        if self.best is None:
            return True, True
        before = self.best[monitor]
        if value != before:
            better = (value < before) == lower_is_better(monitor)
            return better, better
        loss, loss_before = record.get("val_loss"), self.best.get("val_loss")
        return loss is not None and (loss_before is None or loss < loss_before), False

    def why_stop(self, recipe: Recipe) -> str | None:
        """The reason not to go on, between epochs; None to go on."""
        last = self.last or {}
        if any(reached(name, last.get(name), limit) for name, limit in recipe.until.items()):
            return "until"
        if recipe.patience is not None and self.stale >= recipe.patience:
            return "patience"
        if self.epoch >= recipe.epochs:
            return "epochs"
        return self.why_stop_now(recipe, self.seconds)

    def why_stop_now(self, recipe: Recipe, seconds: float) -> str | None:
        """The reason not to take another step, `seconds` having been spent; None to go on."""
        if recipe.max_steps is not None and self.step >= recipe.max_steps:
            return "max_steps"
        if recipe.max_time is not None and self.step and seconds >= recipe.max_time:
            return "max_time"  # after one step at least, so that there is something to validate
        return None
