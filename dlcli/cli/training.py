"""Runs: from what was asked for to a trained model, for a new run and for one that goes on.

Everything that the user said is checked before any work is done or any folder is made.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dlcli import optim, schedule
from dlcli.cli import build, config, finetune, finish, output
from dlcli.cli import find_lr as rate_finder
from dlcli.cli.config import Config
from dlcli.errors import CheckpointError, OutputError, UsageError, did_you_mean
from dlcli.models import catalog
from dlcli.train import initial, left_out, prepare
from dlcli.train import recipe as recipes
from dlcli.train import task as tasks
from dlcli.train.recipe import Recipe
from dlcli.train.run import RunDir

# --- a new run ----------------------------------------------------------------------------------


def new(
    file: Path | None,
    about: Mapping[str, Any],
    flags: Mapping[str, Mapping[str, Any]],
    *,
    out: Path | None,
    device: str,
    threads: int | None,
    precision: str,
    data_dir: Path | None,
    no_plots: bool,
    no_plan: bool = False,
    dry_run: bool = False,
    find_lr: bool = False,
    logs: Sequence[str] = (),
    silent: bool = False,
) -> RunDir | None:
    """The run, or None of a dry one and of a search for a learning rate, which writes its picture
    to `out`. silent: without the figures at the end.
    """
    if find_lr:
        rate_finder.check(out)
    elif out is not None and os.path.lexists(out):
        hint = f"choose another --out, or go on with it: dlcli train --resume {out}"
        raise UsageError(f"{out}: exists", why="a run never overwrites anything", hint=hint)
    config, name, module, settings = _ask(file, about, flags)
    executor = build.device(device, threads, precision, no_plan=no_plan)
    kind = build.kind_of(module, config.data["source"])
    source = finetune.source(config.train)
    config.data = finetune.form(config.data, source, kind)
    dataset = build.dataset(config.data, data_dir, kind)
    _check_kind(name, module, dataset)
    for remark in dataset.remarks:
        output.warn(remark)
    monitor = prepare.monitor(tasks.of(dataset.kind), config.train)
    usual = {"monitor": monitor, **dataset.recipe, **_recipe(module, settings, config.train)}
    recipe = Recipe.from_dict({**usual, **config.train})
    recipe = recipe.with_(lr=recipe.resolved_lr())  # a later default is not this run's
    made = _build(module, settings, dataset, recipe)
    other = _other(module, settings, dataset, recipe)
    recipe, began = finetune.begin(made, source, recipe, dataset, other)
    if dry_run:
        from dlcli.cli import dryrun

        dryrun.show(made, dataset, recipe, name)
        return None
    if find_lr:
        rate_finder.show(made, dataset, recipe, name, out=out, drawn=not no_plots)
        return None
    prepare.check_samples(dataset)
    config.train = recipe.to_dict()
    config.data["source"] = build.absolute(config.data["source"])
    config.model = {"name": name, **({"file": file.name} if file else {}), **_values(settings)}
    run = RunDir.create(name, dataset.name, out)
    kept = False
    try:
        info = _info(name, settings, file)
        with run.lock():
            if file is not None:
                _copy(file, run.path / file.name)
            run.write_config(config.to_dict())
            run.write_env(**executor.describe())
            if began is not None:
                initial.write(run.path, began)
            output.note(f"{name} on {dataset.name}, in {run.path}")
            if listed := left_out.write(run, dataset, config.data.get("on_bad_sample")):
                output.note(f"what was left out is listed in {listed}")
            finish.fit(
                run,
                made,
                dataset,
                recipe,
                model_info=info,
                no_plots=no_plots,
                logs=logs,
                silent=silent,
            )
        kept = True
        return run
    finally:
        if not kept and not run.checkpoints.exists():
            shutil.rmtree(run.path, ignore_errors=True)  # nothing was trained


def _ask(
    file: Path | None, about: Mapping[str, Any], flags: Mapping[str, Mapping[str, Any]]
) -> tuple[Config, str, Any, Any]:
    """The configuration, checked before any work, with the model's name, module and settings."""
    asked = Config()
    if about["config_file"] is not None:
        asked.update(config.read(about["config_file"]))
    theirs = asked.model.get("name")
    if file is not None or (theirs and about["model"] not in (None, theirs)):
        asked.model = {}  # settings of another model
    name, module = build.model_module(about["model"] or asked.model.get("name"), file)
    if asked.model.get("file") and file is None:
        raise UsageError(
            f"{about['config_file']}: its model is code of its own, {asked.model['file']}",
            why="code is only run where you name it",
            hint="add --model-file",
        )
    keys = list(_values(module.Config()))
    asked.update(config.assignments(about["sets"], recipes.keys(), keys))
    if "init_from" in flags["train"]:
        asked.train.pop("init_sha256", None)  # of another run's weights
    asked.update(flags)
    if "source" not in asked.data:
        asked.data["source"] = _default_data(name, module)
    config.check_data(asked.data)
    settings = config.model_config(module.Config, asked.model_settings)
    task = tasks.of(build.kind_of(module, asked.data["source"]))
    checked = Recipe.from_dict({"monitor": task.monitor, **asked.train})
    _check_names(checked)
    prepare.check_augment(build.kind_of(module, asked.data["source"]), checked)
    if file is None:
        _check_figures(checked, task)
    return asked, name, module, settings


