"""Iris: flowers of three species by the length and width of sepal and petal (Fisher 1936).

One table without a header, 150 rows. It is kept as it was published, with its two known mistakes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dlcli.data import table, table_text
from dlcli.data.dataset import Dataset

DESCRIPTION = "iris flowers of three species, four lengths each"
KIND = "table"
CLASSES = ["Iris-setosa", "Iris-versicolor", "Iris-virginica"]
SHAPE = (4,)
COUNTS = {"train": 120, "val": 15, "test": 15}
RECIPE = table.recipe(120)
HOMEPAGE = "https://archive.ics.uci.edu/dataset/53/iris"
FOLDERS = ("tabular/iris", "iris")
FILES = ("iris.csv",)
COLUMNS = ("sepal length", "sepal width", "petal length", "petal width", "species")


def missing(folder: Path) -> list[str]:
    """The names of the files that `folder` lacks."""
    return [name for name in FILES if not (folder / name).is_file()]


def load(folder: Path | None, seed: int, options: Mapping[str, Any]) -> Dataset:
    """The table in three parts."""
    assert folder is not None
    read = table_text.read(folder / FILES[0], header=COLUMNS)
    return table.dataset(read, "iris", seed=seed, options={"label": "species", **options})
