"""dlcli runs compare: compares runs by the settings in which they differ and by their figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from dlcli.cli import output
from dlcli.cli.options import command, output_options
from dlcli.errors import UsageError

ABSENT = "–"


@command(
    "compare",
    examples=[
        "dlcli train cnn-small --epochs 2 --out runs/one",
        "dlcli train cnn-small --epochs 2 --lr 0.01 --out runs/two",
        "dlcli runs compare runs/one runs/two",
    ],
)
@click.argument("runs", type=click.Path(path_type=Path), nargs=-1, required=True)
@output_options
def main(runs: tuple[Path, ...]) -> None:
    """Compares RUNS...: a column for each, a row for every setting in which they differ and for
    every figure of their best epochs.
    """
    from dlcli.cli import run_facts
    from dlcli.train.run import RunDir

    if len(runs) < 2:
        raise UsageError("one run has nothing to be compared with", hint="name two or more")
    opened = [RunDir.open(path) for path in runs]
    settings = [run_facts.flat(run.config()) for run in opened]
    found = [run_facts.facts(run) for run in opened]
    figures = [{"state": run["state"], **_numbers(run.get("best") or {})} for run in found]
    both = {"settings": _table(settings, differing=True), "figures": _table(figures)}
    if output.settings.json:
        output.document({"runs": list(runs), **both})
        return
    rows = [(key, *values) for part in both.values() for key, values in part.items()]
    output.table(("", *map(str, runs)), [tuple(map(_shown, row)) for row in rows])
    if not both["settings"]:
        output.note("\nthe settings are the same")


def _numbers(record: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if isinstance(value, int | float)}


def _table(columns: Sequence[Mapping[str, Any]], differing: bool = False) -> dict[str, list[Any]]:
    """Each key with its value in every column; only those that are not the same everywhere."""
    keys = dict.fromkeys(key for column in columns for key in column)
    rows = {key: [column.get(key) for column in columns] for key in keys}
    return {k: v for k, v in rows.items() if not differing or any(x != v[0] for x in v)}


def _shown(value: Any) -> str:
    if value is None:
        return ABSENT
    return f"{value:.4g}" if isinstance(value, float) else str(value)