def _default_data(name: str, module: Any) -> str:
    """The data of a model where none are named. UsageError: one must name them."""
    kind = build.kind_of(module)
    if kind.default is None:
        why = f"{name} takes {kind.many}, and no {kind.many} come with dlcli"
        hint = f"add --data {kind.shown}, see 'dlcli data list', or --data FILE"
        raise UsageError("which data?", why=why, hint=hint)
    return str(kind.default)


def _check_kind(name: str, module: Any, dataset: Any) -> None:
    """UsageError: the model takes other samples than the dataset has."""
    kinds = build.kinds_of(module)
    if dataset.kind not in kinds:
        why = f"the samples of {dataset.name} are {dataset.kind.many}"
        takes = " or ".join(kind.many for kind in kinds)
        raise UsageError(f"{name} takes {takes}", why=why, hint="see 'dlcli models list'")


def _check_names(recipe: Any) -> None:
    """UsageError: an optimiser or schedule that there is not, before anything is loaded."""
    for key, known in (("optimizer", optim.names()), ("schedule", schedule.names())):
        if getattr(recipe, key) not in known:
            what = f"there is no {key} '{getattr(recipe, key)}'"
            raise UsageError(what, why=did_you_mean(getattr(recipe, key), known))


def _check_figures(recipe: Recipe, task: Any) -> None:
    """UsageError: a figure that our models do not give; those of another are known when it runs."""
    known = tasks.names(task)
    for figure in (recipe.monitor, *recipe.until):
        if figure not in known:
            why = did_you_mean(figure, known)
            raise UsageError(f"there is no figure '{figure}' to go by", why=why)


