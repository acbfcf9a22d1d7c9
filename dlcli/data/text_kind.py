"""Texts as samples: lists of words, encoded by a vocabulary; read from lines of files or of
standard input, as they come.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlcli.data import line_inputs
from dlcli.data.kind import Input, Setting, Shape
from dlcli.errors import CheckpointError, DataError, UsageError

if TYPE_CHECKING:
    from dlcli.data.dataset import Dataset, Split
    from dlcli.data.vocabulary import Vocabulary

MOST_LENGTH, MOST_VOCABULARY = 10_000, 1_000_000
TABLES = {".csv", ".tsv"}


class Texts:
    """The kind of every dataset of texts.

    A shape is (words of a text at most, ids of the vocabulary).
    """

    name = "text"
    many = "texts"
    argument = "FILE"
    default: str | None = None
    shown = "sst2"
    task = "classify"

    def __init__(self) -> None:
        self.options = {
            "max_length": Setting(int, "Words of a text at most; for texts."),
            "vocabulary": Setting(int, "Ids of the vocabulary at most; for texts."),
        }

    def shape(self, name: str, base: Shape, train: Split, options: Mapping[str, Any]) -> Shape:
        """The bounds of `base`, or those of the options, with the vocabulary as it turns out."""
        length = options.get("max_length", base[0])
        most = options.get("vocabulary", base[1])
        for key, value, high in (
            ("max_length", length, MOST_LENGTH),
            ("vocabulary", most, MOST_VOCABULARY),
        ):
            if not 1 <= value <= high:
                why = f"it must be 1 … {high:,}"
                raise UsageError(f"data.{key} = {value} is not possible", why=why)
        return length, len(_vocabulary(train, most, length))

    def load(self, path: Path, seed: int, options: Mapping[str, Any]) -> Dataset:
        """A .csv or .tsv with the columns text and label."""
        from dlcli.data import csv_text

        if os.path.isdir(path) or path.suffix.lower() not in TABLES:
            why = "for a model of texts it is a name or a table, .csv or .tsv"
            raise DataError(f"{path}: is not a table of texts", why=why)
        return csv_text.load(path, seed=seed, options=dict(options))

    def fit(self, dataset: Dataset) -> Vocabulary:
        """The words of the training part."""
        length, most = dataset.shape
        return _vocabulary(dataset.splits["train"], most, length)

    def from_json(self, stored: object, shape: Shape) -> Vocabulary:
        """What `Vocabulary.to_json` gave. CheckpointError: it is something else, or of another
        size than the model's table of word vectors.
        """
        from dlcli.data.vocabulary import Vocabulary

        found = Vocabulary.from_json(stored)
        if (found.max_length, len(found)) != tuple(shape):
            theirs = self.describe((found.max_length, len(found)))
            why = f"it is for {theirs}, the model for {self.describe(shape)}"
            raise CheckpointError("the stored vocabulary is not the model's", why=why)
        return found

    def describe(self, shape: Shape) -> str:
        """The two bounds in words."""
        return f"up to {shape[0]:,} words, a vocabulary of {shape[1]:,}"

    def check(self, dataset: Dataset, shape: Shape) -> None:
        """DataError: samples of another kind. Any text can be encoded by any vocabulary."""
        if dataset.kind is not self:
            what = f"{dataset.name}: its samples are {dataset.kind.many}"
            raise DataError(what, why="the model takes texts")

    def like(self, shape: Shape) -> dict[str, Any]:
        """Nothing: the model's own vocabulary and length apply."""
        return {}

    def inputs(self, names: Iterable[str], shape: Shape) -> Iterator[list[Input]]:
        """The lines of files and of "-", the column `text` of a .csv or .tsv; each is a text.

        Those of a pipe come as soon as they are there, up to line_inputs.BATCH at a time.
        """
        from dlcli.data import csv_text
        from dlcli.data.text import words

        def made(name: str, text: str) -> Input:
            return line_inputs.of_text(name, text, words(text))

        yield from line_inputs.inputs(names, made, dict.fromkeys(TABLES, csv_text.texts))

    def stack(self, samples: list[Any]) -> Any:
        """A list of lists of words, as they are."""
        return samples

    def parts(self, sample: Any, encoder: Any) -> list[str]:
        """The words that the vocabulary's bound on a text's length leaves."""
        kept: list[str] = encoder.kept(sample)
        return kept


def _vocabulary(train: Split, most: int, length: int) -> Vocabulary:
    import numpy as np

    from dlcli.data.vocabulary import Vocabulary

    return Vocabulary.fit(train.samples(np.arange(len(train))), most, length)


KIND = Texts()
