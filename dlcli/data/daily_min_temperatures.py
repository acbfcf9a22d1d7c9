"""Daily minimum temperatures in Melbourne, 1981 to 1990, in °C (Australian Bureau of Meteorology).

One table with the columns Date and Temp: 3,650 rows. The last days of the two leap years, 1984 and
1988, are missing in the file as it is published, so that each year has 365 rows. They are not made
up here: rows follow each other, as in every use of the series that we know. What is to be told is
a week, after a month.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from dlcli.data import series, series_csv
from dlcli.data.dataset import Dataset

DESCRIPTION = "daily minimum temperatures, Melbourne 1981-1990; a week from a month"
KIND = "series"
CLASSES: list[str] = []
SHAPE = (30, 3, 7)
COUNTS = {"train": 2_519, "val": 359, "test": 724}
RECIPE = series.RECIPE
HOMEPAGE = "https://raw.githubusercontent.com/jbrownlee/Datasets/master/"
FOLDERS = ("timeseries", "daily-min-temperatures")
FILES = ("daily-min-temperatures.csv",)


def missing(folder: Path) -> list[str]:
    """The names of the files that `folder` lacks."""
    return [name for name in FILES if not (folder / name).is_file()]


def load(folder: Path | None, seed: int, options: Mapping[str, Any]) -> Dataset:
    """The series in three parts: seven years, one, two. seed: nothing here is drawn."""
    assert folder is not None
    given = {**options, "ignore_gaps": True}
    whole = series_csv.read(folder / FILES[0])
    return replace(series.dataset(whole, "", base=SHAPE, **given), recipe=dict(RECIPE))
