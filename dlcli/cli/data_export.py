"""dlcli data export: writes a dataset of images as files, in a folder per class."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import click

from dlcli.cli import output
from dlcli.cli.options import Choice, Number, command, data_dir, output_options
from dlcli.errors import UsageError

PARTS = ("train", "val", "test")


@command(
    "export",
    examples=[
        "dlcli data export digits -o digits",
        "dlcli data export digits -n 50 --split test -o some",
    ],
)
@click.argument("name")
@click.option("-n", "n", type=Number(int, 1), help="N images of each part [default: all].")
@click.option("--split", "part", type=Choice(list(PARTS)), help="Only this part.")
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), required=True, metavar="DIR", help="A new one."
)
@output_options
@data_dir
def main(name: str, n: int | None, part: str | None, out: Path, data_dir: Path | None) -> None:
    """Writes the images of a dataset as PNG files, DIR/<part>/<class>/<number>.png; with --split
    those of one part, DIR/<class>/<number>.png. Any dataset of images, as a model sees them.
    """
    from dlcli.cli import data_source
    from dlcli.data import mosaic, views
    from dlcli.train import atomic

    if os.path.lexists(out):
        raise UsageError(f"{out}: exists", why="nothing is overwritten", hint="choose another -o")
    dataset = data_source.load(name, None, data_dir)
    if dataset.kind.name != "image":
        raise UsageError(f"{name}: its samples are {dataset.kind.many}", why="images are written")
    view = views.of(dataset.kind)
    stage = out.parent / f".{out.name}.{os.getpid()}.part"
    counts = {}
    with atomic.output_errors(out):
        stage.mkdir(parents=True)
        try:
            for which in [part] if part else PARTS:
                split, below = dataset.splits[which], stage if part else stage / which
                counts[which] = min(n or len(split), len(split))
                for i, sample in zip(
                    range(counts[which]), views.samples(split, view), strict=False
                ):
                    label = _folder(views.label(dataset, split, i))
                    (below / label).mkdir(parents=True, exist_ok=True)
                    (below / label / f"{i:05}.png").write_bytes(mosaic.png(sample))
            os.rename(stage, out)
        except BaseException:  # Ctrl-C too: nothing may be left behind
            shutil.rmtree(stage, ignore_errors=True)
            raise
    if output.settings.json:
        output.document({"out": out, "name": dataset.name, "counts": counts})
        return
    for which, count in counts.items():
        output.text(f"{out if part else out / which}: {count:,} images")


def _folder(label: str) -> str:
    """A class as the name of a folder."""
    return label.replace("/", "-").lstrip(".") or "images"
