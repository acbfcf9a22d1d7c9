"""dlcli eval: measures a trained model on a dataset, and gates on the figures."""

from __future__ import annotations

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
    output_options,
    precision,
    thresholds,
)
from dlcli.errors import DlcliError, GateError

GATES = ["accuracy"] + [
    f"{mean}_{figure}" for mean in ("macro", "weighted") for figure in ("precision", "recall", "f1")
]
MOST_CLASSES = 20  # a larger confusion matrix is only drawn, not printed


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
    help=f"Exit with 8 if a figure is below F; may be repeated. NAME: {', '.join(GATES)}.",
)
@click.option(
    "--batch-size",
    type=Number(int, 1),
    default=256,
    show_default=True,
    help="Samples at a time; the figures do not depend on it.",
)
@click.option("--no-plots", is_flag=True, help="Do not draw RUN/plots/confusion.png.")
@model_file
@data_dir
@device_options
@precision
@output_options
def main(
    run: Path,
    data: str | None,
    split: str,
    fail_under: tuple[str, ...],
    batch_size: int,
    no_plots: bool,
    model_file: Path | None,
    data_dir: Path | None,
    device: str,
    threads: int | None,
    precision: str,
) -> None:
    """Measures the best checkpoint of RUN: loss, accuracy, and per class what becomes of it."""
    gates = thresholds(fail_under, "--fail-under", GATES)
    from dlcli.cli import build
    from dlcli.train.evaluate import evaluate

    build.device(device, threads, precision)
    restored = build.restore(run, model_file)
    dataset = build.dataset_for(restored, data, data_dir)
    part = dataset.splits[split]
    with output.Bar(f"{dataset.name} {split}", len(part)) as bar:
        found = evaluate(
            restored.model,
            part,
            restored.normalize,
            classes=restored.classes,
            batch_size=batch_size,
            on_batch=lambda done, total: bar.update(done),
        )
    plot = None if no_plots else _plot(restored, dataset, split, found, other=data is not None)
    if output.settings.json:
        about = {"run": run, "data": dataset.name, "split": split, "plot": plot}
        output.document({**found.to_json(), **about})
    else:
        many = dataset.kind.many
        _show(found, f"{dataset.name}, {split} part, {found.samples:,} {many}", many)
        if plot:
            output.note(f"\nconfusion matrix drawn in {plot}")
    _gate(found, gates)


def _plot(restored: Any, dataset: Any, split: str, found: Any, *, other: bool) -> Path | None:
    """Draws the confusion matrix into the run; a run that cannot be written to is no error."""
    from dlcli.cli import plot

    words = ["confusion"] + ([dataset.name] if other else []) + ([split] if split != "test" else [])
    try:
        path = restored.run.folder("plots") / f"{'-'.join(words)}.png"
        plot.confusion(found.confusion, restored.classes, path, f"{dataset.name}, {split} part")
    except (OSError, DlcliError) as error:
        why = getattr(error, "strerror", None) or error
        output.warn(f"the confusion matrix was not drawn: {why}")
        return None
    return path


def _show(found: Any, title: str, many: str) -> None:
    output.text(title)
    output.text(f"loss      {found.loss:.4f}")
    output.text(f"accuracy  {found.accuracy:.2%}")
    output.text()
    figures = ("precision", "recall", "f1")
    rows = [
        (name, *(f"{found.per_class[f][i]:.4f}" for f in figures), found.per_class["support"][i])
        for i, name in enumerate(found.classes)
    ]
    for label, mean in (("macro mean", found.macro), ("weighted mean", found.weighted)):
        rows.append((label, *(f"{mean[f]:.4f}" for f in figures), found.samples))
    output.table(("class", *figures, many), rows)
    for figure, classes in found.undefined.items():
        if classes:
            output.text(f"{figure} is 0/0, counted as 0, for {', '.join(classes)}")
    if len(found.classes) > MOST_CLASSES:
        return
    output.text()
    matrix = [(name, *found.confusion[i]) for i, name in enumerate(found.classes)]
    output.table(("true \\ predicted", *found.classes), matrix)


def _gate(found: Any, gates: dict[str, float]) -> None:
    """GateError: a figure is below its threshold."""
    failed = []
    for name, least in gates.items():
        mean, _, figure = name.partition("_")
        value = found.accuracy if name == "accuracy" else getattr(found, mean)[figure]
        if not value >= least:
            failed.append(f"{name} is {value:.6g}, below {least:g}")
    if failed:
        raise GateError("a figure is too low (--fail-under)", why="; ".join(failed))
