"""CMP facades (Tyleček and Šára 2013): photos of house fronts with what is wall, window, door …

Pairs side by side, 512×256 pixels: the photo is the left half, the map of labels, in colours, the
right one. There are no published parts of these files: a tenth is the test part, a tenth the
validation part.
"""

from __future__ import annotations

import os
from pathlib import Path

DESCRIPTION = "photos of house fronts, and maps of their parts"
CLASSES: list[str] = []
KINDS = {"picture_pair": (64, 64, 3), "picture_domains": (64, 64, 3)}
COUNTS = {"pairs": 200}
RECIPE: dict[str, object] = {}
HOMEPAGE = "https://cmp.felk.cvut.cz/~tylecr1/facade/"
FOLDERS = ("facades",)
FILES = ("image_001.jpg … image_200.jpg",)


def missing(folder: Path) -> list[str]:
    """The names of the files that `folder` lacks."""
    names = (f"image_{i + 1:03}.jpg" for i in range(COUNTS["pairs"]))
    absent = [name for name in names if not os.path.isfile(folder / name)]
    return absent[:1] + ([f"… ({len(absent)} files)"] if len(absent) > 1 else [])


def place(folder: Path) -> Path:
    """The folder itself."""
    return folder
