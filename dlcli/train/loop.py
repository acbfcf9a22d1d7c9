"""The training loop: steps, validation, the best and the last checkpoint, and every way to stop.

A resumed run is bit-identical to one that never stopped: all that the next step depends on is in
the checkpoint (see `progress.py`) or a function of the recipe.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from itertools import islice
from typing import Any

from dlcli.data.dataset import Dataset
from dlcli.data.kind import Encoder
from dlcli.engine.ahead import Ahead
from dlcli.errors import DlcliError, OutOfMemoryError, OutputError, UsageError
from dlcli.train import average, checkpoint, jsonfile, memory, nonfinite, prepare
from dlcli.train import task as tasks
from dlcli.train.checkpoint import Checkpoint
from dlcli.train.memory import TooLarge
from dlcli.train.metrics import Sums
from dlcli.train.progress import Progress, Summary
from dlcli.train.protocol import Batch, Model, Observer, Quiet
from dlcli.train.recipe import Recipe
from dlcli.train.run import RunDir
from dlcli.train.signals import Interrupted, Signals
from dlcli.train.step import Halted, Stepper

__all__ = ["Interrupted", "Summary", "Trainer"]

RECENT = 3  # batches whose samples are named after a NaN


class Trainer:
    """Trains `model` on `dataset` by `recipe` in `run`.

    model_info: {"name", "config"} of the model, kept for eval and predict. normalize: the encoder
    of its samples, fitted on the training part unless given or resumed. resume: a checkpoint of
    `run` to go on from; the recipe may then differ from the run's in `recipe.CHANGEABLE`. With more
    epochs or steps the schedule is laid out anew over the new total, so bit-identity holds for
    equal totals. workers: loader threads; their number changes nothing else.

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
        normalize: Encoder | None = None,
        observer: Observer | None = None,
        resume: Checkpoint | None = None,
        workers: int = 1,
    ) -> None:
        self.model, self.dataset, self.run = model, dataset, run
        self.recipe = recipe = recipe.with_(lr=recipe.resolved_lr())
        self.observer: Observer = observer or Quiet()
        self.resumed = resume is not None
        self.warnings = list(resume.warnings) if resume else []
        self.progress = Progress(recipe=recipe.to_dict(), fingerprint=dataset.fingerprint)
        prepare.check_data(dataset, recipe)
        if resume is not None:
            self.progress = prepare.resumed(resume, dataset, recipe)
            normalize = dataset.kind.from_json(resume.model_info.get("normalize"), dataset.shape)
            model_info = {**resume.model_info, **(model_info or {})}
        if normalize is None:
            normalize = dataset.kind.fit(dataset)
        self.model_info = {
            **(model_info or {}),
            "kind": dataset.kind.name,
            "input_shape": list(dataset.shape),
            "classes": list(dataset.classes),
            "normalize": normalize.to_json(),
            "data": dataset.source,
            "fingerprint": dataset.fingerprint,
        }
        self.loader, self.val_loader = prepare.loaders(model, dataset, normalize, recipe, workers)
        self.steps_per_epoch, self.total_steps = prepare.steps(len(self.loader), recipe)
        state = self.progress.schedule if resume else None
        self.schedule = prepare.make_schedule(recipe, self.total_steps, state)
        self.stepper = Stepper(model, lambda phase: prepare.make_optimizer(recipe, phase))
        self.average = average.of(recipe.ema, model, self.stepper.optimizers)
        self.average.begin()
        pieces = self.stepper.pieces
        pieces.batch_size, pieces.many = self.loader.reading.size, dataset.kind.many
        pieces.halvings, pieces.tell = self.progress.halvings, self._warn
        if hasattr(model, "hold"):
            model.hold(recipe.batch_size)  # room for states, before the first step is undone
        if resume is not None:
            checkpoint.restore(model, resume)
            moved, weights = average.split(resume.optimizer)
            self.stepper.load_state_dict(moved, str(resume.source))
            self.average.load_state_dict(weights, str(resume.source))
        self.signals, self.ahead = Signals(), Ahead()
        self._recent: deque[dict[str, Any]] = deque(maxlen=RECENT)
        self._started = time.monotonic() - self.progress.seconds
        self._busy, self._images, self._checked = 0.0, 0, False

    # --- from the first step to the last

    def fit(self) -> Summary:
        """Trains until the recipe says stop.

        Holds the run's lock, handles SIGINT, SIGTERM and SIGHUP while it runs (in the main
        thread), and keeps status.json. NonFiniteError (7): a loss or gradient became NaN or
        infinite, and no more steps may be skipped; the weights are those of before, and nan.json
        has the last batches' samples. OutOfMemoryError (6): a step does not fit, however its batch
        is cut; the weights are those of before. Interrupted (129, 130, 143): a signal came, "last"
        was saved. OutputError (9): a save failed, the old checkpoint is intact. UsageError: the run
        is another process's, was trained already, or the recipe asks for a figure that there is
        not.
        """
        with self.run.lock():
            stop = self.progress.why_stop(self.recipe)
            if already := stop is not None and not self.progress.unvalidated:
                if self.run.status().get("state") != "finished":  # killed just before it said so
                    self._status(state="finished", stop=stop)
            else:
                with self.signals:
                    stop = self._fit()
        p, speed = self.progress, self._images / self._busy if self._busy else 0.0
        about = p.step, p.epoch, stop, already, p.best, p.last, p.seconds, speed, p.skipped
        waited = self.loader.waited / self._busy if self._busy else 0.0
        summary = Summary(*about, waited, memory.peak())
        self.observer.on_stop(summary)
        return summary

    def _fit(self) -> str:
        self._begin()
        outcome = {"state": "failed", "error": "an unexpected error"}
        try:
            self.model.train()
            if not self.resumed:
                self._save("last")  # from here on the run can be resumed
            while (stop := self.progress.why_stop(self.recipe)) is None:
                self._epoch()
            if self.progress.unvalidated:  # stopped between, and resumed with no more steps to do
                self._end_epoch(0.0, 0, 0.0)
            outcome = {"state": "finished", "stop": stop}
        except DlcliError as error:
            state = "interrupted" if isinstance(error, Interrupted) else "failed"
            outcome = {"state": state, "error": error.what}
            raise
        finally:
            self.ahead.end()
            if outcome["state"] != "finished":
                with suppress(OutputError, MemoryError):  # the error that is on its way says more
                    self._status(**outcome)
        self._status(**outcome)
        return stop

    def _begin(self) -> None:
        if not self.resumed and not self.run.untouched():
            raise UsageError(
                f"{self.run.path} has been trained already",
                hint=f"go on with `dlcli train --resume {self.run.path}`",
            )
        kept = self.run.truncate_metrics(self.progress.records)
        if kept < self.progress.records:
            self.warnings.append(f"{self.run.path}/metrics.jsonl: earlier lines are lost")
            self.progress.records = kept
        self.run.truncate(nonfinite.SKIPPED, self.progress.skipped)
        self._started = time.monotonic() - self.progress.seconds
        self._status(state="running", error=None, stop=None)
        self.observer.on_start(
            {
                "run": str(self.run.path),
                "step": self.progress.step,
                "epoch": self.progress.epoch,
                "epochs": self.recipe.epochs,
                "steps_per_epoch": self.steps_per_epoch,
                "total_steps": self.total_steps,
                "samples": self.dataset.kind.many,
                "train_images": len(self.loader.split),
                "val_images": len(self.val_loader.split),
                "batch_size": self.loader.reading.size,
                "monitor": self.recipe.monitor,
                "parameters": sum(t.size for t in self.model.named_parameters().values()),
                "warnings": self.warnings,
            }
        )

    def _epoch(self) -> None:
        """Steps to the end of the epoch or of the training, then validation and checkpoints."""
        p, recipe = self.progress, self.recipe
        started, images, waited = time.monotonic(), 0, self.loader.waited
        with closing(self.loader.epoch(p.epoch, p.batch)) as batches:
            while group := list(islice(batches, recipe.accumulate)):
                images += self._step(group)
                self._heed_signals()
                if p.why_stop_now(recipe, self._seconds()) is not None:
                    break
                every, ends = recipe.checkpoint_every, p.batch == len(self.loader)
                if every is not None and p.step % every == 0 and not ends:
                    self._save("last")
        seconds = time.monotonic() - started
        self._busy, self._images = self._busy + seconds, self._images + images
        self._end_epoch(seconds, images, self.loader.waited - waited)

    def _step(self, group: Sequence[Batch]) -> int:
        """One update by each phase on a group of batches; the number of its images, 0 of a step
        that is skipped.
        """
        p = self.progress
        lr = float(self.schedule.at(p.step))
        for number, batch in enumerate(group, p.batch):
            self._recent.append({"epoch": p.epoch, "batch": number, "indices": batch.indices})
        self.ahead.begin(lambda: self.stepper.step(group, lr, p.step))
        try:
            loss, sums, images = self.stepper.step(group, lr, p.step)
        except Halted as halted:
            self._skip_or_stop(halted, len(group), lr)
            return 0
        except TooLarge as large:
            raise self._out_of_memory(large) from None
        self.average.follow(p.step + 1)
        total = Sums(p.sums, p.samples)
        total.add(sums, images)
        p.step, p.batch, p.lr = p.step + 1, p.batch + len(group), lr
        p.sums, p.samples = total.sums, total.samples
        if not self._checked:
            validated = getattr(tasks.of(self.dataset.kind), "validated", ())
            prepare.check_figures(self.recipe, total, len(self.val_loader) > 0, validated)
            self._checked = True
        self.observer.on_step(p.step, loss, lr, images)
        return images

    def _end_epoch(self, seconds: float, images: int, waited: float) -> None:
        """Validates, records, chooses the best, saves. Also after the last step of a part. waited:
        how many of the seconds for data.
        """
        p, monitor = self.progress, self.recipe.monitor
        try:
            with self.average.in_place():
                val = self.stepper.validate(self.val_loader, self.signals.pending)
        except TooLarge as large:
            raise self._out_of_memory(large) from None
        if val is None:
            self._heed_signals()  # resuming begins with this validation
            return
        whole = p.batch == len(self.loader)
        figures = {**Sums(p.sums, p.samples).means(), **val.means("val_")}
        prepare.check_validated(self.recipe, figures)
        speed = images / seconds if seconds else 0.0
        timing = {"seconds": seconds, "images_per_second": speed, "elapsed": self._seconds()}
        timing |= {"waited": waited, "peak_bytes": memory.peak()}
        record: dict[str, Any] = {"epoch": p.epoch + 1, "step": p.step, "lr": p.lr, **figures}
        record |= {} if whole else {"partial": True}
        record |= {"skipped": p.skipped} if p.skipped else {}
        record = jsonfile.plain({**record, "timing": timing})
        best, improved = p.improves(record, monitor)
        p.best = record if best else p.best
        p.last, p.records = record, p.records + 1
        if whole:
            p.stale = 0 if improved else p.stale + 1
            p.epoch, p.batch, p.sums, p.samples = p.epoch + 1, 0, {}, 0
            loss = record.get("val_loss", record.get("loss", math.nan))
            self.schedule.observe(math.nan if loss is None else loss)
        self.run.append_metrics(record)
        with self.average.in_place():
            self.observer.on_epoch(record)
        if best:
            self._save("best")
        self._save("last")
        self._status(state="running")

    # --- saving and stopping

    def _seconds(self) -> float:
        """Spent on this run in all its parts."""
        return time.monotonic() - self._started

    def _status(self, **changes: Any) -> None:
        p = self.progress
        at = {"epoch": p.epoch, "step": p.step, "seconds": self._seconds()}
        self.run.write_status(**at, best=p.best, last=p.last, **changes)

    def _save(self, which: str) -> None:
        p = self.progress
        p.seconds, p.schedule = self._seconds(), self.schedule.state()
        p.halvings = self.stepper.pieces.halvings
        with self.average.in_place():
            weights = self.model.state_dict()
        moved = {**self.stepper.state_dict(), **self.average.state_dict()}
        kept = Checkpoint(weights, moved, p.to_json(), self.model_info)
        checkpoint.save(self.run.checkpoints, which, kept)
        self.observer.on_checkpoint(which, p.step)

    def _heed_signals(self) -> None:
        if (signum := self.signals.received) is not None:
            self._save("last")
            hint = f"go on with `dlcli train --resume {self.run.path}`"
            raise Interrupted(signum, why=f"step {self.progress.step} is saved", hint=hint)

    def _warn(self, line: str) -> None:
        self.warnings.append(line)
        self.observer.on_warning(line)

    def _skip_or_stop(self, halted: Halted, own: int, lr: float) -> None:
        """Leaves out a step that was not finite, of `own` batches, where that is still allowed.

        Otherwise writes nan.json, and "last" if the model is as before the step: NonFiniteError.
        """
        p, most = self.progress, self.recipe.skips
        found = nonfinite.describe(halted, p, lr)
        batches = nonfinite.identified(self._recent, self.loader.split)
        if not halted.clean or p.skipped >= most:
            error = nonfinite.stop(self.run, halted, found, batches, own, p.skipped)
            if halted.clean:
                self._save("last")
            raise error
        nonfinite.skip(self.run, found, batches[-own:])
        self.stepper.resume()
        p.step, p.batch, p.lr, p.skipped = p.step + 1, p.batch + own, lr, p.skipped + 1
        self._warn(nonfinite.skipping(halted, batches[-own:], p, most, self.run))

    def _out_of_memory(self, large: TooLarge) -> OutOfMemoryError:
        """Saves "last" if the model is as before the step; the error to raise."""
        at, many = self.progress.step, self.dataset.kind.many
        error = memory.explain(self.stepper, large, at, many, str(self.run.path))
        if large.clean:
            with suppress(MemoryError):  # what was saved before is intact
                self._save("last")
        return error
