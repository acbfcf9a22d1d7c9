"""A table of texts of one's own: CSV or TSV in UTF-8, with a header that has `text` and `label`.

Fields may be quoted as spreadsheets do, so that a text may have line breaks; other columns are
passed over. A label is any word or number. A stratified tenth is the test part, another tenth the
validation part.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dlcli.data.dataset import Dataset, Part, Subset, fingerprint
from dlcli.data.split import stratified
from dlcli.data.text import TextSplit
from dlcli.data.text_lines import MOST_LINE, lines
from dlcli.errors import DataError, did_you_mean

SHAPE = (400, 25_000)  # words of a text at most; ids of the vocabulary at most
BATCH = 32
RECIPE: dict[str, object] = {"batch_size": BATCH, "lr": 1e-3}
LEAST_EPOCHS, MOST_EPOCHS, STEPS = 5, 50, 600  # a small table is seen more often
TEXT, LABEL = "text", "label"
MOST_CLASSES = 1_000
LEAST = 3  # texts of a class: one for each part


def load(path: Path, *, seed: int = 0, options: dict[str, int] | None = None) -> Dataset:
    """The table as a dataset. seed: of the parts. options: max_length, vocabulary.

    DataError, with file and line: no such columns, a row with more or fewer fields than the header,
    an empty label, fewer than two classes, more than MOST_CLASSES, or a class with too few texts.
    """
    from dlcli.data.text_kind import KIND

    ids, texts, names = [], [], []
    for number, (text, label) in records(path, (TEXT, LABEL)):
        if not label.strip():
            raise DataError(f"{path}:{number}: the label is empty")
        ids.append(f"{path}:{number}")
        texts.append(text)
        names.append(label.strip())
    classes = _classes(path, names)
    label_of = {name: i for i, name in enumerate(classes)}
    labels = np.array([label_of[name] for name in names], np.int64)
    whole = TextSplit("texts", texts, labels, ids)
    kept, test = stratified(labels, 10, seed=seed, stream="text/test")
    stay, val = stratified(labels[kept], 9, seed=seed, stream="text/val")
    rows = {"train": kept[stay], "val": kept[val], "test": test}
    splits: dict[str, Part] = {part: Subset(whole, rows[part]) for part in rows}
    shape = KIND.shape(path.name, SHAPE, splits["train"], options or {})
    return Dataset(
        name=path.stem or "texts",
        classes=classes,
        shape=shape,
        splits=dict(splits),
        recipe={"epochs": _epochs(len(rows["train"])), **RECIPE},
        fingerprint=fingerprint(classes, shape, splits),
        source=str(path),
        kind=KIND,
    )


def _epochs(n: int) -> int:
    """As many as give STEPS steps on n texts, within bounds."""
    return min(max(-(-STEPS // -(-n // BATCH)), LEAST_EPOCHS), MOST_EPOCHS)


def _classes(path: Path, names: list[str]) -> list[str]:
    """The labels that there are: numbers by value, words by the alphabet."""
    counts = Counter(names)
    found = sorted(counts, key=lambda n: (0, int(n), n) if n.isdecimal() else (1, 0, n))
    if len(found) < 2:
        what = f"holds one label only, '{found[0]}'" if found else "holds no texts"
        raise DataError(f"{path}: {what}", why="there is nothing to tell apart")
    if len(found) > MOST_CLASSES:
        why = f"{len(found):,} different ones; at most {MOST_CLASSES:,} can be told apart"
        raise DataError(f"{path}: the column {LABEL} is not of classes", why=why)
    for name in found:
        if (n := counts[name]) < LEAST:
            has = f"has {n} text{'s' * (n != 1)}"
            why = f"{LEAST} are needed, for training, validation and test"
            raise DataError(f"{path}: label '{name}' {has}", why=why)
    return found


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """(line, text) of the column `text`; DataError as with `load`."""
    for number, (text,) in records(path, (TEXT,)):
        yield number, text


def records(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[int, tuple[str, ...]]]:
    """(line on which it begins, the fields of `columns`) of each row; empty lines are no rows.

    DataError: the file or a row is not what it should be.
    """
    csv.field_size_limit(MOST_LINE)
    at = [0]

    def counted() -> Iterator[str]:
        for at[0], line in lines(path):
            yield line + "\n"

    if path.suffix.lower() == ".tsv":
        reader = csv.reader(counted(), delimiter="\t", strict=True)
    else:
        reader = csv.reader(counted(), delimiter=",", strict=True)
    try:
        header = [name.strip().lower() for name in next(reader, [])]
        places = _places(path, header, columns)
        begins = at[0] + 1
        for row in reader:
            if row and len(row) != len(header):
                why = f"it has {len(row)} fields, the header has {len(header)}"
                hint = 'put a text that holds the separator into quotes: "a, b"'
                raise DataError(f"{path}:{begins}: the row does not fit", why=why, hint=hint)
            if row:
                yield begins, tuple(row[place] for place in places)
            begins = at[0] + 1
    except csv.Error as error:
        hint = "quotes that are part of a text are doubled"
        raise DataError(f"{path}:{at[0]}: is no CSV", why=str(error), hint=hint) from error


def _places(path: Path, header: list[str], columns: tuple[str, ...]) -> list[int]:
    places = []
    for column in columns:
        if header.count(column) != 1:
            many = "two columns" if column in header else "no column"
            why = did_you_mean(column, header) if any(header) else "the line is empty"
            hint = f"expected a header line with the columns {', '.join(columns)}"
            raise DataError(f"{path}:1: the header has {many} '{column}'", why=why, hint=hint)
        places.append(header.index(column))
    return places
