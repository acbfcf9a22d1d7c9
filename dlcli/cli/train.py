"""dlcli train: trains a model on a dataset, or goes on with a run that was stopped."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from dlcli.cli import output
from dlcli.cli.config import Config
from dlcli.cli.options import (
    Choice,
    Duration,
    Number,
    command,
    data_dir,
    device_options,
    model_file,
    output_options,
    thresholds,
)
from dlcli.errors import CheckpointError, DlcliError, OutputError, UsageError

FIGURES = ("loss", "accuracy", "val_loss", "val_accuracy")
RECIPE_FLAGS = (
    "epochs",
    "max_steps",
    "max_time",
    "batch_size",
    "lr",
    "optimizer",
    "schedule",
    "weight_decay",
    "seed",
    "patience",
)
DEFAULT_DATA = "digits"


@command(
    "train",
    examples=[
        "dlcli train cnn",
        "dlcli train cnn --data digits --epochs 3 --out runs/first",
        "dlcli train --resume runs/first --epochs 5",
        "dlcli train mlp --set model.hidden=[64,32] --optimizer sgd --lr 0.1 --epochs 3",
        "dlcli train -c runs/first/config.toml --seed 1 --max-steps 50",
        "dlcli train cnn-small --dry-run",
    ],
)
@click.argument("model", required=False)
@click.option("--data", help=f"A dataset's name or a folder of images [default: {DEFAULT_DATA}].")
@click.option("--image-size", type=Number(int, 1), help="Side in pixels; for a folder of images.")
@click.option("--grayscale", is_flag=True, default=None, help="Without colour; for a folder.")
@click.option("--epochs", type=Number(int, 1), help="Passes over the training part.")
@click.option("--max-steps", type=Number(int, 1), help="Stop after so many steps.")
@click.option("--max-time", type=Duration(), help="Stop after a time: 90s, 10m, 1.5h.")
@click.option("--batch-size", type=Number(int, 1), help="Images per step.")
@click.option("--lr", type=Number(float, 0, above=True), help="Learning rate.")
@click.option("--optimizer", help="sgd, momentum, nesterov, rmsprop, adam or adamw.")
@click.option("--schedule", help="How the learning rate changes: constant, cosine, …")
@click.option("--weight-decay", type=Number(float, 0), help="Decay of the weights.")
@click.option("--seed", type=Number(int, 0, 2**63 - 1), help="Of initialisation and shuffling.")
@click.option(
    "--until",
    multiple=True,
    metavar="NAME=F",
    help=f"Stop when a figure is reached, e.g. loss=0.05. NAME: {', '.join(FIGURES)}.",
)
@click.option("--patience", type=Number(int, 1), help="Stop after N epochs without a better one.")
@click.option("-o", "--out", type=click.Path(path_type=Path), help="The run's folder, a new one.")
@click.option(
    "-c",
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Settings in TOML, such as the config.toml of a run.",
)
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="Any setting; see below.")
@model_file
@click.option("--resume", type=click.Path(path_type=Path), metavar="RUN", help="Go on with RUN.")
@click.option("--dry-run", is_flag=True, help="Show the layers and time a step; write nothing.")
@click.option("--no-plots", is_flag=True, help="Do not draw RUN/plots/curves.png.")
@click.option(
    "--precision",
    type=Choice(["float32"]),
    default="float32",
    show_default=True,
    help="What is computed in.",
)
@data_dir
@device_options
@output_options
def main(
    model: str | None,
    resume: Path | None,
    dry_run: bool,
    no_plots: bool,
    data_dir: Path | None,
    device: str,
    threads: int | None,
    precision: str,
    **given: Any,
) -> None:
    """Trains MODEL (see `dlcli models list`) and writes a run: a folder with all that came of it.

    The validation part chooses the best checkpoint; the test part is measured once, at the end.
    A setting is taken from the first of these that has it: an option, --set, the file of -c, the
    dataset's recipe, the defaults. --set knows every value of a recipe (lr, label_smoothing,
    clip_norm, warmup, …) and every setting of the model (model.KEY, see `dlcli models show`).

    A --model-file defines Config (a frozen dataclass) and build(config, shape, classes, *, seed).
    It is code and runs with your rights, so use none that you would not run.
    """
    flags = _flags(given)
    about = {"model": model, "config_file": given["config_file"], "sets": given["sets"]}
    place = {"device": device, "threads": threads, "data_dir": data_dir, "no_plots": no_plots}
    if resume is not None:
        if dry_run or given["out"] or given["config_file"]:
            wrong = "--dry-run" if dry_run else "--out" if given["out"] else "-c"
            raise UsageError(
                f"--resume and {wrong} cannot be used together",
                why="a resumed run keeps its folder and its settings",
            )
        _resume(resume, given["model_file"], about, flags, **place)
        return
    _new(given["model_file"], about, flags, out=given["out"], dry_run=dry_run, **place)


def _flags(given: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The options that were given, as tables of a configuration."""
    train = {key: given[key] for key in RECIPE_FLAGS if given[key] is not None}
    if given["until"]:
        train["until"] = thresholds(given["until"], "--until", FIGURES)
    data = {"source": given["data"]}
    data |= {key: given[key] for key in ("image_size", "grayscale")}
    return {"train": train, "data": {k: v for k, v in data.items() if v is not None}}


