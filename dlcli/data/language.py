"""Texts to learn a language from, by characters or by words: what the two kinds have in common.

A text file of any content is cut in the order of the text: its first twentieth is the validation
part, its last tenth the test part, and what is between is trained on. So a model is tested on how
what it has learned goes on.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlcli.data.kind import Input, Setting, Shape
from dlcli.errors import CheckpointError, DataError, UsageError

if TYPE_CHECKING:
    from dlcli.data.dataset import Dataset, Split
    from dlcli.data.plain_text import Codes
    from dlcli.data.symbols import Symbols

TEST_ONE_IN, VAL_ONE_IN = 10, 20
LONG = 20  # windows that a stripe holds at least: a short text is cut into fewer
STEPS, MOST_EPOCHS, MOST_BATCH = 2000, 50, 50
BOUNDS = {"sequence": (1, 10_000), "vocabulary": (2, 1_000_000)}


class Language:
    """A kind of texts, whose samples are the symbols of one.

    unit: a symbol in messages, "character". base: the shape unless something else is asked for.
    least: times that a symbol of the training part occurs to have an id of its own.

    A shape is (symbols of a window of training, ids at most).
    """

    name: str
    unit: str
    many: str
    base: Shape
    least: int
    argument = "FILE"
    default: str | None = None
    shown = "tinyshakespeare"
    task = "language"

    def __init__(self) -> None:
        self.options = {
            "sequence": Setting(int, "Symbols over which gradients are followed; for languages."),
            "vocabulary": Setting(int, "Ids of the vocabulary at most; for texts."),
        }

    def read(self, path: Path) -> Codes:
        """The codes of a file, see `plain_text`."""
        raise NotImplementedError

    def split(self, text: str) -> list[str]:
        """A text as symbols, of which `"".join` makes it again."""
        raise NotImplementedError

    def shape(self, name: str, base: Shape, train: Split, options: Mapping[str, Any]) -> Shape:
        """The bounds of `base`, or those of the options, with the ids that there turn out to be."""
        window, most = checked(base, options)
        return window, len(self._symbols(train, most))

    def load(self, path: Path, seed: int, options: Mapping[str, Any]) -> Dataset:
        """A text file. It is cut by the order of its text, whatever the seed.

        DataError: it is no text, too short, or of one symbol alone.
        """
        from dlcli.data.dataset import Dataset, fingerprint
        from dlcli.data.stream import Stream

        if os.path.isdir(path):
            raise DataError(f"{path}: is a folder", why="a language is learned from a text file")
        window, _ = checked(self.base, options)
        codes, symbols = self.read(path)
        n = len(codes) - 1
        val, test = max(n // VAL_ONE_IN, 1), n - max(n // TEST_ONE_IN, 1)
        if test - val < window:
            raise DataError(
                f"{path}: is too short, it has {self.counted(n)}",
                why=f"{max(test - val, 0):,} are left to train on, a window takes {window:,}",
                hint="give a longer text, or a smaller --sequence",
            )
        if len(symbols) < 2:
            why = f"it holds one {self.unit} only, {symbols[0]!r}"
            raise DataError(f"{path}: there is nothing to predict", why=why)
        ends = {"train": (val, test), "val": (0, val), "test": (test, n)}
        splits = {
            part: Stream(part, codes, symbols, *between, window) for part, between in ends.items()
        }
        shape = self.shape(path.name, self.base, splits["train"], options)
        return Dataset(
            name=path.stem or "text",
            classes=[],
            shape=shape,
            splits=dict(splits),
            recipe=recipe(test - val, window),
            fingerprint=fingerprint([], shape, dict(splits)),
            source=str(path),
            kind=self,
        )

    def fit(self, dataset: Dataset) -> Symbols:
        """The symbols of the training part."""
        return self._symbols(dataset.splits["train"], dataset.shape[1])

    def _symbols(self, train: Any, most: int) -> Symbols:
        from dlcli.data.symbols import Symbols

        return Symbols.fit(train.symbols, train.counts(), most, self.least)

    def from_json(self, stored: object, shape: Shape) -> Symbols:
        """What `Symbols.to_json` gave. CheckpointError: it is something else, or of another size
        than the model's.
        """
        from dlcli.data.symbols import Symbols

        found = Symbols.from_json(stored)
        if len(found) != shape[1]:
            why = f"there are {len(found):,} ids, the model has {shape[1]:,}"
            raise CheckpointError(f"the stored {self.many} are not the model's", why=why)
        return found

    def describe(self, shape: Shape) -> str:
        """The two bounds in words."""
        return f"windows of {shape[0]:,} {self.many}, {shape[1]:,} ids"

    def counted(self, n: int) -> str:
        """ "1 character", "2 characters"."""
        return f"{n:,} {self.unit if n == 1 else self.many}"

    def check(self, dataset: Dataset, shape: Shape) -> None:
        """DataError: samples of another kind. Any text can be encoded by any symbols."""
        if dataset.kind is not self:
            what = f"{dataset.name}: its samples are {dataset.kind.many}"
            raise DataError(what, why=f"the model takes {self.many}")

    def like(self, shape: Shape) -> dict[str, Any]:
        """Nothing: the model's own symbols apply, and measuring has windows of its own."""
        return {}

    def inputs(self, names: Iterable[str], shape: Shape) -> Iterator[list[Input]]:
        """The lines of files and of "-"; each is a text. Those of a pipe come as they are there."""
        from dlcli.data import line_inputs

        def made(name: str, text: str) -> Input:
            return line_inputs.of_text(name, text, self.split(text))

        yield from line_inputs.inputs(names, made, {})

    def stack(self, samples: list[Any]) -> Any:
        """Lists of symbols, as they are."""
        return samples

    def parts(self, sample: Any, encoder: Any) -> list[str]:
        """The symbols."""
        return list(sample)


def checked(base: Shape, options: Mapping[str, Any]) -> Shape:
    """The bounds of `base`, or those of the options. UsageError: one is out of its range."""
    asked = {"sequence": base[0], "vocabulary": base[1], **options}
    for key, (low, high) in BOUNDS.items():
        if not low <= asked[key] <= high:
            why = f"it must be {low} … {high:,}"
            raise UsageError(f"data.{key} = {asked[key]} is not possible", why=why)
    return asked["sequence"], asked["vocabulary"]


def recipe(n: int, window: int) -> dict[str, object]:
    """Defaults for training on n symbols: a short text is cut into fewer stripes, and seen more
    often.
    """
    batch = min(max(n // (window * LONG), 1), MOST_BATCH)
    epochs = min(max(-(-STEPS * batch * window // n), 1), MOST_EPOCHS)
    how = {"lr": 5e-3, "warmup": 20, "clip_norm": 5.0}
    return {"epochs": epochs, "batch_size": batch, **how}
