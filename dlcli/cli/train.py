"""dlcli train: trains a model on a dataset, or goes on with a run that was stopped."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from dlcli.cli.options import (
    Choice,
    Duration,
    Number,
    command,
    data_dir,
    device_options,
    model_file,
    no_plan,
    output_options,
    precision,
    thresholds,
)
from dlcli.data import kind as kinds
from dlcli.errors import UsageError

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
    "on_nan",
    "class_weight",
    "sampling",
    "ema",
    "augment",
)


def data_settings(function: Any) -> Any:
    """An option for each key of [data]: how to read the samples of some kind."""
    types = {int: Number(int, 1), float: Number(float, 0), str: str}
    for key, setting in reversed(kinds.settings().items()):
        name = f"--{key.replace('_', '-')}"
        how = {"type": types[setting.type]} if setting.type is not bool else {"is_flag": True}
        function = click.option(name, default=None, help=setting.help, **how)(function)
    return function


@command(
    "train",
    examples=[
        "dlcli train cnn",
        "dlcli train cnn --data digits --epochs 3 --out runs/first",
        "dlcli train --resume runs/first --epochs 5",
        "dlcli train mlp --set 'model.hidden=[64,32]' --optimizer sgd --lr 0.1 --epochs 3",
        "dlcli train -c runs/first/config.toml --seed 1 --max-steps 50",
        "dlcli train cnn-small --dry-run",
        "dlcli train cnn-small --find-lr",
        "dlcli train mlp --epochs 2 --seed 1 --ema 0.99 --out runs/base",
        "dlcli train mlp --init-from runs/base --reset-head --freeze '1.*' --epochs 2",
    ],
)
@click.argument("model", required=False)
@click.option(
    "--data",
    help="A dataset's name, a folder of images or sounds, a table with a column to tell, of texts,"
    " of a series or of ratings, .csv or .tsv, or a text to learn its language from [default:"
    " digits, for images].",
)
@data_settings
@click.option("--epochs", type=Number(int, 1), help="Passes over the training part.")
@click.option("--max-steps", type=Number(int, 1), help="Stop after so many steps.")
@click.option("--max-time", type=Duration(), help="Stop after a time: 90s, 10m, 1.5h.")
@click.option("--batch-size", type=Number(int, 1), help="Samples per step.")
@click.option(
    "--lr", type=Number(float, 0, above=True), help="Learning rate [default: the optimiser's]."
)
@click.option(
    "--optimizer",
    help="sgd, momentum, nesterov, rmsprop, adam, adamw or lazy-adam [default: adam].",
)
@click.option(
    "--schedule",
    help="constant, step, exponential, cosine, one-cycle or plateau [default: cosine].",
)
@click.option("--weight-decay", type=Number(float, 0), help="Decay of the weights.")
@click.option(
    "--seed", type=Number(int, 0, 2**63 - 1), help="Of initialisation and shuffling [default: 0]."
)
@click.option(
    "--until",
    multiple=True,
    metavar="NAME=F",
    help="Stop when a figure is reached: loss=0.05, val_accuracy=0.99.",
)
@click.option("--patience", type=Number(int, 1), help="Stop after N epochs that were no better.")
@click.option(
    "--on-nan",
    metavar="HOW",
    help="If the loss is NaN or infinite: error, or skip:N to skip N steps at most [default:"
    " error].",
)
@click.option(
    "--class-weight",
    type=Choice(["none", "sqrt", "balanced"]),
    metavar="HOW",
    help="Errors in rare classes weigh more: none, sqrt or balanced [default: none].",
)
@click.option(
    "--sampling",
    type=Choice(["none", "over", "under"]),
    metavar="HOW",
    help="Classes equally frequent, rare ones repeated or others thinned: none, over or under"
    " [default: none].",
)
@click.option(
    "--init-from",
    type=click.Path(path_type=Path),
    metavar="RUN",
    help="Begin with the weights of RUN's best checkpoint, or of a .safetensors file, where names"
    " and shapes fit.",
)
@click.option("--reset-head", is_flag=True, help="But for those of the last layer.")
@click.option(
    "--freeze",
    multiple=True,
    metavar="PATTERN",
    help="Do not train these parameters, by name, see --dry-run: '0.*' is layer 0.",
)
@click.option(
    "--ema",
    type=Number(float, 0, above=True),
    help="Validate and keep an average of the weights that decays by F a step, such as 0.999.",
)
@click.option(
    "--augment",
    metavar="SPEC",
    help="Vary the images of the training part: shift=2,flip,rotate=10,crop=4,cutout=8,colour=0.2"
    " or mixup=0.2, any of them in any order [default: none].",
)
@click.option("-o", "--out", type=click.Path(path_type=Path), help="The run's folder, a new one.")
@click.option(
    "-c",
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Settings in TOML, such as the config.toml of a run.",
)
@click.option(
    "--set",
    "sets",
    multiple=True,
    metavar="KEY=VALUE",
    help="Any setting: lr=0.01, model.dense=32.",
)
@click.option(
    "--loss", metavar="NAME", help="Of a GAN: min-max, non-saturating, lsgan or wgan: model.loss."
)
@click.option("--conditional", is_flag=True, help="A class can be asked for: model.conditional.")
@click.option("--gp", is_flag=True, help="A gradient penalty, of wgan: model.gp.")
@model_file
@click.option(
    "--resume",
    type=click.Path(path_type=Path),
    metavar="RUN",
    help="Go on with RUN where it stopped or was killed, with its settings but for"
    " --epochs, --max-steps, --max-time, --patience, --until and --on-nan.",
)
@click.option("--dry-run", is_flag=True, help="Show the layers and time a step; write nothing.")
@click.option(
    "--find-lr",
    is_flag=True,
    help="Try rates that rise until the loss explodes, and suggest one; leaves no run, a picture"
    " only: -o FILE.png.",
)
@click.option("--no-plots", is_flag=True, help="Do not draw into RUN/plots.")
@no_plan
@click.option(
    "--log",
    "logs",
    type=Choice(["tensorboard"]),
    multiple=True,
    help="Write the figures of each step and epoch into RUN/tensorboard besides.",
)
@data_dir
@device_options
@precision
@output_options
def main(
    model: str | None,
    resume: Path | None,
    dry_run: bool,
    find_lr: bool,
    no_plots: bool,
    no_plan: bool,
    logs: tuple[str, ...],
    data_dir: Path | None,
    device: str,
    threads: int | None,
    precision: str,
    **given: Any,
) -> None:
    """Trains MODEL (see `dlcli models list`) and writes a run: a folder with all that came of it.

    The validation part chooses the best checkpoint; the test part is measured at the end and
    chooses nothing.
    A setting is taken from the first of these that has it: an option, --set, the file of -c, the
    dataset's recipe, the defaults. --set knows every value of a recipe (lr, label_smoothing,
    clip_norm, warmup, …) and every setting of the model (model.KEY, see `dlcli models show`).

    A --model-file defines Config (a frozen dataclass) and build(config, shape, classes, *, seed).
    It is code and runs with your rights, so use none that you would not run.
    """
    from dlcli.cli import training

    flags = _flags(given)
    sets = (*given["sets"], *_shorthands(given))
    about = {"model": model, "config_file": given["config_file"], "sets": sets}
    place = {"device": device, "threads": threads, "precision": precision}
    place |= {"data_dir": data_dir, "no_plots": no_plots, "no_plan": no_plan, "logs": logs}
    if resume is not None:
        clash = {"--dry-run": dry_run, "--find-lr": find_lr, "--out": given["out"]}
        clash["-c"] = given["config_file"]
        if wrong := next((option for option, asked in clash.items() if asked), None):
            raise UsageError(
                f"--resume and {wrong} cannot be used together",
                why="a resumed run keeps its folder and its settings",
            )
        training.resume(resume, given["model_file"], about, flags, **place)
        return
    if dry_run and find_lr:
        raise UsageError("--dry-run and --find-lr cannot be used together")
    place |= {"dry_run": dry_run, "find_lr": find_lr}
    training.new(given["model_file"], about, flags, out=given["out"], **place)


def _shorthands(given: Mapping[str, Any]) -> list[str]:
    """Options that stand for settings of a model, as --set has them."""
    on = [f"model.{key}=true" for key in ("conditional", "gp") if given[key]]
    return on + ([f"model.loss={given['loss']}"] if given["loss"] else [])


def _flags(given: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The options that were given, as tables of a configuration."""
    train = {key: given[key] for key in RECIPE_FLAGS if given[key] is not None}
    if given["until"]:
        train["until"] = thresholds(given["until"], "--until")
    if given["init_from"] is not None:
        train["init_from"] = os.path.abspath(given["init_from"].expanduser())
    if given["reset_head"]:
        train["reset_head"] = True
    if given["freeze"]:
        train["freeze"] = list(given["freeze"])
    data = {"source": given["data"]}
    data |= {key: given[key] for key in kinds.settings()}
    return {"train": train, "data": {k: v for k, v in data.items() if v is not None}}
