"""Mammography: calcifications in X-ray images, 260 among 11,183 (Woods et al. 1993).

One table without a header: six numbers, and '-1' or '1' in single quotes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from dlcli.data import table, table_text
from dlcli.data.dataset import Dataset

DESCRIPTION = "microcalcifications in mammograms, 2.3 % of the rows"
KIND = "table"
CLASSES = ["calcification", "no"]
SHAPE = (6,)
COUNTS = {"train": 8_947, "val": 1_118, "test": 1_118}
RECIPE = table.recipe(8_947)
HOMEPAGE = "https://raw.githubusercontent.com/jbrownlee/Datasets/master/"
FOLDERS = ("tabular/mammography", "mammography")
FILES = ("mammography.csv",)
COLUMNS = (*(f"attr{i}" for i in range(1, 7)), "label")


def missing(folder: Path) -> list[str]:
    """The names of the files that `folder` lacks."""
    return [name for name in FILES if not (folder / name).is_file()]


def load(folder: Path | None, seed: int, options: Mapping[str, Any]) -> Dataset:
    """The table in three parts."""
    assert folder is not None
    read = table_text.read(folder / FILES[0], header=COLUMNS)
    labels = ["calcification" if c.strip("'") == "1" else "no" for c in read.columns["label"]]
    return table.dataset(
        replace(read, columns={**read.columns, "label": labels}),
        "mammography",
        seed=seed,
        options=options,
    )
