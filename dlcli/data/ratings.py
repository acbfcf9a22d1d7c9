"""Ratings that users gave items, and their parts for training.

The part of a rating is drawn by a hash of the seed, the user and the item: a fifth is the test
part, a tenth the validation part. So it stays where it is when rows are sorted, added or removed.
"""

from __future__ import annotations

import csv
import hashlib
import math
import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path

import numpy as np

from dlcli.data import csv_text
from dlcli.data.dataset import Dataset, Part, fingerprint
from dlcli.errors import DataError

BATCH = 256
RECIPE: dict[str, object] = {"epochs": 30, "batch_size": BATCH, "lr": 1e-2, "weight_decay": 3e-4}
STEPS, LEAST_EPOCHS, MOST_EPOCHS = 1_000, 10, 200  # a small table is seen more often
COLUMNS = ("user", "item", "rating")
TEST, VAL = 0.2, 0.1  # shares
MOST_RATINGS = 5_000_000
MOST_LETTERS = 100  # of an id
LARGEST = 1e6  # of a rating
MOST_BYTES = 48 << 20  # of the ids and of who rated what, as a checkpoint holds them
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
Pair = tuple[str, str]  # a user and an item


class RatingSplit:
    """Ratings held in memory, as a part of a dataset.

    pairs: n users with items. labels: (n,) float64, how the user rated the item.
    """

    lengths = None

    def __init__(self, name: str, pairs: list[Pair], labels: np.ndarray) -> None:
        if labels.shape != (len(pairs),):
            raise ValueError(f"{len(pairs)} pairs with ratings {labels.shape}")
        self.name, self.pairs = name, pairs
        self.labels = labels.astype(np.float64)
        self.labels.flags.writeable = False

    def __len__(self) -> int:
        return len(self.pairs)

    def samples(self, indices: np.ndarray) -> list[Pair]:
        """The pairs at `indices`."""
        return [self.pairs[int(i)] for i in indices]

    def id(self, index: int) -> str:
        """The part, and who rated what: "train/ada,9"."""
        return f"{self.name}/{','.join(self.pairs[index])}"

    @cached_property
    def _digest(self) -> bytes:
        h = hashlib.sha256(f"{self.name} {len(self)}\n".encode())
        h.update(self.labels.astype("<f8").tobytes())
        for pair in self.pairs:
            for text in pair:
                data = text.encode("utf-8", "surrogatepass")
                h.update(len(data).to_bytes(8, "little") + data)
        return h.digest()

    def digest(self) -> bytes:
        """SHA-256 of the name, pairs and ratings; computed once."""
        return self._digest


def load(path: Path, *, seed: int = 0) -> Dataset:
    """A CSV or TSV with the columns user, item and rating; others are passed over.

    DataError, with file and line: no such columns, an id that is empty or too long, a rating that
    is no number, a user who rates an item twice; too few ratings to make parts of.
    """
    return dataset(_read(path), str(path), path.stem or "ratings", seed=seed)


def dataset(
    ratings: Iterable[tuple[str, str, float]], source: str, name: str, *, seed: int = 0
) -> Dataset:
    """Ratings in three parts. source: named in messages. seed: of the parts.

    DataError: one of them is empty, all ratings of the training part are the same, or there are
    more ids than a checkpoint can hold.
    """
    from dlcli.data.ratings_kind import KIND

    pairs: dict[str, list[Pair]] = {"train": [], "val": [], "test": []}
    values: dict[str, list[float]] = {part: [] for part in pairs}
    for user, item, rating in ratings:
        part = part_of(user, item, seed)
        pairs[part].append((user, item))
        values[part].append(rating)
    if not all(pairs.values()):
        n = sum(map(len, pairs.values()))
        why = f"{n} of them make parts of {', '.join(str(len(p)) for p in pairs.values())}"
        raise DataError(f"{source}: too few ratings", why=why, hint="some dozens at the least")
    parts: dict[str, Part] = {
        part: RatingSplit(part, pairs[part], np.array(values[part])) for part in pairs
    }
    if np.ptp(parts["train"].labels) == 0:
        why = f"all of the training part are {parts['train'].labels[0]:g}"
        raise DataError(f"{source}: the ratings do not differ", why=why)
    shape = (len({u for u, _ in pairs["train"]}) + 1, len({i for _, i in pairs["train"]}) + 1)
    found = Dataset(
        name=name,
        classes=[],
        shape=shape,
        splits=dict(parts),
        recipe={**RECIPE, "epochs": _epochs(len(pairs["train"]))},
        fingerprint=fingerprint([], shape, parts),
        source=source,
        kind=KIND,
    )
    if (size := KIND.fit(found).bytes()) > MOST_BYTES:
        why = f"its ids and who rated what take {size:,} bytes, at most {MOST_BYTES:,} are kept"
        raise DataError(f"{source}: too many users, items or ratings", why=why)
    return found


def _epochs(n: int) -> int:
    """As many as give STEPS steps on n ratings, within bounds."""
    return min(max(-(-STEPS // -(-n // BATCH)), LEAST_EPOCHS), MOST_EPOCHS)


def part_of(user: str, item: str, seed: int) -> str:
    """ "train", "val" or "test"."""
    key = f"{seed}\0{user}\0{item}".encode("utf-8", "surrogatepass")
    drawn = int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big") / 2**64
    return "test" if drawn < TEST else "val" if drawn < TEST + VAL else "train"


def _read(path: Path) -> Iterator[tuple[str, str, float]]:
    first: dict[Pair, int] = {}
    for number, (user, item, rating) in csv_text.records(path, COLUMNS):
        where = f"{path}:{number}"
        pair = (_id(where, "user", user), _id(where, "item", item))
        if pair in first:
            what = f"{where}: '{pair[0]}' rates '{pair[1]}' a second time"
            raise DataError(what, why=f"first on line {first[pair]}", hint="keep one of the two")
        first[pair] = number
        if len(first) > MOST_RATINGS:
            raise DataError(f"{where}: too many ratings", why=f"at most {MOST_RATINGS:,} are read")
        yield *pair, _rating(where, rating.strip())


def _id(where: str, column: str, text: str) -> str:
    text = text.strip()
    if not text:
        raise DataError(f"{where}: the {column} is empty")
    if len(text) > MOST_LETTERS:
        why = f"it has {len(text):,} letters, at most {MOST_LETTERS} are taken"
        raise DataError(f"{where}: the {column} is too long", why=why)
    return text


def _rating(where: str, text: str) -> float:
    value = float(text) if _NUMBER.fullmatch(text) else math.nan
    if abs(value) <= LARGEST:
        return value
    what = f"the rating '{text[:40]}' is no number" if text else "the rating is missing"
    if math.isfinite(value):
        what = f"the rating {text[:40]} is too large"
    raise DataError(f"{where}: {what}", why="a rating is a number such as 3.5")


def asked(line: str) -> tuple[str, str | None]:
    """A line of what to tell: a user, or a user and an item; with a comma in an id, quoted.

    ValueError: it is something else.
    """
    try:
        (fields,) = csv.reader([line], strict=True)
    except (csv.Error, ValueError) as error:
        raise ValueError(str(error) if line.strip() else "the line is empty") from error
    fields = [field.strip() for field in fields]
    if not 1 <= len(fields) <= 2 or not all(fields):
        raise ValueError("a line is a user, or a user and an item: ada,9")
    return fields[0], fields[1] if len(fields) == 2 else None
