"""The mistakes that a classifier of images is surest of, as a PNG file: a grid of the images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dlcli.cli.plot import figure_at, label, plain

ACROSS = 5  # images beside each other
CELL = (1.12, 1.36)  # of the grid, where an image is 1 wide and high; the rest is for words


def mistakes(pictures: Sequence[Any], found: Sequence[Any], path: Path, title: str) -> None:
    """pictures: (H, W, C) uint8, of the mistakes found, `train.evaluate.Mistake`, at least one.

    OSError: the file cannot be written.
    """
    wide, high = CELL
    down = -(-len(pictures) // ACROSS)
    with figure_at(path, (7.4, 0.45 + down * 7.4 / ACROSS / wide * high)) as figure:
        panel = figure.subplots()  # a single one: to lay out one for each image takes a second
        for number, (picture, mistake) in enumerate(zip(pictures, found, strict=True)):
            left, top = number % ACROSS * wide, number // ACROSS * high
            h, w = (0.5 * side / max(picture.shape[:2]) for side in picture.shape[:2])
            x, y = left + 0.5, top + 0.5
            show(panel, picture, (x - w, x + w, y + h, y - h))
            told = f"{label(mistake.true)}\nas {label(mistake.predicted, 13)}"
            told += f", {_percent(mistake.probability)}"
            panel.text(x, y - h - 0.03, told, ha="center", va="bottom", fontsize=7.5)
        panel.set_xlim(-0.05, ACROSS * wide)
        panel.set_ylim(down * high - (high - 1) + 0.05, 1 - high)
        figure.suptitle(plain(f"{title}: true class, and what it is taken for"), fontsize=10)


def show(panel: Any, picture: Any, extent: tuple[float, float, float, float] | None = None) -> None:
    """Draws an image (H, W, C) uint8, grey or in colour, with every pixel a rectangle.

    extent: its left, right, bottom and top, by default its pixels.
    """
    grey = picture.shape[-1] == 1
    panel.imshow(
        picture[..., 0] if grey else picture,
        cmap="gray" if grey else None,
        vmin=0,
        vmax=255,
        interpolation="nearest",
        extent=extent,
    )
    panel.set_axis_off()


def _percent(share: float) -> str:
    """No "100%" of what is not certain."""
    return f"{min(share, 0.9999):.2%}" if share > 0.995 else f"{share:.0%}"
