"""The training loop: steps, validation, the best and the last checkpoint, and every way to stop.

A resumed run is bit-identical to one that never stopped: all that the next step depends on is in
the checkpoint (see `progress.py`) or a function of the recipe.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dlcli.data.dataset import Dataset
from dlcli.data.normalize import Normalize
from dlcli.train.checkpoint import Checkpoint
from dlcli.train.protocol import Model, Observer
from dlcli.train.recipe import Recipe
from dlcli.train.run import RunDir
from dlcli.train.signals import Interrupted

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
        raise NotImplementedError

    def fit(self) -> Summary:
        """Trains until the recipe says stop.

        Holds the run's lock, handles SIGINT and SIGTERM while it runs (in the main thread), and
        keeps status.json. NonFiniteError (7): a loss or gradient became NaN or infinite; the
        weights are those of before, and nan.json has the last batches' samples. Interrupted
        (130, 143): a signal came, "last" was saved. OutputError (9): a save failed, the old
        checkpoint is intact.
        """
        raise NotImplementedError
