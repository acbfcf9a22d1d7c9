"""Rows of a table as samples: quantities and categories, encoded as the training part has them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlcli.data.kind import Input, Setting, Shape
from dlcli.errors import CheckpointError, DataError

if TYPE_CHECKING:
    from dlcli.data.dataset import Dataset, Split
    from dlcli.data.table_encoder import Features, Values


class Rows:
    """The kind of every table with a column to tell. A shape is (numbers of a row,).

    suffixes: of the files that are meant where a model takes other samples as well.
    """

    name = "table"
    many = "rows"
    argument = "TABLE.csv"
    default: str | None = None
    shown = "iris"
    task = "classify"
    suffixes = frozenset({".csv", ".tsv"})

    def __init__(self) -> None:
        self.options = {
            "label": Setting(str, "The column to tell [default: label, class or target]."),
            "features": Setting(str, "Columns to tell it by, A,B [default: all]; for tables."),
            "drop": Setting(str, "Columns to leave out, A,B; for tables."),
            "categories": Setting(str, "Columns whose numbers are names, A,B; for tables."),
        }

    def shape(self, name: str, base: Shape, train: Split, options: Mapping[str, Any]) -> Shape:
        """That of the columns as they turn out: `table.dataset` has encoded them."""
        return base

    def load(self, path: Path, seed: int, options: Mapping[str, Any]) -> Dataset:
        """A .csv or .tsv with a header."""
        from dlcli.data import table

        if os.path.isdir(path):
            raise DataError(f"{path}: is a folder", why="a table is a file, .csv or .tsv")
        return table.load(path, seed=seed, options=options)

    def another(self, path: Path, encode: Features, classes: list[str]) -> Dataset:
        """A file to measure a model on: all of it is the test part."""
        from dlcli.data import table

        return table.another(path, encode, classes)

    def fit(self, dataset: Dataset) -> Features:
        """The columns, as the training part has them."""
        from dlcli.data import table

        return table.fit(dataset.splits["train"])

    def from_json(self, stored: object, shape: Shape) -> Features:
        """What `Features.to_json` gave. CheckpointError: it is something else, or of another
        width than the model's.
        """
        from dlcli.data.table_encoder import Features

        found = Features.from_json(stored)
        if (found.width,) != tuple(shape):
            why = f"a row comes to {found.width} numbers, the model takes {self.describe(shape)}"
            raise CheckpointError("the stored columns are not the model's", why=why)
        return found

    def describe(self, shape: Shape) -> str:
        """So many numbers."""
        return f"{shape[0]:,} numbers"

    def check(self, dataset: Dataset, shape: Shape) -> None:
        """DataError: samples of another kind, or rows of other numbers."""
        if dataset.kind is not self:
            what = f"{dataset.name}: its samples are {dataset.kind.many}"
            raise DataError(what, why="the model takes rows of a table")
        if tuple(dataset.shape) != tuple(shape):
            theirs, ours = self.describe(dataset.shape), self.describe(shape)
            raise DataError(f"{dataset.name}: rows of {theirs}", why=f"the model takes {ours}")

    def like(self, shape: Shape) -> dict[str, Any]:
        """Nothing: the model's own columns apply."""
        return {}

    def inputs(self, names: Iterable[str], shape: Shape) -> Iterator[list[Input]]:
        """Only the encoder knows the columns to look for: see `Features.inputs`."""
        raise TypeError("rows are read by Features.inputs")

    def stack(self, samples: list[Any]) -> Values:
        """Rows, each a value by column, as columns."""
        import numpy as np

        from dlcli.data.table_encoder import Values

        columns = {}
        for name, value in samples[0].items():
            found = np.empty(len(samples), np.float64 if isinstance(value, float) else object)
            found[:] = [row[name] for row in samples]
            columns[name] = found
        return Values(columns, len(samples))

    def parts(self, sample: Any, encoder: Any) -> list[str]:
        """Nothing that words could name."""
        return []


KIND = Rows()
