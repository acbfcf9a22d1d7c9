"""Sentences and their translations as samples, encoded by a vocabulary for each side; sentences to
translate are lines of files or of standard input, as they come.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlcli.data import line_inputs
from dlcli.data.kind import Input, Shape
from dlcli.data.text_kind import KIND as TEXTS
from dlcli.errors import CheckpointError, DataError, UsageError

if TYPE_CHECKING:
    from dlcli.data.dataset import Dataset, Split
    from dlcli.data.pair_encoder import PairEncoder

BOUNDS = {"max_length": (1, 1_000), "vocabulary": (4, 1_000_000)}  # four: one of a word


class Pairs:
    """The kind of every dataset of translations.

    A shape is (words of a source at most, ids of its vocabulary, the same two of a target).
    """

    name = "pair"
    many = "pairs"
    argument = "FILE"
    default: str | None = None
    shown = "tatoeba-eng-fra"
    task = "translate"

    def __init__(self) -> None:
        self.options = {key: TEXTS.options[key] for key in BOUNDS}  # they hold for each side

    def shape(self, name: str, base: Shape, train: Split, options: Mapping[str, Any]) -> Shape:
        """The bounds of `base`, or those of the options, with the vocabularies as they turn out."""
        import numpy as np

        from dlcli.data.pair_encoder import PairEncoder

        for key, value in options.items():
            low, high = BOUNDS[key]
            if not low <= value <= high:
                why = f"it must be {low} … {high:,}"
                raise UsageError(f"data.{key} = {value} is not possible", why=why)
        most = tuple(
            options.get(key, bound) for key, bound in zip([*BOUNDS, *BOUNDS], base, strict=True)
        )
        return PairEncoder.fit(train.samples(np.arange(len(train))), most).shape

    def load(self, path: Path, seed: int, options: Mapping[str, Any]) -> Dataset:
        """A file of lines, `source TAB target`."""
        from dlcli.data import pair_table

        if os.path.isdir(path):
            why = "for a model of translations it is a name or a file"
            raise DataError(f"{path}: is a folder", why=f"{why}: {pair_table.LAYOUT}")
        return pair_table.load(path, seed=seed, options=options)

    def fit(self, dataset: Dataset) -> PairEncoder:
        """The words of both sides of the training part."""
        import numpy as np

        from dlcli.data.pair_encoder import PairEncoder

        train = dataset.splits["train"]
        return PairEncoder.fit(train.samples(np.arange(len(train))), dataset.shape)

    def from_json(self, stored: object, shape: Shape) -> PairEncoder:
        """What `PairEncoder.to_json` gave. CheckpointError: it is something else, or of other sizes
        than the model's tables of word vectors.
        """
        from dlcli.data.pair_encoder import PairEncoder

        found = PairEncoder.from_json(stored)
        if found.shape != tuple(shape):
            why = f"they are for {self.describe(found.shape)}, the model for {self.describe(shape)}"
            raise CheckpointError("the stored vocabularies are not the model's", why=why)
        return found

    def describe(self, shape: Shape) -> str:
        """The bounds of both sides in words."""
        source, target = TEXTS.describe(shape[:2]), TEXTS.describe(shape[2:])
        return source if source == target else f"{source}, into {target}"

    def check(self, dataset: Dataset, shape: Shape) -> None:
        """DataError: samples of another kind. Any sentence can be encoded by any vocabulary."""
        if dataset.kind is not self:
            what = f"{dataset.name}: its samples are {dataset.kind.many}"
            raise DataError(what, why="the model takes pairs of sentences")

    def like(self, shape: Shape) -> dict[str, Any]:
        """Nothing: the model's own vocabularies and lengths apply."""
        return {}

    def inputs(self, names: Iterable[str], shape: Shape) -> Iterator[list[Input]]:
        """The lines of files and of "-", of a .tsv what stands before the first tab; each is a
        sentence. Those of a pipe come as soon as they are there.
        """
        from dlcli.data import pair_table
        from dlcli.data.pair_split import Pair
        from dlcli.data.pair_text import tokens

        def made(name: str, text: str) -> Input:
            return line_inputs.of_text(name, text, Pair(tokens(text)))

        yield from line_inputs.inputs(names, made, {".tsv": pair_table.sources})

    def stack(self, samples: list[Any]) -> Any:
        """A list of pairs, as they are."""
        return samples

    def parts(self, sample: Any, encoder: Any) -> list[str]:
        """The words of the source that the model reads."""
        kept: list[str] = sample.source[: encoder.source.max_length]
        return kept


KIND = Pairs()
