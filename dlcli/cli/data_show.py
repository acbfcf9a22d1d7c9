"""dlcli data show: shows a dataset, samples of it in words, or a grid of what a model will see."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from dlcli.cli import output
from dlcli.cli.data_source import reading_options
from dlcli.cli.options import Choice, Number, command, data_dir, output_options
from dlcli.errors import UsageError

DRAWN = 36  # samples of a grid where -n does not say
MOST = 400  # samples
WIDTH = 100  # characters of a line


@command(
    "show",
    examples=[
        "dlcli data show digits",
        "dlcli data show digits -n 5",
        "dlcli data show digits -n 36 -o digits.png",
        "dlcli data show digits -n 6 --augment shift=1,rotate=10 --epochs 6 -o varied.png",
    ],
)
@click.argument("source", metavar="PATH|NAME")
@click.option("-n", "n", type=Number(int, 1, MOST), help="Show N samples, of the classes in turn.")
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help=f"Draw them as a grid, a new PNG file [default: {DRAWN} samples].",
)
@click.option(
    "--split",
    "part",
    type=Choice(["train", "val", "test"]),
    default="train",
    show_default=True,
    help="The part that they are from.",
)
@click.option("--seed", type=Number(int, 0), default=0, help="Which samples [default: 0].")
@click.option(
    "--augment",
    metavar="SPEC",
    help="Vary them as `dlcli train --augment SPEC --seed SEED` would in its first epoch.",
)
@click.option(
    "--epochs",
    type=Number(int, 1, MOST),
    help="With --augment: each of them as in the first N epochs, one after another.",
)
@reading_options
@output_options
@data_dir
def main(
    source: str,
    n: int | None,
    out: Path | None,
    part: str,
    seed: int,
    data_dir: Path | None,
    kind: str | None,
    augment: str | None,
    epochs: int | None,
    **given: Any,
) -> None:
    """Shows a dataset: its classes, parts and files, and where they are or how to get them.

    With -n, samples in words; with -o a grid of images or waveforms, each as a model will see it:
    turned upright, cropped and scaled to the size that training would choose, its class below it.
    """
    from dlcli.cli import data_source
    from dlcli.data import catalog

    _check_varied(augment, epochs, part, n or DRAWN)
    if n is None and out is None and augment is None:
        if source in catalog.names():
            _named(catalog.describe(source, data_dir=data_dir))
            return
        _loaded(data_source.load(source, kind, data_dir, **given))
        return
    if out is not None:
        _check_out(out)
    dataset = data_source.load(source, kind, data_dir, **given)
    found = data_source.drawn(dataset, part, n or DRAWN, seed, augment, epochs or 1)
    if not found:
        raise UsageError(f"{source}: the part '{part}' is empty", hint="choose another --split")
    if out is not None:
        _draw(dataset, found, out)
    _print(dataset, part, found, out)


def _check_varied(augment: str | None, epochs: int | None, part: str, n: int) -> None:
    """UsageError: --augment or --epochs where it means nothing, or a SPEC that there is not."""
    if augment is None:
        if epochs is not None:
            raise UsageError("--epochs does not apply", why="without --augment all are the same")
        return
    from dlcli.data import augment as augmentation

    augmentation.parse(augment)
    if part != "train":
        why = f"the part '{part}' is never varied, only the training part is"
        raise UsageError("--augment does not apply", why=why)
    if n * (epochs or 1) > MOST:
        why = f"{n} samples in {epochs} epochs each are more than {MOST}"
        raise UsageError("--epochs: too many to show", why=why, hint="choose a smaller -n")


def _check_out(out: Path) -> None:
    if out.suffix.lower() != ".png":
        raise UsageError(f"{out}: a grid is a PNG file", hint=f"-o {out.with_suffix('.png')}")
    if os.path.lexists(out):
        raise UsageError(f"{out}: exists", why="nothing is overwritten", hint="choose another -o")


def _draw(dataset: Any, found: list[dict[str, Any]], out: Path) -> None:
    from dlcli.data import contact_sheet, mosaic, views
    from dlcli.train import atomic

    view = views.of(dataset.kind)
    pictures = [view.picture(one["sample"], dataset) for one in found]
    if pictures[0] is None:
        why = f"{dataset.kind.many} have no picture"
        raise UsageError(f"{dataset.name}: there is nothing to draw", why=why, hint="leave out -o")
    labels = [one["label"] for one in found]
    atomic.make_folder(out.parent)
    atomic.write_file(out, mosaic.png(contact_sheet.draw(pictures, labels)))


def _print(dataset: Any, part: str, found: list[dict[str, Any]], out: Path | None) -> None:
    from dlcli.data import views

    view = views.of(dataset.kind)
    rows = [{"id": o["id"], "label": o["label"], "shows": view.line(o["sample"])} for o in found]
    if output.settings.json:
        facts = {"source": dataset.source, "kind": dataset.kind.name, "split": part}
        output.document({**facts, "shape": dataset.shape, "samples": rows, "out": out})
        return
    if out is not None:
        shape = dataset.kind.describe(dataset.shape)
        output.text(f"{out}: {len(rows):,} {dataset.kind.many} of '{part}', {shape}")
        return
    labelled = any(row["label"] for row in rows)
    for row in rows:
        row["shows"] = _short(row["shows"])
    columns = ("id", "label", "shows") if labelled else ("id", "shows")
    heads = ("sample", "class", "shows") if labelled else ("sample", "shows")
    output.table(heads, [[row[key] for key in columns] for row in rows], left=3)


def _short(text: str) -> str:
    return text if len(text) <= WIDTH else f"{text[: WIDTH - 1]}…"


def _named(info: Any) -> None:
    """What is known of a dataset before it is loaded."""
    from dlcli.cli import data_source

    if output.settings.json:
        output.document(data_source.facts(info))
        return
    output.text(f"{info.name}: {info.description}")
    rows: list[tuple[str, object]] = [
        ("shape", info.kind.describe(info.shape)),
        *((part, f"{count:,} {info.kind.many}") for part, count in info.counts.items()),
        *([("classes", ", ".join(info.classes))] if info.classes else []),
        ("recipe", _recipe(info.recipe)),
        ("where", data_source.place(info)),
    ]
    if info.how_to_get:
        rows.append(("to get it", info.how_to_get))
    _rows(rows)


def _loaded(dataset: Any) -> None:
    """What a dataset of one's own is, as training would read it."""
    counts = {part: len(split) for part, split in dataset.splits.items()}
    if output.settings.json:
        output.document(
            {
                "name": dataset.name,
                "source": dataset.source,
                "kind": dataset.kind.name,
                "shape": dataset.shape,
                "classes": dataset.classes,
                "counts": counts,
                "recipe": dataset.recipe,
            }
        )
        return
    output.text(f"{dataset.name}: {dataset.kind.many}")
    rows: list[tuple[str, object]] = [
        ("shape", dataset.kind.describe(dataset.shape)),
        *((part, f"{count:,} {dataset.kind.many}") for part, count in counts.items()),
        *([("classes", ", ".join(dataset.classes))] if dataset.classes else []),
        ("recipe", _recipe(dataset.recipe)),
    ]
    _rows(rows)


def _recipe(recipe: Any) -> str:
    return ", ".join(f"{key}={value}" for key, value in recipe.items())


def _rows(rows: list[tuple[str, object]]) -> None:
    width = max(len(key) for key, _ in rows)
    for key, value in rows:
        output.text(f"  {key:<{width}}  {output.printable(str(value))}")
