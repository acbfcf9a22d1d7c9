"""A table with a column to tell from the others, such as people.csv with income; and its parts.

A stratified tenth is the test part, another tenth the validation part. Columns that say nothing,
or would say too much, are named in the dataset's remarks.
"""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from dlcli.data import table_text, table_types
from dlcli.data.dataset import Dataset, Part, Subset, fingerprint
from dlcli.data.split import VAL_ONE_IN, stratified
from dlcli.data.table_encoder import Features, Values, check_width
from dlcli.data.table_text import NUMBER, Table
from dlcli.errors import DataError, UsageError, did_you_mean

LARGE = 2_000  # rows: below, batches are small, so that an epoch is some steps
BATCH, SMALL_BATCH = 64, 16
STEPS, LEAST_EPOCHS, MOST_EPOCHS = 5_000, 10, 100  # a small table is seen more often
USUAL = ("label", "class", "target")  # of a label that is not named
MOST_CLASSES = 100
FEW_CLASSES = 20  # numbers that are more than these, and more than
SHARE = 0.05  # of the rows, are a quantity
LEAST = 3  # rows of a class: one for each part


class TableSplit:
    """Rows held in memory. label: the column that is told. ids: (n) of the rows, "people.csv:2"."""

    lengths = None

    def __init__(self, label: str, values: Values, labels: np.ndarray, ids: Sequence[str]) -> None:
        if labels.shape != (len(values),) or len(ids) != len(values):
            raise ValueError(f"{len(values)} rows, {len(ids)} ids, labels {labels.shape}")
        self.label, self.values, self.ids = label, values, ids
        self.labels = labels.astype(np.int64)
        self.labels.flags.writeable = False

    def __len__(self) -> int:
        return len(self.labels)

    def samples(self, indices: np.ndarray) -> Values:
        """The rows at `indices`."""
        return self.values[indices]

    def id(self, index: int) -> str:
        """The file and the line."""
        return self.ids[index]

    @cached_property
    def _digest(self) -> bytes:
        h = hashlib.sha256(f"{self.label} {len(self)}\n".encode())
        h.update(self.labels.astype("<i8").tobytes())
        for name, values in self.values.columns.items():
            if values.dtype == np.float64:
                data = values.astype("<f8").tobytes()
            else:
                data = "\0".join(values.tolist()).encode("utf-8", "surrogatepass")
            h.update(f"\n{name} {values.dtype} {len(data)}\n".encode())
            h.update(data)
        return h.digest()

    def digest(self) -> bytes:
        """SHA-256 of the columns and labels; computed once."""
        return self._digest


def load(path: Path, *, seed: int, options: Mapping[str, Any]) -> Dataset:
    """The table of a file. seed: of the parts. options: label, features, drop, categories.

    DataError, with file, line and column: see `table_text.read` and `table_types.typed`; labels
    that are no classes. UsageError: an option names no column.
    """
    return dataset(table_text.read(path), path.stem or "table", seed=seed, options=options)


def dataset(
    table: Table,
    name: str,
    *,
    seed: int,
    options: Mapping[str, Any],
    test: np.ndarray | None = None,
    ids: Sequence[str] | None = None,
) -> Dataset:
    """A table in three parts. test: the rows of its test part, where they are known. ids: what rows
    are called, if not by the table's lines.
    """
    from dlcli.data.table_kind import KIND

    label = _label(table, options.get("label"))
    asked = {key: _names(table, options, key) for key in ("features", "drop", "categories")}
    classes, labels = _classes(table, label)
    rows = _parts(labels, test, seed)
    chosen = asked["features"] or [n for n in table.columns if n != label]
    columns, remarks = {}, list(table.remarks)
    for column in chosen:
        if column in asked["drop"] or column == label:
            continue
        values = table_types.typed(table, column, asked["categories"])
        why = "all of its cells are empty"
        if values is not None:
            why = table_types.says_nothing(column, values[rows["train"]])
            if column in (*asked["features"], *asked["categories"]):
                why = ""
        if why or values is None:
            remarks.append(f"column '{column}' is left out: {why}")
            continue
        if table_types.tells_label(values[rows["train"]], labels[rows["train"]]):
            remarks.append(
                f"column '{column}' alone tells {label} without an error: if it is made from it,"
                " leave it out with --drop"
            )
        columns[column] = values
    if not columns:
        why = "; ".join(remarks) or "there is no other column"
        raise DataError(f"{table.where}: there is nothing to tell '{label}' by", why=why)
    ids = ids or [f"{table.where}:{line}" for line in table.lines]
    whole = TableSplit(label, Values(columns, len(ids)), labels, ids)
    splits: dict[str, Part] = {part: Subset(whole, rows[part]) for part in rows}
    features = fit(splits["train"])
    check_width(features, table.where)
    shape = (features.width,)
    return Dataset(
        name=name,
        classes=classes,
        shape=shape,
        splits=dict(splits),
        recipe=recipe(len(rows["train"])),
        fingerprint=fingerprint(classes, shape, splits),
        source=table.where,
        kind=KIND,
        remarks=tuple(remarks),
    )


def fit(train: Any) -> Features:
    """The columns as the training part of a table, a `Subset`, has them."""
    whole = train.base
    assert isinstance(whole, TableSplit)
    return Features.fit(whole.label, train.samples(np.arange(len(train))))


