"""The training loop: steps, validation, the best and the last checkpoint, and every way to stop.

A resumed run is bit-identical to one that never stopped: all that the next step depends on is in
the checkpoint (see `progress.py`) or a function of the recipe.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any

from dlcli import optim, schedule
from dlcli.data.dataset import Dataset
from dlcli.data.loader import Loader
from dlcli.data.normalize import Normalize
from dlcli.errors import DataError, DlcliError, OutputError, UsageError
from dlcli.train import checkpoint, jsonfile
from dlcli.train.checkpoint import Checkpoint
from dlcli.train.metrics import Sums
from dlcli.train.progress import Progress
from dlcli.train.protocol import Adaptive, Batch, Model, Observer, Quiet
from dlcli.train.recipe import Recipe, lower_is_better
from dlcli.train.run import RunDir
from dlcli.train.signals import Interrupted, Signals
from dlcli.train.step import Stepper
from dlcli.train.validate import validate

__all__ = ["Interrupted", "Summary", "Trainer"]


@dataclass(frozen=True)
class Summary:
    """What `fit` did.

    steps, epochs: done in all, over all parts of a resumed run. stop: why it ended, "epochs",
    "max_steps", "max_time", "patience" or "until". already_finished: it was resumed and there was
    nothing left to do. best: the record of metrics.jsonl with the best `monitor`, None where
    there is none. last: the last record. seconds: of training in all. images_per_second: of
    training in this process, validation left out.
    """

    steps: int
    epochs: int
    stop: str
    already_finished: bool
    best: dict[str, Any] | None
    last: dict[str, Any] | None
    seconds: float
    images_per_second: float


class Trainer:
    """Trains `model` on `dataset` by `recipe` in `run`.

    model_info: {"name", "config"} of the model, kept for eval and predict. normalize: fitted on
    the training part unless given or resumed. resume: a checkpoint of `run` to go on from; the
    recipe may then differ from the run's in `recipe.CHANGEABLE`. With more epochs or steps the
    schedule is laid out anew over the new total, so bit-identity holds for equal totals.
    workers: loader threads; their number changes nothing else.

    UsageError: the recipe's names are unknown, `monitor` cannot be computed, or the dataset is
    not the one that the run began with. CheckpointError: the checkpoint does not fit.
    """

    def __init__(
        self,
        model: Model,
        dataset: Dataset,
        recipe: Recipe,
        run: RunDir,
        *,
        model_info: Mapping[str, Any] | None = None,
        normalize: Normalize | None = None,
        observer: Observer | None = None,
        resume: Checkpoint | None = None,
        workers: int = 1,
    ) -> None:
        self.model, self.dataset, self.recipe, self.run = model, dataset, recipe, run
        self.observer: Observer = observer or Quiet()
        self.resumed = resume is not None
        self.progress = Progress(recipe=recipe.to_dict(), fingerprint=dataset.fingerprint)
        self.warnings = list(resume.warnings) if resume else []
        train, val = dataset.splits["train"], dataset.splits["val"]
        if not len(train):
            raise DataError(f"{dataset.name}: the training part is empty")
        if not len(val) and recipe.monitor.startswith("val_"):
            raise UsageError(
                f"monitor = {recipe.monitor!r} is not possible",
                why=f"{dataset.name} has no validation part",
                hint="set monitor=loss",
            )
        if resume is not None:
            self.progress = self._resumed(resume)
            normalize = Normalize.from_json(resume.model_info.get("normalize"))
            model_info = {**resume.model_info, **(model_info or {})}
        self.normalize = normalize or Normalize.fit(train)
        self.model_info = {
            **(model_info or {}),
            "input_shape": list(dataset.shape),
            "classes": list(dataset.classes),
            "normalize": self.normalize.to_json(),
            "data": dataset.source,
            "fingerprint": dataset.fingerprint,
        }
        settings: dict[str, Any] = {"seed": recipe.seed, "shuffle": True, "workers": workers}
        self.loader = Loader(train, self.normalize, recipe.batch_size, **settings)
        self.val_loader = Loader(val, self.normalize, recipe.batch_size, workers=workers)
        self.steps_per_epoch = -(-len(self.loader) // recipe.accumulate)
        self.total_steps = recipe.epochs * self.steps_per_epoch
        if recipe.max_steps is not None:
            self.total_steps = min(self.total_steps, recipe.max_steps)
        self.schedule = self._make_schedule()
        phases = model.phases()
        self.stepper = Stepper(model, {p.name: (p, self._make_optimizer(p)) for p in phases})
        if resume is not None:
            self.stepper.load(resume)
            checkpoint.restore(model, resume)
            if isinstance(self.schedule, Adaptive):
                self.schedule.load(self.progress.schedule)
        self.signals = Signals()
        self._seconds_before, self._started = self.progress.seconds, time.monotonic()
        self._busy, self._images = 0.0, 0

    def _resumed(self, resume: Checkpoint) -> Progress:
        progress = Progress.from_json(resume.state, f"{resume.source}/state.json")
        if progress.fingerprint != self.dataset.fingerprint:
            raise UsageError(
                f"{self.dataset.name} is not the data that {self.run.name} began with",
                why="its fingerprint differs: other samples, classes or order",
                hint="give the original data, or start a new run",
            )
        Recipe.from_dict(progress.recipe).resume_as(self.recipe.complete())
        progress.recipe = self.recipe.to_dict()
        return progress

    def _make_schedule(self) -> Any:
        settings: dict[str, Any] = {}
        if self.recipe.schedule == "plateau":
            settings["mode"] = "min" if lower_is_better(self.recipe.monitor) else "max"
        return schedule.make(
            self.recipe.schedule,
            lr=self.recipe.resolved_lr(),
            total_steps=self.total_steps,
            warmup_steps=self.recipe.warmup,
            **settings,
        )

    def _make_optimizer(self, phase: Any) -> Any:
        recipe = self.recipe
        settings = {} if recipe.momentum is None else {"momentum": recipe.momentum}
        return optim.make(
            recipe.optimizer,
            phase.parameters,
            weight_decay=recipe.weight_decay,
            l1=recipe.l1,
            clip_norm=recipe.clip_norm,
            clip_value=recipe.clip_value,
            **settings,
        )

    # --- from the first step to the last

    def fit(self) -> Summary:
        """Trains until the recipe says stop.

        Holds the run's lock, handles SIGINT and SIGTERM while it runs (in the main thread), and
        keeps status.json. NonFiniteError (7): a loss or gradient became NaN or infinite; the
        weights are those of before, and nan.json has the last batches' samples. Interrupted
        (130, 143): a signal came, "last" was saved. OutputError (9): a save failed, the old
        checkpoint is intact.
        """
        with self.run.lock():
            if (stop := self.progress.why_stop(self.recipe)) is not None:
                return self._finish(stop, already=True)
            with self.signals:
                return self._fit()

    def _fit(self) -> Summary:
        self._begin()
        outcome: dict[str, Any] = {"state": "failed", "error": "an unexpected error"}
        try:
            self.model.train()
            while (stop := self.progress.why_stop(self.recipe)) is None:
                self._epoch()
            self._status(state="finished", stop=stop)
        except Interrupted as signal:
            outcome = {"state": "interrupted", "error": signal.what}
            raise
        except DlcliError as error:
            outcome = {"state": "failed", "error": error.what}
            raise
        except KeyboardInterrupt:
            outcome = {"state": "interrupted", "error": "interrupted"}
            raise
        else:
            outcome = {}
        finally:
            if outcome:
                with suppress(OutputError):  # the error on its way says more
                    self._status(**outcome)
        return self._finish(stop, already=False)

    def _begin(self) -> None:
        if not self.resumed and self.run.checkpoints.exists():
            raise UsageError(
                f"{self.run.path}: has been trained already",
                hint=f"resume it with `dlcli train --resume {self.run.path}`",
            )
        kept = self.run.truncate_metrics(self.progress.records)
        if kept != self.progress.records:
            self.warnings.append(f"{self.run.path}/metrics.jsonl: earlier lines are lost")
            self.progress.records = kept
        self._started = time.monotonic()
        self._status(state="running", error=None, stop=None)
        info = {
            "run": str(self.run.path),
            "step": self.progress.step,
            "epoch": self.progress.epoch,
            "epochs": self.recipe.epochs,
            "steps_per_epoch": self.steps_per_epoch,
            "total_steps": self.total_steps,
            "train_images": len(self.loader.split),
            "val_images": len(self.val_loader.split),
            "batch_size": self.recipe.batch_size,
            "monitor": self.recipe.monitor,
            "parameters": sum(t.data.size for t in self.model.named_parameters().values()),
            "warnings": self.warnings,
        }
        self.observer.on_start(info)

    def _finish(self, stop: str, *, already: bool) -> Summary:
        p = self.progress
        speed = self._images / self._busy if self._busy else 0.0
        summary = Summary(p.step, p.epoch, stop, already, p.best, p.last, p.seconds, speed)
        self.observer.on_stop(summary)
        return summary

    def _epoch(self) -> None:
        """Steps to the end of the epoch or of the training, then validation and checkpoints."""
        p, recipe = self.progress, self.recipe
        started, images = time.monotonic(), 0
        with closing(self.loader.epoch(p.epoch, p.batch)) as batches:
            while group := list(islice(batches, recipe.accumulate)):
                images += self._step(group)
                self._heed_signals()
                if p.why_stop_now(recipe, self._seconds()) is not None:
                    break
                ends = p.batch == len(self.loader)
                if recipe.checkpoint_every and p.step % recipe.checkpoint_every == 0 and not ends:
                    self._save("last")
        busy = time.monotonic() - started
        self._busy, self._images = self._busy + busy, self._images + images
        self._end_epoch({"seconds": busy, "images_per_second": images / busy if busy else 0.0})

    def _step(self, group: list[Batch]) -> int:
        """One update by each phase on a group of batches; the number of its images."""
        p = self.progress
        lr = float(self.schedule.at(p.step))
        try:
            loss, sums, images = self.stepper.step(group, lr)
        except DlcliError as error:
            raise self._halted(error, group, lr) from error
        p.step, p.batch, p.lr = p.step + 1, p.batch + len(group), lr
        totals = Sums(p.sums, p.samples)
        totals.add(sums, images)
        p.sums, p.samples = totals.sums, totals.samples
        self.observer.on_step(p.step, loss, lr, images)
        return images
