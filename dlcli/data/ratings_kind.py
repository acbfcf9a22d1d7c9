"""Ratings as samples: a user and an item, ids that are any text; read from tables with the columns
user, item and rating, and to be told from lines.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlcli.data import line_inputs
from dlcli.data.kind import Input, Setting, Shape
from dlcli.errors import CheckpointError, DataError

if TYPE_CHECKING:
    from dlcli.data.dataset import Dataset, Split
    from dlcli.data.ratings_encoder import Ids

TABLES = {".csv", ".tsv"}


class Ratings:
    """The kind of every dataset of ratings.

    A shape is (ids of users, ids of items), the one of those that are not known among them.
    """

    name = "ratings"
    many = "ratings"
    argument = "FILE"
    default: str | None = "tastes"
    shown = "tastes"
    task = "recommending"
    options: Mapping[str, Setting] = {}

    def shape(self, name: str, base: Shape, train: Split, options: Mapping[str, Any]) -> Shape:
        """As many ids as the training part has: `ratings.dataset` has counted them."""
        return base

    def load(self, path: Path, seed: int, options: Mapping[str, Any]) -> Dataset:
        """A .csv or .tsv with the columns user, item and rating."""
        from dlcli.data import ratings

        if os.path.isdir(path) or path.suffix.lower() not in TABLES:
            why = "for a model of ratings it is a name or a table, .csv or .tsv"
            raise DataError(f"{path}: is not a table of ratings", why=why)
        return ratings.load(path, seed=seed)

    def fit(self, dataset: Dataset) -> Ids:
        """The users and items of the training part, and what is known to be rated."""
        from dlcli.data.ratings import RatingSplit
        from dlcli.data.ratings_encoder import Ids

        parts = [dataset.splits[part] for part in ("train", "val", "test")]
        train, *others = [part for part in parts if isinstance(part, RatingSplit)]
        return Ids.fit(train, others)

    def from_json(self, stored: object, shape: Shape) -> Ids:
        """What `Ids.to_json` gave. CheckpointError: it is something else, or of other sizes."""
        from dlcli.data.ratings_encoder import Ids

        found = Ids.from_json(stored)
        sizes = (len(found.users) + 1, len(found.items) + 1)
        if sizes != tuple(shape):
            why = f"they are for {self.describe(sizes)}, the model for {self.describe(shape)}"
            raise CheckpointError("the stored ids are not the model's", why=why)
        return found

    def describe(self, shape: Shape) -> str:
        """The numbers of users and items in words."""
        return f"{shape[0] - 1:,} users × {shape[1] - 1:,} items"

    def check(self, dataset: Dataset, shape: Shape) -> None:
        """DataError: samples of another kind. Of users and items that are not known biases say
        what there is to say.
        """
        if dataset.kind is not self:
            what = f"{dataset.name}: its samples are {dataset.kind.many}"
            raise DataError(what, why="the model takes ratings")

    def like(self, shape: Shape) -> dict[str, Any]:
        """Nothing: the model's own ids apply."""
        return {}

    def inputs(self, names: Iterable[str], shape: Shape) -> Iterator[list[Input]]:
        """The lines of files and of "-": a user, or a user and an item."""
        yield from line_inputs.inputs(names, _made, {})

    def stack(self, samples: list[Any]) -> Any:
        """A list of pairs, as they are."""
        return samples

    def parts(self, sample: Any, encoder: Any) -> list[str]:
        """Nothing that words could name."""
        return []


def _made(name: str, line: str) -> Input:
    from dlcli.data.ratings import asked

    try:
        user, item = asked(line)
    except ValueError as error:
        return Input(name, error=str(error))
    return Input(name, (user, item), about={"user": user, **({"item": item} if item else {})})


KIND = Ratings()
