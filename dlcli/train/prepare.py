"""What a training is made of, from its recipe; and whether it can be done at all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from dlcli import optim, schedule
from dlcli.data import augment
from dlcli.data.balance import Balanced
from dlcli.data.dataset import Dataset
from dlcli.data.kind import Encoder, Kind
from dlcli.data.loader import Loader
from dlcli.errors import CheckpointError, DataError, UsageError, did_you_mean
from dlcli.train import resident
from dlcli.train.checkpoint import Checkpoint
from dlcli.train.metrics import Sums, divide
from dlcli.train.progress import Progress
from dlcli.train.protocol import Model, Phase
from dlcli.train.recipe import CHOICES, Recipe

LOOK = 256  # samples at a time
NAMED = 5  # samples that are named where more cannot be read
POWERS = {"balanced": 1.0, "sqrt": 0.5}  # of class weights
REPAIR = "remove or replace what cannot be read; of folders, --on-bad-sample skip leaves it out"


def check_data(dataset: Dataset, recipe: Recipe) -> None:
    """DataError: nothing to train on. UsageError: figures of a validation part that is empty."""
    if not len(dataset.splits["train"]):
        raise DataError(f"{dataset.name}: the training part is empty")
    wanted = [f for f in (recipe.monitor, *recipe.until) if f.startswith("val_")]
    if wanted and not len(dataset.splits["val"]):
        raise UsageError(
            f"{wanted[0]} cannot be computed",
            why=f"the validation part of {dataset.name} is empty",
            hint="set monitor=loss",
        )


def check_augment(kind: Kind, recipe: Recipe) -> None:
    """UsageError: the recipe varies samples of a kind that cannot be."""
    if recipe.augment != augment.NONE and getattr(kind, "augmented", None) is None:
        why = f"{kind.many} are not varied here, only images of classes that are told apart"
        raise UsageError(f"augment = '{recipe.augment}' does not apply", why=why)


def check_varied(dataset: Dataset, recipe: Recipe, model: object) -> None:
    """UsageError: what the recipe does to samples is too much for their shape, or makes labels that
    the model's loss does not know.
    """
    steps = augment.parse(recipe.augment)
    augment.check(steps, dataset.shape)
    for step in filter(augment.mixes, steps):
        if not getattr(model, "mixes", False):
            why = "the loss of this model knows no labels that are mixed"
            raise UsageError(f"augment: {step.name} does not apply", why=why)


def check_samples(dataset: Dataset) -> None:
    """DataError: samples cannot be read. All are looked at, so that none stops a training later."""
    bad: list[DataError] = []
    for part in dataset.splits.values():
        for start in range(0, len(part), LOOK):
            rows = np.arange(start, min(start + LOOK, len(part)))
            try:
                part.samples(rows)
            except DataError:
                for row in rows:
                    try:
                        part.samples(row[None])
                    except DataError as error:
                        bad.append(error)
    if len(bad) == 1:
        raise DataError(bad[0].what, why=bad[0].why, hint=REPAIR)
    if bad:
        more = f"; and {len(bad) - NAMED} more" if len(bad) > NAMED else ""
        raise DataError(
            f"{dataset.name}: {len(bad):,} {dataset.kind.many} cannot be read",
            why="; ".join(error.what for error in bad[:NAMED]) + more,
            hint=REPAIR,
        )


def check_figures(recipe: Recipe, total: Sums, val: bool, validated: Iterable[str] = ()) -> None:
    """UsageError: the recipe goes by a figure that the model does not give. total: of a step.
    validated: figures that only validation gives.
    """
    known = {"step": 0, **total.means()}
    if val:
        known |= {**total.means("val_"), **{f"val_{name}": 0 for name in validated}}
    for figure in (recipe.monitor, *recipe.until):
        if figure not in known:
            raise _no_figure(figure, known)


def check_validated(recipe: Recipe, figures: Mapping[str, float]) -> None:
    """UsageError: the recipe goes by a figure of validation that did not come of it."""
    for figure in (recipe.monitor, *recipe.until):
        if figure.startswith("val_") and figure not in figures:
            raise _no_figure(figure, figures)


def _no_figure(figure: str, known: Iterable[str]) -> UsageError:
    return UsageError(f"there is no figure {figure!r} to go by", hint=did_you_mean(figure, known))


def resumed(checkpoint: Checkpoint, dataset: Dataset, recipe: Recipe) -> Progress:
    """Where the checkpoint stands. UsageError: it was trained on other data or otherwise."""
    progress = Progress.from_json(checkpoint.state, f"{checkpoint.source}/state.json")
    if progress.fingerprint != dataset.fingerprint:
        raise UsageError(
            f"{dataset.name} is not the data that the run began with",
            why="its fingerprint differs: other samples, classes or shapes",
            hint="give the original data, or start a new run",
        )
    Recipe.from_dict(progress.recipe).resume_as(asdict(recipe))
    progress.recipe = recipe.to_dict()
    return progress


def monitor(task: Any, asked: Mapping[str, Any]) -> str:
    """The figure that chooses the best checkpoint if `asked` of a recipe does not say one: where
    rare classes are made to count, one in which they do.
    """
    balanced = any(asked.get(key, "none") != "none" for key in CHOICES)
    found: str = getattr(task, "balanced", task.monitor) if balanced else task.monitor
    return found


def class_weight(dataset: Dataset, how: str) -> np.ndarray:
    """Of each class its weight, (K,) float32, by its samples in the training part: "balanced" is
    n / (K · its samples), so that all classes weigh the same together; "sqrt" the square root of
    that; 0 for one without samples.
    """
    labels, classes = dataset.splits["train"].labels, len(dataset.classes)
    counts = np.bincount(labels, minlength=classes)
    weights = divide(np.full(classes, len(labels)), counts * np.count_nonzero(counts))
    return (weights ** POWERS[how]).astype(np.float32)


def loaders(
    model: Model, dataset: Dataset, encode: Encoder, recipe: Recipe, workers: int
) -> tuple[Loader, Loader]:
    """Of the training part, shuffled by the recipe's seed, and of the validation part; `Resident`
    where the model can take that.
    """
    train, val = dataset.splits["train"], dataset.splits["val"]
    size, seed = recipe.batch_size, recipe.seed
    if recipe.sampling != "none":
        train = Balanced(train, recipe.sampling, seed)
    if recipe.augment != augment.NONE:
        train = dataset.kind.augmented(train, recipe.augment, seed=seed, dataset=dataset)
    return (
        resident.loader(model, train, encode, size, seed=seed, shuffle=True, workers=workers),
        resident.loader(model, val, encode, size, workers=workers),
    )


def steps(batches: int, recipe: Recipe) -> tuple[int, int]:
    """Steps per epoch of so many batches, and in all: what the schedule is laid out over."""
    per_epoch = -(-batches // recipe.accumulate)
    total = recipe.epochs * per_epoch
    return per_epoch, total if recipe.max_steps is None else min(total, recipe.max_steps)


def make_schedule(recipe: Recipe, total_steps: int, state: dict[str, Any] | None = None) -> Any:
    """The learning rate per step, going on from `state` if given.

    UsageError: there is no such schedule. CheckpointError: the state is not one of its own.
    """
    made = schedule.make(
        recipe.schedule,
        lr=recipe.resolved_lr(),
        total_steps=total_steps,
        warmup_steps=min(recipe.warmup, total_steps),
    )
    if state is not None:
        try:
            made.load(state)
        except (KeyError, TypeError) as error:
            what = f"the stored state of the schedule {recipe.schedule!r} is damaged"
            raise CheckpointError(what, why=str(error)) from error
    return made


def make_optimizer(recipe: Recipe, phase: Phase) -> Any:
    """The optimiser of a phase's parameters. UsageError: there is no such optimiser."""
    given = {key: getattr(recipe, key) for key in ("momentum", "beta1", "beta2")}
    settings = {key: value for key, value in given.items() if value is not None}
    return optim.make(
        recipe.optimizer,
        phase.parameters,
        weight_decay=recipe.weight_decay,
        l1=recipe.l1,
        clip_norm=recipe.clip_norm,
        clip_value=recipe.clip_value,
        **settings,
    )
