"""What the samples of a dataset are, images or texts: how they become batches, and how what a user
gives to `predict` becomes a sample.

A `Kind` is one implementation of this protocol, `KIND` of the module `<name>_kind` of this package.
A dataset has one, a model module names one (`KIND`), and nothing else asks which it is: training,
evaluation and prediction go through it.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import dlcli.data
from dlcli.errors import CheckpointError

if TYPE_CHECKING:
    from dlcli.data.dataset import Dataset, Split
    from dlcli.data.loader import Inputs

END = "_kind"  # of the names of the modules
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Setting:
    """A key of [data], and an option of `dlcli train`: how to read the samples.

    type: of its value, int, float, bool or str. help: in a line.
    """

    type: type
    help: str


ON_BAD_SAMPLE = {  # of kinds whose samples are files; see `bad_samples.py`
    "on_bad_sample": Setting(
        str,
        "What to do with files of a folder that cannot be read: error (the default), skip, or"
        " quarantine, which also copies them into the run.",
    )
}


class Encoder(Protocol):
    """From samples, as a split gives them, to what a model takes.

    It is fitted on the training part alone and travels with the checkpoint. Where a sample becomes
    the same numbers whatever stands beside it, it may say `alone = True`; and `costly = True` where
    it then is better to keep them, four bytes each, than to make them anew in each epoch.
    """

    def __call__(self, samples: Any) -> Inputs:
        """The arrays that a model takes for a batch: one, or a tuple of several."""

    def to_json(self) -> dict[str, Any]:
        """Plain values, from which the kind's `from_json` makes it again."""


@dataclass(frozen=True)
class Input:
    """One thing to predict: its name, and a sample, or the error that came instead of it.

    about: what a line of output says of it besides, e.g. {"text": "a fine film"}.
    """

    name: str
    sample: Any = None
    error: str = ""
    about: Mapping[str, Any] = field(default_factory=dict)


class Kind(Protocol):
    """What dataset, model and the shell have in common.

    name: as checkpoints and models say it. many: the word of messages, "images". argument: what
    stands for one where `dlcli predict` is explained. default: the dataset that is meant where none
    is named, None where one must be. shown: the dataset for which `dlcli models show` builds a
    model. options: the keys of [data] that it takes. task: what a model of such
    samples is trained for, a module of `dlcli.train`. A kind whose samples can be drawn has
    `pictures(samples)`, too: of those that a split gives, each as (H, W, C) uint8.
    """

    name: str
    many: str
    argument: str
    default: str | None
    shown: str
    options: Mapping[str, Setting]
    task: str

    def shape(self, name: str, base: Shape, train: Split, options: Mapping[str, Any]) -> Shape:
        """What a model is built for: of the dataset `name`, whose module says SHAPE = `base`.

        UsageError: an option that does not apply, or a value out of its range.
        """

    def load(self, path: Path, seed: int, options: Mapping[str, Any]) -> Dataset:
        """A user's own file or folder. seed: of the parts that are cut.

        DataError: it is not what it should be. UsageError: an option's value is not possible.
        """

    def fit(self, dataset: Dataset) -> Encoder:
        """The encoder of a dataset, from its training part."""

    def from_json(self, stored: object, shape: Shape) -> Encoder:
        """What `to_json` gave. CheckpointError: it is something else, or not for a model of that
        shape.
        """

    def describe(self, shape: Shape) -> str:
        """The shape in words."""

    def check(self, dataset: Dataset, shape: Shape) -> None:
        """DataError: the dataset's samples are not what a model built for `shape` takes."""

    def like(self, shape: Shape) -> dict[str, Any]:
        """The options with which a user's own files are loaded for such a model."""

    def inputs(self, names: Iterable[str], shape: Shape) -> Iterator[list[Input]]:
        """What INPUT... of the command line means, in batches, each as soon as it is there."""

    def stack(self, samples: list[Any]) -> Any:
        """Samples of single inputs as a split gives those of a batch."""

    def parts(self, sample: Any, encoder: Any) -> list[str]:
        """What a model that explains itself weighs, in words: those of a text that it sees."""


@cache
def names() -> list[str]:
    """The kinds that there are, by their modules."""
    modules = (m.name for m in pkgutil.iter_modules(dlcli.data.__path__))
    return sorted(n.removesuffix(END) for n in modules if n.endswith(END))


def of(name: object) -> Kind:
    """The kind by its name. CheckpointError: there is none."""
    if name not in names():
        raise CheckpointError(
            f"samples of the kind {name!r} are not known here",
            hint="it may need a newer version of dlcli",
        )
    kind: Kind = import_module(f"dlcli.data.{name}{END}").KIND
    return kind


def settings() -> dict[str, Setting]:
    """The options of all kinds by their names; two kinds that share one mean the same by it."""
    found: dict[str, Setting] = {}
    for name in names():
        found.update(of(name).options)
    return found
