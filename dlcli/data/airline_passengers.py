"""Passengers of international airlines by month, 1949 to 1960, in thousands (Box & Jenkins 1976).

One table with the columns Month and Passengers: 144 rows. What is to be told is a year, after two.
The series is short and grows, so that few windows are learned from and all of the test part is
above what the training part has.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from dlcli.data import series, series_csv
from dlcli.data.dataset import Dataset

DESCRIPTION = "airline passengers by month, 1949-1960; a year from two"
KIND = "series"
CLASSES: list[str] = []
SHAPE = (24, 3, 12)
COUNTS = {"train": 67, "val": 3, "test": 17}
RECIPE: dict[str, object] = {**series.RECIPE, "epochs": 200, "batch_size": 16, "lr": 5e-3}
HOMEPAGE = "https://raw.githubusercontent.com/jbrownlee/Datasets/master/"
FOLDERS = ("timeseries", "airline-passengers")
FILES = ("airline-passengers.csv",)


def missing(folder: Path) -> list[str]:
    """The names of the files that `folder` lacks."""
    return [name for name in FILES if not (folder / name).is_file()]


def load(folder: Path | None, seed: int, options: Mapping[str, Any]) -> Dataset:
    """The series in three parts. seed: nothing here is drawn."""
    assert folder is not None
    whole = series_csv.read(folder / FILES[0])
    return replace(series.dataset(whole, "", base=SHAPE, **options), recipe=dict(RECIPE))
