"""dlcli data stats: counts of a dataset and figures of its samples: pixels, words, seconds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from dlcli.cli import output
from dlcli.cli.data_source import reading_options
from dlcli.cli.options import command, data_dir, output_options
from dlcli.errors import UsageError


@command("stats", examples=["dlcli data stats digits", "dlcli data stats digits --json"])
@click.argument("source", metavar="PATH|NAME")
@reading_options
@output_options
@data_dir
def main(source: str, data_dir: Path | None, kind: str | None, **given: Any) -> None:
    """Counts the samples of each part and class, and measures them: mean and standard deviation of
    each channel of images (of values 0 … 1), words of texts, seconds of sounds.
    """
    from dlcli.cli import data_source
    from dlcli.data import views

    dataset = data_source.load(source, kind, data_dir, **given)
    found: dict[str, Any] = {
        "name": dataset.name,
        "source": dataset.source,
        "kind": dataset.kind.name,
        "shape": dataset.shape,
        "counts": views.counts(dataset),
        "figures": _figures(dataset),
    }
    if output.settings.json:
        output.document(found)
        return
    parts = list(found["counts"])
    output.text(f"{dataset.name}: {dataset.kind.many}, {dataset.kind.describe(dataset.shape)}\n")
    totals = [sum(found["counts"][part].values()) for part in parts]
    rows = [("all", *(f"{n:,}" for n in totals))]
    for name in dataset.classes:
        rows.append((name, *(f"{found['counts'][part][name]:,}" for part in parts)))
    output.table(("samples", *parts), rows)
    if not found["figures"]:
        return
    output.text()
    flat = {part: dict(_flat(of)) for part, of in found["figures"].items()}
    keys = list(next(iter(flat.values())))
    lines = [(key, *(flat.get(part, {}).get(key, "") for part in parts)) for key in keys]
    output.table(("figure", *parts), lines)


def _figures(dataset: Any) -> dict[str, dict[str, Any]]:
    """By part; {} where samples have none."""
    from dlcli.data import views

    try:
        view = views.of(dataset.kind)
    except UsageError:
        return {}
    return {part: view.measure(dataset, part) for part, of in dataset.splits.items() if len(of)}


def _flat(figures: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Figures for a table: a row for each number of a spread, the channels of a mean in one."""
    for key, value in figures.items():
        name = key.replace("_", " ")
        if isinstance(value, dict):
            yield from ((f"{name}, {which}", f"{number:,.4g}") for which, number in value.items())
        elif isinstance(value, list):
            yield name, " ".join(f"{number:.4f}" for number in value)
        else:
            yield name, f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"