def another(path: Path, features: Features, classes: list[str]) -> Dataset:
    """A file to measure a model on, all of it as the test part.

    DataError, with line and column: a column is missing, a cell is not of its kind, or a label is
    none of `classes`.
    """
    from dlcli.data.table_kind import KIND

    table = table_text.read(path)
    if features.label not in table.columns:
        why = did_you_mean(features.label, table.columns)
        what = f"{path}:1: there is no column '{features.label}', the label"
        raise DataError(what, why=why, hint="without it: dlcli predict")
    values = features.values(table)
    numbers = {name: i for i, name in enumerate(classes)}
    cells = table.columns[features.label]
    for row, cell in enumerate(cells):
        if cell not in numbers:
            what = f"'{cell[:40]}' is none of the model's classes" if cell else "the label is empty"
            why = f"these are {', '.join(classes[:8])}{', …' if len(classes) > 8 else ''}"
            raise DataError(f"{table.place(row, features.label)}: {what}", why=why)
    labels = np.array([numbers[cell] for cell in cells], np.int64)
    ids = [f"{path}:{line}" for line in table.lines]
    whole = TableSplit(features.label, values, labels, ids)
    rows = {"train": np.arange(0), "val": np.arange(0), "test": np.arange(len(ids))}
    splits: dict[str, Part] = {part: Subset(whole, rows[part]) for part in rows}
    shape = (features.width,)
    print_ = fingerprint(classes, shape, splits)
    made = Dataset(path.stem or "table", classes, shape, dict(splits), {}, print_, str(path), KIND)
    return replace(made, remarks=table.remarks)


def recipe(n: int) -> dict[str, object]:
    """How to train on n rows: as many epochs as give STEPS steps, within bounds."""
    batch = BATCH if n >= LARGE else SMALL_BATCH
    epochs = min(max(-(-STEPS // -(-n // batch)), LEAST_EPOCHS), MOST_EPOCHS)
    return {"epochs": epochs, "batch_size": batch, "lr": 3e-3}


def _label(table: Table, given: str | None) -> str:
    """The column to tell. UsageError: there is none of that name, or none is named."""
    if given is not None:
        if given not in table.columns:
            why = did_you_mean(given, table.columns)
            raise UsageError(f"{table.where}: there is no column '{given}'", why=why)
        return given
    usual = [name for name in table.columns if name.lower() in USUAL]
    if len(usual) == 1:
        return usual[0]
    why = f"its columns are {', '.join(table.columns)}"
    raise UsageError(f"{table.where}: which column is to be told?", why=why, hint="--label NAME")


def _names(table: Table, options: Mapping[str, Any], key: str) -> list[str]:
    """The columns of an option, "a,b". UsageError: there is none of that name."""
    given = options.get(key, "")
    names = list(table.columns) if given in table.columns else []
    if given and not names:
        found = [name.strip() for name in next(csv.reader([given], skipinitialspace=True))]
        for name in found:
            if name not in table.columns:
                why = did_you_mean(name, table.columns)
                raise UsageError(f"--{key}: there is no column '{name}'", why=why)
        return found
    return [given] if given else []


def _classes(table: Table, label: str) -> tuple[list[str], np.ndarray]:
    """The labels that there are, numbers by value, words by the alphabet; and of each row which."""
    names = table.columns[label]
    for row, name in enumerate(names):
        if not name or name.lower() == "nan":
            raise DataError(
                f"{table.place(row, label)}: the label is missing",
                why=f"so in {sum(not n or n.lower() == 'nan' for n in names):,} rows",
                hint="leave out the rows whose label is not known",
            )
    counts = Counter(names)
    numeric = all(NUMBER.fullmatch(name) for name in counts)
    found = sorted(counts, key=lambda name: (float(name) if numeric else 0.0, name))
    where = f"{table.where}: column '{label}'"
    if len(found) < 2:
        raise DataError(
            f"{where}: holds one label only, '{found[0]}'", why="there is nothing to tell apart"
        )
    if numeric and len(found) > max(FEW_CLASSES, SHARE * len(names)):
        why = f"it has {len(found):,} different numbers in {len(names):,} rows"
        hint = "tables are for classes: put the numbers into a few ranges, such as low and high"
        raise DataError(f"{where}: is a quantity and no class", why=why, hint=hint)
    if len(found) > MOST_CLASSES:
        why = f"{len(found):,} different ones; at most {MOST_CLASSES} can be told apart"
        raise DataError(f"{where}: is not of classes", why=why)
    for name in found:
        if (n := counts[name]) < LEAST:
            why = f"{LEAST} are needed, for training, validation and test"
            what = f"label '{name}' has {n} row{'s' * (n != 1)}"
            raise DataError(f"{where}: {what}", why=why, hint="leave them out, or join classes")
    number_of = {name: i for i, name in enumerate(found)}
    return found, np.array([number_of[name] for name in names], np.int64)


def _parts(labels: np.ndarray, test: np.ndarray | None, seed: int) -> dict[str, np.ndarray]:
    """The rows of each part."""
    if test is None:
        kept, test = stratified(labels, 10, seed=seed, stream="table/test")
        one_in = 9
    else:
        kept, one_in = np.setdiff1d(np.arange(len(labels)), test), VAL_ONE_IN
    stay, val = stratified(labels[kept], one_in, seed=seed, stream="table/val")
    return {"train": kept[stay], "val": kept[val], "test": test}
