"""dlcli data: lists the datasets that are known, and says where they are or how to get them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from dlcli.cli import output
from dlcli.cli.options import command, data_dir, group, output_options


@group("data", examples=["dlcli data list", "dlcli data show digits"])
def main() -> None:
    """The datasets that are known by name.

    A dataset may also be a folder of images with a folder per class, or a CSV or TSV file with the
    columns text and label, with dates and numbers, or with user, item and rating: its path is its
    name then.
    """


@command("list", parent=main, examples=["dlcli data list", "dlcli data list --json"])
@output_options
@data_dir
def list_(data_dir: Path | None) -> None:
    """Lists the datasets: how many samples, of which shape, and where they are."""
    from dlcli.data import catalog

    found = [catalog.describe(name, data_dir=data_dir) for name in catalog.names()]
    if output.settings.json:
        output.document([_facts(info) for info in found])
        return
    rows = []
    for info in found:
        counts = " + ".join(f"{count:,}" for count in info.counts.values())
        shape = info.kind.describe(info.shape)
        classes = len(info.classes) or ""
        rows.append((info.name, _place(info), info.kind.many, counts, shape, classes))
    output.table(("name", "where", "of", "samples", "shape", "classes"), rows, left=3)
    if any(info.how_to_get for info in found):
        output.note("\n`dlcli data show NAME` says how to get one that is not here")


@command("show", parent=main, examples=["dlcli data show digits", "dlcli data show mnist"])
@click.argument("name")
@output_options
@data_dir
def show(name: str, data_dir: Path | None) -> None:
    """Shows a dataset: its classes, its files, and where they are or how to get them."""
    from dlcli.data import catalog

    info = catalog.describe(name, data_dir=data_dir)
    if output.settings.json:
        output.document(_facts(info))
        return
    output.text(f"{info.name}: {info.description}")
    rows: list[tuple[str, object]] = [
        ("shape", info.kind.describe(info.shape)),
        *((part, f"{count:,} {info.kind.many}") for part, count in info.counts.items()),
        *([("classes", ", ".join(info.classes))] if info.classes else []),
        ("recipe", ", ".join(f"{key}={value}" for key, value in info.recipe.items())),
        ("where", _place(info)),
    ]
    if info.how_to_get:
        rows.append(("to get it", info.how_to_get))
    width = max(len(key) for key, _ in rows)
    for key, value in rows:
        output.text(f"  {key:<{width}}  {value}")


def _place(info: Any) -> str:
    return "embedded" if info.embedded else str(info.folder or "not here")


def _facts(info: Any) -> dict[str, Any]:
    return {
        "name": info.name,
        "description": info.description,
        "kind": info.kind.name,
        "shape": info.shape,
        "classes": info.classes,
        "counts": info.counts,
        "recipe": info.recipe,
        "embedded": info.embedded,
        "available": info.embedded or info.folder is not None,
        "folder": info.folder,
        "files": info.files,
        "how_to_get": info.how_to_get or None,
    }