# --- a new run ----------------------------------------------------------------------------------


def _new(
    file: Path | None,
    about: Mapping[str, Any],
    flags: Mapping[str, Mapping[str, Any]],
    *,
    out: Path | None,
    dry_run: bool,
    device: str,
    threads: int | None,
    data_dir: Path | None,
    no_plots: bool,
) -> None:
    if out is not None and os.path.lexists(out):
        hint = f"choose another --out, or go on with it: dlcli train --resume {out}"
        raise UsageError(f"{out}: exists", why="a run never overwrites anything", hint=hint)
    config, name, module, settings = _ask(file, about, flags)
    from dlcli.cli import build
    from dlcli.train.recipe import Recipe
    from dlcli.train.run import RunDir

    executor = build.device(device, threads)
    dataset = build.dataset(config.data, data_dir)
    recipe = Recipe.from_dict({**dataset.recipe, **config.train})
    made = module.build(settings, dataset.shape, len(dataset.classes), seed=recipe.seed)
    if dry_run:
        from dlcli.cli import dryrun

        dryrun.show(made, dataset, recipe, name)
        return
    config.train = recipe.to_dict()
    config.model = {"name": name, **({"file": file.name} if file else {}), **_values(settings)}
    run = RunDir.create(name, dataset.name, out)
    kept = False
    try:
        info = {"name": name, "config": _values(settings)} | ({"file": file.name} if file else {})
        with run.lock():
            if file is not None:
                _copy(file, run.path / file.name)
            run.write_config(config.to_dict())
            run.write_env(device=executor.device, threads=executor.threads)
            output.note(f"{name} on {dataset.name}, in {run.path}")
            _fit(run, made, dataset, recipe, model_info=info, no_plots=no_plots)
        kept = True
    finally:
        if not kept and not run.checkpoints.exists():
            shutil.rmtree(run.path, ignore_errors=True)  # nothing was trained


def _ask(
    file: Path | None, about: Mapping[str, Any], flags: Mapping[str, Mapping[str, Any]]
) -> tuple[Config, str, Any, Any]:
    """The configuration, checked before any work, with the model's name, module and settings."""
    from dlcli.cli import build, config
    from dlcli.train import recipe

    asked = Config(data={"source": DEFAULT_DATA})
    if about["config_file"] is not None:
        asked.update(config.read(about["config_file"]))
    same = about["model"] is None or about["model"] == asked.model.get("name")
    if not same or file is not None:
        asked.model = {}  # another model's settings do not apply
    name, module = build.model_module(about["model"] or asked.model.get("name"), file)
    if asked.model.get("file") and file is None:
        raise UsageError(
            f"{about['config_file']}: its model is code of its own, {asked.model['file']}",
            why="code is only run where you name it",
            hint="add --model-file",
        )
    keys = [key for key in _values(module.Config())]
    asked.update(config.assignments(about["sets"], recipe.keys(), keys))
    asked.update(flags)
    config.check_data(asked.data)
    settings = config.model_config(module.Config, asked.model_settings)
    checked = recipe.Recipe.from_dict(asked.train)
    _check_names(checked)
    return asked, name, module, settings


def _check_names(recipe: Any) -> None:
    """UsageError: an optimiser or schedule that there is not, before anything is loaded."""


def _values(settings: Any) -> dict[str, Any]:
    """A model's settings as plain values."""
    import dataclasses

    return {f.name: getattr(settings, f.name) for f in dataclasses.fields(settings)}


def _copy(file: Path, target: Path) -> None:
    try:
        shutil.copyfile(file, target)
    except OSError as error:
        raise OutputError(f"{target}: cannot be written", why=error.strerror or "") from error


# --- a run that goes on -------------------------------------------------------------------------


