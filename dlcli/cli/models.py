"""dlcli models: lists the models, and shows one with its layers and settings."""

from __future__ import annotations

import textwrap
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from dlcli.cli import output
from dlcli.cli.config import default_of
from dlcli.cli.options import Number, command, data_dir, group, output_options
from dlcli.errors import UsageError


@group("models", examples=["dlcli models list", "dlcli models show cnn"])
def main() -> None:
    """The models that can be trained.

    A model of your own is a Python file: see --model-file of `dlcli train`.
    """


@command("list", parent=main, examples=["dlcli models list", "dlcli models list --json"])
@output_options
def list_() -> None:
    """Lists the models."""
    from dlcli.models import catalog

    found = [catalog.describe(name) for name in catalog.names()]
    if output.settings.json:
        output.document([{"name": m.name, "description": m.description} for m in found])
        return
    output.table(("name", "what it is"), [(m.name, m.description) for m in found], left=2)


@command(
    "show",
    parent=main,
    examples=[
        "dlcli models show cnn",
        "dlcli models show cnn-small --data digits --json",
        "dlcli models show mlp --plan",
    ],
)
@click.argument("name")
@click.option("--data", help="The dataset it is built for [default: digits, or sst2 for texts].")
@click.option(
    "--plan",
    is_flag=True,
    help="Each kernel of a training step: where it writes, how long it takes.",
)
@click.option("--batch-size", type=Number(int, 1), help="Of that step [default: the recipe's].")
@click.option("--threads", type=Number(int, 1, 1024), help="Of that step [default: every core].")
@output_options
@data_dir
def show(
    name: str,
    data: str | None,
    plan: bool,
    batch_size: int | None,
    threads: int | None,
    data_dir: Path | None,
) -> None:
    """Shows a model: its settings, and its layers as they are built for a dataset.

    With --plan the dataset is read and steps are taken; times are of each kernel by itself, and
    shares are those of the roofline that this machine reaches.
    """
    from dlcli.cli import build
    from dlcli.data import catalog as datasets
    from dlcli.models import catalog

    info = catalog.describe(name)
    module = catalog.load(name)
    kind = build.kind_of(module, data)
    about = datasets.describe(data or kind.shown, data_dir=data_dir, kind=kind)
    if about.kind is not kind:
        why = f"the samples of {about.name} are {about.kind.many}"
        raise UsageError(f"{name} takes {kind.many}", why=why)
    model = module.build(module.Config(), about.shape, len(about.classes), seed=0)
    if plan:
        from dlcli.cli import plan_table

        source = {"source": about.name}
        plan_table.show(name, module, build.dataset(source, data_dir, kind), batch_size, threads)
        return
    rows = catalog.summary(model, about.shape)
    total = sum(row.parameters for row in rows)
    if output.settings.json:
        output.document(
            {
                "name": info.name,
                "description": info.description,
                "notes": info.notes,
                "config": settings(info.config),
                "data": about.name,
                "layers": [layer(row) for row in rows],
                "parameters": total,
            }
        )
        return
    output.text(f"{info.name}: {info.description}")
    output.text()
    output.text(textwrap.fill(info.notes, 88))
    output.text()
    output.text("Settings, changed with --set model.KEY=VALUE:")
    for key, value in settings(info.config).items():
        shown = list(value) if isinstance(value, tuple) else value
        output.text(f"  {key} = {shown}")
    output.text()
    output.text(f"Layers for {about.name}, {taken(kind, about.shape, about.classes)}:")
    output.text()
    layers(rows)


def taken(kind: Any, shape: tuple[int, ...], classes: list[str]) -> str:
    """What a model is built for, in words."""
    return kind.describe(shape) + (f" in {len(classes)} classes" if classes else "")


def settings(config: type) -> dict[str, Any]:
    """The settings of a model's `Config` with their defaults."""
    return {field.name: default_of(field) for field in fields(config)}


def layer(row: Any) -> dict[str, Any]:
    """A row of a model's summary for JSON."""
    return {
        "name": row.name,
        "layer": row.layer,
        "output_shape": list(row.output),
        "parameters": row.parameters,
    }


def layers(rows: list[Any]) -> None:
    """The table of a model's layers, with the sum of their parameters."""
    cells = [(r.name, r.layer, "×".join(map(str, r.output)), f"{r.parameters:,}") for r in rows]
    total = f"{sum(row.parameters for row in rows):,}"
    output.table(("name", "layer", "output", "parameters"), [*cells, ("", "", "", total)], left=2)
