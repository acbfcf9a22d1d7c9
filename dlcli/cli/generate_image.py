"""How `dlcli generate` writes images: a grid of them as one PNG, or a PNG for each."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from dlcli.cli import output
from dlcli.cli.generate import Made
from dlcli.data import mosaic
from dlcli.errors import UsageError
from dlcli.train import atomic

SAMPLES = 64
ROWS = 8  # of images that lead from one to another


def write(made: Made, samples: int | None, out: Path | None, each: Path | None) -> None:
    """To the PNG `out`, and each to one of its own in `each`. UsageError: to neither."""
    if out is None and each is None:
        raise UsageError(
            "where to?", why="images are not written to standard output", hint="add -o grid.png"
        )
    if out is not None and out.suffix.lower() != ".png":
        raise UsageError(f"{out}: images are written as PNG", hint="let its name end in .png")
    rows = [np.stack(list(made.pieces(i))) for i in range(samples or _usual(made))]
    pictures = np.concatenate(rows)
    if each is not None:
        _each(each, pictures)
    if out is not None:
        grid = mosaic.grid(pictures, len(rows[0]) if len(rows[0]) > 1 else None)
        atomic.write_file(out, mosaic.png(mosaic.enlarged(grid, min(pictures.shape[1:3]))))
    places = [str(place) for place in (out, each) if place is not None]
    if output.settings.json:
        output.document({**made.about, "images": len(pictures), "files": places})
    output.note(f"{len(pictures):,} images in {' and '.join(places)}")


def _usual(made: Made) -> int:
    if made.options.get("input"):
        return 1
    return ROWS if made.options.get("interpolate") else SAMPLES


def _each(folder: Path, pictures: np.ndarray) -> None:
    """All files or none."""
    atomic.make_folder(folder)
    try:
        for i, picture in enumerate(pictures):
            atomic.write_file(folder / f"{i:06}.png", mosaic.png(picture))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