def _resume(
    path: Path,
    file: Path | None,
    about: Mapping[str, Any],
    flags: Mapping[str, Mapping[str, Any]],
    *,
    device: str,
    threads: int | None,
    data_dir: Path | None,
    no_plots: bool,
) -> None:
    from dlcli.cli import build, config
    from dlcli.train import recipe as recipes
    from dlcli.train.run import RunDir

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
        if value != data.get(key):
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
    before = recipes.Recipe.from_dict(asked["train"])
    recipe = before.resume_as({**changes["train"], **flags["train"]})
    executor = build.device(device, threads)
    with run.lock():
        kept = run.load("last", fallback=True)
        for warning in kept.warnings:
            output.warn(warning)
        module = build.model_module(name, file)[1]
        dataset = build.dataset(data, data_dir)
        own = {k: v for k, v in own.items() if k not in config.MODEL_KEYS}
        settings = config.model_config(module.Config, own)
        made = module.build(settings, dataset.shape, len(dataset.classes), seed=recipe.seed)
        run.write_config({**asked, "train": recipe.to_dict()})
        run.write_env(device=executor.device, threads=executor.threads)
        output.note(f"{name} on {dataset.name}, in {run.path}")
        _fit(run, made, dataset, recipe, resume=kept, no_plots=no_plots)


# --- both ---------------------------------------------------------------------------------------


def _fit(run: Any, model: Any, dataset: Any, recipe: Any, *, no_plots: bool, **more: Any) -> None:
    """Trains, measures the best checkpoint on the test part, and shows what came of it."""
    from dlcli.cli.progress import Display
    from dlcli.train.loop import Trainer

    with Display() as display:
        trainer = Trainer(model, dataset, recipe, run, observer=display, **more)
        summary = trainer.fit()
    test = _test(run, model, dataset)
    plot = None if no_plots else _plot(run, dataset)
    document = {
        "run": run.path,
        "model": run.config()["model"]["name"],
        "data": dataset.name,
        "seed": recipe.seed,
        "steps": summary.steps,
        "epochs": summary.epochs,
        "stop": summary.stop,
        "already_finished": summary.already_finished,
        "seconds": summary.seconds,
        "images_per_second": summary.images_per_second,
        "best": summary.best,
        "last": summary.last,
        "test": {"loss": test.loss, "accuracy": test.accuracy} if test else None,
        "plot": plot,
    }
    if output.settings.json:
        output.document(document)
    else:
        _show(document, len(dataset.splits["test"]), summary)


def _test(run: Any, model: Any, dataset: Any) -> Any:
    """The figures of the best checkpoint on the test part."""
    from dlcli.data.normalize import Normalize
    from dlcli.train import checkpoint
    from dlcli.train.evaluate import evaluate

    if not len(dataset.splits["test"]):
        return None
    best = run.load("best")
    checkpoint.restore(model, best)
    normalize = Normalize.from_json(best.model_info["normalize"])
    return evaluate(model, dataset.splits["test"], normalize, classes=dataset.classes)


def _plot(run: Any, dataset: Any) -> Path | None:
    """Draws the learning curves; a run that cannot be written to now is no error."""
    from dlcli.cli import plot

    try:
        path = run.folder("plots") / "curves.png"
        plot.curves(run.metrics(), path, f"{run.name}: {dataset.name}")
    except (OSError, DlcliError) as error:
        output.warn(f"the learning curves were not drawn: {error}")
        return None
    return path


STOPS = {
    "epochs": "all epochs done",
    "max_steps": "--max-steps reached",
    "max_time": "--max-time reached",
    "patience": "no better epoch for --patience epochs",
    "until": "--until reached",
}


def _show(found: Mapping[str, Any], test_images: int, summary: Any) -> None:
    done = "nothing was left to do" if summary.already_finished else STOPS.get(summary.stop)
    rows = [
        ("stopped", f"{done or summary.stop}: {found['epochs']} epochs, {found['steps']:,} steps")
    ]
    speed = f"{found['images_per_second']:,.0f} images/s" if found["images_per_second"] else ""
    rows.append(("trained for", f"{found['seconds']:.1f} s  {speed}".rstrip()))
    best = found["best"]
    if best:
        rows.append(("best validation", f"{_figures(best, 'val_')} (epoch {best['epoch']})"))
    if found["test"]:
        of = f"of that checkpoint, {test_images:,} images, measured once"
        rows.append(("test", f"{_figures(found['test'], '')} ({of})"))
    rows.append(("run", str(found["run"])))
    if found["plot"]:
        rows.append(("curves", str(found["plot"])))
    output.text()
    for key, value in rows:
        output.text(f"{key:<16} {output.printable(value)}")
    output.note(f"\nnext:  dlcli eval {found['run']}")
    output.note(f"       dlcli predict {found['run']} IMAGE")


def _figures(record: Mapping[str, Any], prefix: str) -> str:
    accuracy, loss = record.get(f"{prefix}accuracy"), record.get(f"{prefix}loss")
    words = [f"accuracy {accuracy:.2%}"] if accuracy is not None else []
    return ", ".join([*words, f"loss {loss:.4f}"] if loss is not None else words)
