"""Rows of a table as numbers: the columns of the training part, which travel with a checkpoint."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dlcli.data import table_columns, table_text, text_lines
from dlcli.data.kind import Input
from dlcli.data.table_columns import MOST_LEVELS, Category, Column
from dlcli.data.table_text import MOST_COLUMNS, MOST_NAME, Table
from dlcli.errors import CheckpointError, DataError, did_you_mean

BATCH = 256  # rows of a file at a time
Row = Mapping[str, Any]  # a value for each column


class Values:
    """n rows, as columns of n values each: float64 or texts."""

    def __init__(self, columns: Mapping[str, np.ndarray], n: int) -> None:
        self.columns, self.n = dict(columns), n

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, rows: slice | np.ndarray) -> Values:
        picked = {name: values[rows] for name, values in self.columns.items()}
        return Values(picked, len(np.arange(self.n)[rows]))


class Features:
    """Encodes rows. label: the column to tell. columns: those that it is told by, learned."""

    alone = costly = True  # see `kind.Encoder`

    def __init__(self, label: str, columns: Sequence[Column]) -> None:
        self.label, self.columns = label, list(columns)
        names = [column.name for column in self.columns]
        if not names or len(set(names)) < len(names) or label in names:
            raise ValueError("the columns must be some, different ones, and not the label")
        if not self.width:
            raise ValueError("the columns come to no numbers")

    @classmethod
    def fit(cls, label: str, train: Values) -> Features:
        """Learns the columns from the training part."""
        return cls(label, [table_columns.fit(n, values) for n, values in train.columns.items()])

    @property
    def width(self) -> int:
        """Numbers that a row becomes."""
        return sum(column.width for column in self.columns)

    def __call__(self, samples: Values) -> np.ndarray:
        """(B, width) float32. DataError: a column is not there, or of another kind."""
        out = np.zeros((len(samples), self.width), np.float32)
        at = 0
        for column in self.columns:
            values = samples.columns.get(column.name)
            if values is None or values.dtype != column.array([]).dtype:
                what = f"column '{column.name}' is not what the model was trained on"
                raise DataError(what, why="the table has changed since", hint="train anew")
            column.encode(values, out[:, at : at + column.width])
            at += column.width
        return out

    def remark(self, sample: Row) -> dict[str, list[str]]:
        """{"unknown": names of the columns whose value training has not had, or too rarely}."""
        unknown = [
            column.name
            for column in self.columns
            if isinstance(column, Category)
            and (value := sample[column.name])
            and not column.knows(value)
        ]
        return {"unknown": unknown} if unknown else {}

    # --- files of a user

    def values(self, table: Table) -> Values:
        """All rows of a table. DataError, with line and column: a column is missing, or a cell is
        not of its kind.
        """
        self.check(table.columns, f"{table.where}:1")
        found = {}
        for column in self.columns:
            parsed = []
            for row, cell in enumerate(table.columns[column.name]):
                try:
                    parsed.append(column.parse(cell))
                except ValueError as error:
                    raise DataError(f"{table.place(row, column.name)}: {error}") from error
            found[column.name] = column.array(parsed)
        return Values(found, len(table.lines))

    def check(self, names: Iterable[str], where: str) -> None:
        """DataError: a column is not among those that there are."""
        there = list(names)
        for column in self.columns:
            if column.name not in there:
                why = did_you_mean(column.name, there)
                raise DataError(f"{where}: there is no column '{column.name}'", why=why)

    def inputs(self, names: Iterable[str]) -> Iterator[list[Input]]:
        """The rows of tables and of "-", by the columns' names whatever their order, in batches
        each of one table; those of a pipe one by one, as they come.
        """
        for name in names:
            batch: list[Input] = []
            size = 1 if name == "-" else BATCH
            try:
                for item in self._rows(name):
                    batch.append(item)
                    if len(batch) == size:
                        yield batch
                        batch = []
            except DataError as error:
                what = error.what.removeprefix(f"{name}: ")
                batch.append(Input(name, error=": ".join(filter(None, (what, error.why)))))
            if batch:
                yield batch

    def _rows(self, name: str) -> Iterator[Input]:
        if name == "-":
            rows = table_text.Rows(_piped(), name)
            self.check(rows.names, f"{name}:1")
            for line, cells in rows:
                yield self._input(f"{name}:{line}", dict(zip(rows.names, cells, strict=True)))
            return
        table = table_text.read(Path(name))
        self.check(table.columns, f"{name}:1")
        for row, line in enumerate(table.lines):
            cells = {c.name: table.columns[c.name][row] for c in self.columns}
            yield self._input(f"{name}:{line}", cells)

    def _input(self, name: str, cells: Mapping[str, str]) -> Input:
        found = {}
        for column in self.columns:
            try:
                found[column.name] = column.parse(cells[column.name])
            except ValueError as error:
                return Input(name, error=f"column '{column.name}': {error}")
        return Input(name, found)

    # --- checkpoints

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"label": self.label, "columns": [column.to_json() for column in self.columns]}

    @classmethod
    def from_json(cls, stored: object) -> Features:
        """What `to_json` gave. CheckpointError: it is something else."""
        try:
            label, columns = stored["label"], stored["columns"]  # type: ignore[index]
            if type(label) is not str or len(label) > MOST_NAME:
                raise TypeError("the label must be text")
            if not isinstance(columns, list) or len(columns) > MOST_COLUMNS:
                raise TypeError(f"columns must be a list of at most {MOST_COLUMNS:,}")
            made: list[Column] = [table_columns.KINDS[c["kind"]].from_json(c) for c in columns]
            return cls(label, made)
        except (TypeError, KeyError, ValueError, OverflowError) as error:
            raise CheckpointError("the stored columns are damaged", why=str(error)) from error


def _piped() -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text_lines.from_pipe(sys.stdin.buffer), 1):
        if line is None:
            raise DataError(f"-:{number}: the line is too long")
        yield number, line


MOST_WIDTH = 20_000  # numbers of a row


def check_width(features: Features, where: str) -> None:
    """DataError: a row becomes too many numbers."""
    if features.width > MOST_WIDTH:
        why = f"a row comes to {features.width:,} numbers, at most {MOST_WIDTH:,} are taken"
        hint = f"each level of a category is one, up to {MOST_LEVELS}: use --features or --drop"
        raise DataError(f"{where}: too many columns", why=why, hint=hint)
