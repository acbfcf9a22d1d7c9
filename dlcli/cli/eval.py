"""dlcli eval: measures a trained model on a dataset, and gates on the figures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from dlcli.cli import output
from dlcli.cli.options import (
    Choice,
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
from dlcli.errors import GateError, UsageError


@command(
    "eval",
    examples=[
        "dlcli train cnn --epochs 3 --out runs/first",
        "dlcli eval runs/first",
        "dlcli eval runs/first --split val --fail-under accuracy=0.5",
        "dlcli eval runs/first --json",
    ],
)
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--data", help="Another dataset of the same classes [default: the run's own].")
@click.option(
    "--split",
    type=Choice(["test", "val", "train"]),
    default="test",
    show_default=True,
    help="The part to measure on.",
)
@click.option(
    "--fail-under",
    multiple=True,
    metavar="NAME=F",
    help="Exit with 8 if a figure is below F; may be repeated. NAME: accuracy, macro_f1, …",
)
@click.option(
    "--fail-over",
    multiple=True,
    metavar="NAME=F",
    help="Exit with 8 if a figure is above F; may be repeated. NAME: loss, …",
)
@click.option(
    "--batch-size",
    type=Number(int, 1),
    default=256,
    show_default=True,
    help="Samples at a time; the figures do not depend on it.",
)
@click.option(
    "-n",
    "--samples",
    type=Number(int, 2, 50_000),
    help="How many images a model that makes some is measured by [default: 1,000].",
)
@click.option(
    "--judge",
    type=click.Path(path_type=Path),
    metavar="RUN",
    help="A classifier of the same images and classes, which looks at those that a model makes.",
)
@click.option("--no-plots", is_flag=True, help="Draw and keep nothing in RUN.")
@model_file
@data_dir
@device_options
@precision
@no_plan
@output_options
def main(
    run: Path,
    data: str | None,
    split: str,
    fail_under: tuple[str, ...],
    fail_over: tuple[str, ...],
    batch_size: int,
    samples: int | None,
    judge: Path | None,
    no_plots: bool,
    model_file: Path | None,
    data_dir: Path | None,
    device: str,
    threads: int | None,
    precision: str,
    no_plan: bool,
) -> None:
    """Measures the best checkpoint of RUN on a part of its data that training has not seen.

    Of a classifier: loss, accuracy, and per class what becomes of it. Of a model that makes images:
    how far new ones lie from each other and from training images, and with --judge what a
    classifier makes of them. A figure of a gate that does not exist is an error that names those
    there are.
    """
    least, most = thresholds(fail_under, "--fail-under"), thresholds(fail_over, "--fail-over")
    from dlcli.cli import build, finish
    from dlcli.train import task as tasks

    build.device(device, threads, precision, no_plan=no_plan)
    trained = build.restore(run, model_file)
    task = tasks.of(trained.kind)
    tasks.gated(least, task.least, "--fail-under")
    tasks.gated(most, task.most, "--fail-over")
    asked = {"samples": samples, "judge": judge and build.restore(judge, None)}
    more = tasks.measured_by(task, asked, (*least, *most))
    dataset = build.dataset_for(trained, data, data_dir)
    with output.Bar(f"{dataset.name} {split}", len(dataset.splits[split])) as bar:
        found = task.evaluate(
            trained,
            dataset,
            split,
            batch_size=batch_size,
            on_batch=lambda done, total: bar.update(done),
            **more,
        )
    other = data is not None
    plots = [] if no_plots else finish.draw(trained.run, dataset, split, found, other=other)
    if not no_plots:
        finish.keep(trained.run, dataset, split, found, other=other)
    if output.settings.json:
        about = {"run": run, "data": dataset.name, "split": split}
        document = {**found.to_json(), **about, "plot": plots[0] if plots else None}
        output.document({**document, "plots": plots})
    else:
        many = dataset.kind.many
        output.text(f"{dataset.name}, {split} part, {found.samples:,} {many}")
        for block in found.shown(many):
            _show(block)
        if plots:
            output.note(f"\ndrawn in {', '.join(map(str, plots))}")
    _gate(found.figures, least, most)


def _show(block: Any) -> None:
    if isinstance(block, str):
        output.text(block)
    else:
        output.table(block.header, block.rows, left=block.left)


def _gate(
    found: Mapping[str, float], least: Mapping[str, float], most: Mapping[str, float]
) -> None:
    """GateError: a figure is beyond its threshold. NaN is. UsageError: the model has none."""
    for name in (*least, *most):
        if name not in found:
            why = f"this model has {', '.join(found)}"
            raise UsageError(f"the figure '{name}' cannot be gated", why=why)
    failed = [f"{k} is {found[k]:.6g}, below {f:g}" for k, f in least.items() if not found[k] >= f]
    failed += [f"{k} is {found[k]:.6g}, above {f:g}" for k, f in most.items() if not found[k] <= f]
    if failed:
        raise GateError("a figure misses its threshold", why="; ".join(failed))