def _recipe(module: Any, settings: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """How the model asks to be trained; with another optimiser, without what is only its own's."""
    found: dict[str, Any] = module.recipe(settings) if hasattr(module, "recipe") else {}
    if given.get("optimizer", found.get("optimizer")) != found.get("optimizer"):
        return {k: v for k, v in found.items() if k not in ("lr", "momentum", "beta1", "beta2")}
    return found


def _build(module: Any, settings: Any, dataset: Any, recipe: Recipe) -> Any:
    """The model, initialised by the recipe's seed and with the loss that the recipe asks for."""
    try:
        made = module.build(settings, dataset.shape, len(dataset.classes), seed=recipe.seed)
    except ValueError as error:
        raise UsageError("the model refuses its settings", why=str(error)) from error
    made.plan = catalog.plans(module)
    prepare.check_varied(dataset, recipe, made)
    if recipe.label_smoothing:
        if not hasattr(made, "label_smoothing"):
            raise UsageError("label_smoothing: the model knows of none")
        made.label_smoothing = recipe.label_smoothing
    if recipe.class_weight != "none":
        if not hasattr(made, "class_weight"):
            raise UsageError("class_weight: the model knows of none")
        made.class_weight = prepare.class_weight(dataset, recipe.class_weight)
    finetune.freeze(made, recipe)
    return made


def _other(module: Any, settings: Any, dataset: Any, recipe: Recipe) -> Callable[[int], Any]:
    """The same model for another number of classes."""
    return lambda classes: module.build(settings, dataset.shape, classes, seed=recipe.seed)


def _info(name: str, settings: Any, file: Path | None) -> dict[str, Any]:
    """What a checkpoint says of the model, with the name of the file where it is its own."""
    return {"name": name, "config": _values(settings)} | ({"file": file.name} if file else {})


def _values(settings: Any) -> dict[str, Any]:
    """A model's settings as plain values."""
    return {f.name: getattr(settings, f.name) for f in dataclasses.fields(settings)}


def _copy(file: Path, target: Path) -> None:
    try:
        shutil.copyfile(file, target)
    except OSError as error:
        raise OutputError(f"{target}: cannot be written", why=error.strerror or "") from error


# --- a run that goes on -------------------------------------------------------------------------


def resume(
    path: Path,
    file: Path | None,
    about: Mapping[str, Any],
    flags: Mapping[str, Mapping[str, Any]],
    *,
    device: str,
    threads: int | None,
    precision: str,
    data_dir: Path | None,
    no_plots: bool,
    no_plan: bool = False,
    logs: Sequence[str] = (),
) -> None:
    run = RunDir.open(path)
    asked = run.config()
    for table in ("model", "train"):
        if not isinstance(asked.get(table), dict):
            raise CheckpointError(f"{path}: its config.toml is damaged", why=f"no [{table}]")
    own = asked["model"]
    name = own.get("name")
    if about["model"] not in (None, name):
        raise UsageError(
            f"MODEL {about['model']} conflicts with the run's {name}",
            hint="leave it out: a resumed run keeps its model",
        )
    data = build.data_of(run)
    changes = config.assignments(about["sets"], recipes.keys(), [])
    for key, value in {**changes["data"], **flags["data"]}.items():
        if key == "source" and build.is_place(value) and build.is_place(data[key]):
            data[key] = build.absolute(value)  # moved; the fingerprint says whether it is the same
        elif value != data.get(key):
            raise UsageError(
                f"data.{key} = {value!r} conflicts with the run's {data.get(key)!r}",
                hint="leave it out: a resumed run keeps its data",
            )
    if own.get("file") and file is None:
        raise CheckpointError(
            f"{path}: its model is code of its own, {own['file']}",
            why="code is only run where you name it",
            hint=f"add --model-file {path / Path(own['file']).name}",
        )
    before = Recipe.from_dict(asked["train"])
    recipe = before.resume_as({**changes["train"], **flags["train"]})
    executor = build.device(device, threads, precision, no_plan=no_plan)
    with run.lock():
        kept = None if run.untouched() else run.load("last", fallback=True)
        if kept is not None:
            for warning in kept.warnings:
                output.warn(warning)
            kept.warnings = []  # they are said
        module = build.model_module(name, file)[1]
        kind = build.kind_of(module, data["source"])
        dataset = build.dataset_of(run, data, data_dir, kind)
        if kept is not None:
            prepare.resumed(kept, dataset, recipe)  # refuses other data before anything is written
        own = {k: v for k, v in own.items() if k not in config.MODEL_KEYS}
        settings = config.model_config(module.Config, own)
        made = _build(module, settings, dataset, recipe)
        if kept is None:  # it was killed before its first save
            source = finetune.source(recipe.to_dict())
            finetune.begin(made, source, recipe, dataset, _other(module, settings, dataset, recipe))
        run.write_config({**asked, "data": data, "train": recipe.to_dict()})
        run.write_env(**executor.describe())
        output.note(f"{name} on {dataset.name}, in {run.path}")
        info = _info(name, settings, file) if kept is None else None
        shown = {"no_plots": no_plots, "logs": logs}
        finish.fit(run, made, dataset, recipe, resume=kept, model_info=info, **shown)
