"""Time series as samples: windows of rows, after which the target is told; read from tables with a
column of dates and one or several of numbers.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlcli.data.kind import Input, Setting, Shape
from dlcli.errors import CheckpointError, DataError

if TYPE_CHECKING:
    from dlcli.data.dataset import Dataset, Split
    from dlcli.data.series_scale import Scale

MOST_LINES = 5_000_000  # of standard input


class Windows:
    """The kind of every time series.

    A shape is (rows of a window, numbers of a row as a model sees it, steps of the horizon).
    """

    name = "series"
    many = "windows"
    argument = "SERIES.csv"
    default: str | None = None
    shown = "daily-min-temperatures"
    task = "forecasting"

    def __init__(self) -> None:
        self.options = {
            "column": Setting(str, "The column to forecast [default: the first]; for series."),
            "horizon": Setting(int, "Steps to forecast; for series."),
            "window": Setting(int, "Steps to look back on; for series."),
            "season": Setting(int, "Steps of a season [default: a year, or a day]; for series."),
            "ignore_gaps": Setting(bool, "Rows follow each other, whatever the dates; for series."),
        }

    def shape(self, name: str, base: Shape, train: Split, options: Mapping[str, Any]) -> Shape:
        """That of the windows: series are cut by `series.dataset`, which knows the options."""
        return base

    def load(self, path: Path, seed: int, options: Mapping[str, Any]) -> Dataset:
        """A table as `series_csv.read` takes it; parts follow each other in time."""
        from dlcli.data import series, series_csv

        return series.dataset(series_csv.read(path), path.stem or self.name, **options)

    def fit(self, dataset: Dataset) -> Scale:
        """Mean and deviation of the training part."""
        from dlcli.data.series import SeriesSplit
        from dlcli.data.series_scale import Scale

        train = dataset.splits["train"]
        assert isinstance(train, SeriesSplit)
        return Scale.fit(train)

    def from_json(self, stored: object, shape: Shape) -> Scale:
        """What `Scale.to_json` gave. CheckpointError: it is something else, or of other rows."""
        from dlcli.data.series_scale import Scale

        found = Scale.from_json(stored)
        if found.numbers != shape[1]:
            why = f"its rows have {found.numbers} numbers, the model's {shape[1]}"
            raise CheckpointError("the stored scale is not the model's", why=why)
        return found

    def describe(self, shape: Shape) -> str:
        """30×3 → 7: rows of a window, numbers of a row, steps of the horizon."""
        return f"{shape[0]}×{shape[1]} → {shape[2]}"

    def check(self, dataset: Dataset, shape: Shape) -> None:
        """DataError: samples of another kind, or another window or horizon."""
        if dataset.kind is not self:
            what = f"{dataset.name}: its samples are {dataset.kind.many}"
            raise DataError(what, why="the model takes windows of a series")
        if (dataset.shape[0], dataset.shape[2]) != (shape[0], shape[2]):
            theirs, ours = self.describe(dataset.shape), self.describe(shape)
            raise DataError(f"{dataset.name}: windows of {theirs}", why=f"the model takes {ours}")

    def like(self, shape: Shape) -> dict[str, Any]:
        """The window and the horizon of the model."""
        return {"window": shape[0], "horizon": shape[2]}

    def inputs(self, names: Iterable[str], shape: Shape) -> Iterator[list[Input]]:
        """The series of files and of "-", each by itself; what follows its end is to be told."""
        for name in names:
            yield [_read(name)]

    def stack(self, samples: list[Any]) -> Any:
        """A list of series, as they are: what a model sees of them its scale knows."""
        return samples

    def parts(self, sample: Any, encoder: Any) -> list[str]:
        """Nothing that words could name."""
        return []


def _read(name: str) -> Input:
    from dlcli.data import series_csv

    try:
        if name == "-":
            return Input(name, series_csv.parse(_piped(), name))
        if os.path.isdir(name):
            return Input(name, error="is a folder: a series is a file")
        return Input(name, series_csv.read(Path(name)))
    except DataError as error:
        said = ": ".join(filter(None, (error.what, error.why)))
        return Input(name, error=said.removeprefix(f"{name}: "))


def _piped() -> Iterator[tuple[int, str]]:
    from dlcli.data import text_lines

    for number, line in enumerate(text_lines.from_pipe(sys.stdin.buffer), 1):
        if line is None or number > MOST_LINES:
            raise DataError(f"-:{number}: is too long", why="a line, or all of them")
        yield number, line


KIND = Windows()
