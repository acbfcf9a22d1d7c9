"""Two heaps of pictures, A and B, of which none belongs to another: what CycleGAN learns from.

    FOLDER/A/<picture> and FOLDER/B/<picture>   unpaired, of any names and numbers
    FOLDER/pairs                                if it is there, pairs as `picture_pairs` has them:
                                                the test part, for which the truth is known

A seeded tenth of each is the validation part, and where there are no pairs another one the test
part. A folder of pairs side by side can be read too: to train, A are the left pictures of one half
of the pairs and B the right ones of the other half.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from dlcli_kernels.philox import Generator

from dlcli.data import picture_pairs
from dlcli.data.dataset import Dataset, Part, Subset, fingerprint
from dlcli.data.image import probe
from dlcli.data.kind import Kind
from dlcli.data.picture_pairs import PARTS, A, B, Paired, PairStore, is_folder, pictures
from dlcli.data.store import ImageStore
from dlcli.errors import DataError

PAIRS = "pairs"
LAYOUT = "expected FOLDER/A/<picture> and FOLDER/B/<picture>, and perhaps pairs in FOLDER/pairs"


class Domains:
    """The pictures of A, then those of B, as a part: samples (B, H, W, C) uint8. Read in batches of
    one from each side by side, (B, 2, H, W, C).
    """

    lengths = None
    paired = False

    def __init__(self, a: Part, b: Part) -> None:
        self.sides = self.a, self.b = a, b
        self.labels = np.repeat(np.arange(2), (len(a), len(b)))

    def __len__(self) -> int:
        return len(self.labels)

    def samples(self, indices: np.ndarray) -> np.ndarray:
        """The pictures at `indices`, of either."""
        indices, n = np.asarray(indices), len(self.a)
        ours = indices < n
        found = np.empty((len(indices), *self.shape), np.uint8)
        found[ours] = self.a.samples(indices[ours])
        found[~ours] = self.b.samples(indices[~ours] - n)
        return found

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a picture."""
        one: tuple[int, ...] = self.a.samples(np.zeros(1, np.int64)).shape[1:]
        return one

    def id(self, index: int) -> str:
        """The path of the file."""
        n = len(self.a)
        return self.a.id(index) if index < n else self.b.id(index - n)

    def digest(self) -> bytes:
        """SHA-256 of what both sides hold."""
        return hashlib.sha256(self.a.digest() + b"|" + self.b.digest()).digest()

    def reading(self, size: int, *, training: bool) -> Unpaired:
        """As many pairs in an epoch as the larger side has pictures."""
        return Unpaired(self, size, shuffle=training)


class Unpaired:
    """Batches of pictures of A beside pictures of B, see `reading.Reading`. The smaller side is
    gone through more than once; to train, each time in another order.
    """

    dropped = 0

    def __init__(self, split: Domains, size: int, *, shuffle: bool) -> None:
        self.split, self.size, self.shuffle = split, size, shuffle
        self.pairs = max(len(split.a), len(split.b))

    def __len__(self) -> int:
        return -(-self.pairs // self.size)

    def order(self, epoch: int) -> np.ndarray:
        """(pairs, 2): a position in A and one in B."""
        columns = []
        for name, side in zip((A, B), self.split.sides, strict=True):
            n = len(side)
            times = range(-(-self.pairs // n))
            rounds = [np.arange(n) for _ in times]
            if self.shuffle:
                rounds = [Generator(0, f"domains/{name}", epoch, i).permutation(n) for i in times]
            columns.append(np.concatenate(rounds)[: self.pairs])
        return np.stack(columns, axis=1)

    def batch(self, order: np.ndarray, number: int) -> tuple[Any, np.ndarray, np.ndarray]:
        rows = order[number * self.size : (number + 1) * self.size]
        both = [s.samples(rows[:, i]) for i, s in enumerate(self.split.sides)]
        positions = np.concatenate([rows[:, 0], rows[:, 1] + len(self.split.a)])
        return np.stack(both, axis=1), np.zeros(len(rows), np.int64), positions


def load(
    root: Path,
    kind: Kind,
    *,
    seed: int = 0,
    image_size: int | None = None,
    grayscale: bool = False,
) -> Dataset:
    """The folder as a dataset of `kind`; the options are those of `picture_pairs.load`.

    DataError: the layout is another, too few pictures, a file that is no image, or pairs that are
    none. UsageError: an option is out of its range.
    """
    picture_pairs.check_size(image_size)
    channels = 1 if grayscale else 3
    unpaired = is_folder(root / A) or is_folder(root / B)
    shape, splits = (_heaps if unpaired else _halves)(root, seed, image_size, channels)
    return Dataset(
        name=root.absolute().name or "domains",
        classes=[],
        shape=shape,
        splits=dict(splits),
        recipe={},
        fingerprint=fingerprint([], shape, splits),
        source=str(root),
        kind=kind,
    )


Shape = tuple[int, int, int]


def _heaps(
    root: Path, seed: int, image_size: int | None, channels: int
) -> tuple[Shape, dict[str, Part]]:
    """Of a folder A and a folder B."""
    files = {}
    for name in (A, B):
        if not is_folder(root / name):
            raise DataError(f"{root}: holds no folder {name}", hint=LAYOUT)
        files[name] = pictures(root, name)
        if len(files[name]) < picture_pairs.LEAST:
            n = len(files[name]) or "no"
            what = f"{root / name}: holds {n} picture{'' if n == 1 else 's'}"
            raise DataError(what, why=f"at least {picture_pairs.LEAST} are needed", hint=LAYOUT)
    truth = picture_pairs.pairs_in(root, PAIRS) if is_folder(root / PAIRS) else []
    every = [root / path for name in (A, B) for path, _ in files[name]]
    found = picture_pairs.probed(probe, every) + picture_pairs.sides(root, truth)
    shape = (*picture_pairs.common(found, image_size), channels)
    sides: dict[str, list[Part]] = {part: [] for part in PARTS}
    for name in (A, B):
        paths, sizes = [p for p, _ in files[name]], [s for _, s in files[name]]
        store = ImageStore(root, paths, sizes, np.zeros(len(paths), np.int64), shape)
        known = {"test": np.zeros(0, np.int64)} if truth else {}
        rows = picture_pairs.cut({"train": np.arange(len(paths)), **known}, seed)
        for part in PARTS:
            sides[part].append(Subset(store, rows[part]))
    splits: dict[str, Part] = {part: Domains(*sides[part]) for part in PARTS}
    if truth:
        splits["test"] = Paired(PairStore(root, truth, shape, turned=False), np.arange(len(truth)))
    return shape, splits


def _halves(
    root: Path, seed: int, image_size: int | None, channels: int
) -> tuple[Shape, dict[str, Part]]:
    """Of a folder of pairs."""
    pairs, rows = picture_pairs.find(root, seed)
    shape = (*picture_pairs.common(picture_pairs.sides(root, pairs), image_size), channels)
    store = PairStore(root, pairs, shape, turned=False)
    half = len(rows["train"]) // 2
    if not half:
        raise DataError(f"{root}: holds too few pairs", why="a half of them is A, another B")
    a = Paired(store, rows["train"][:half]).sides[0]
    b = Paired(store, rows["train"][half:]).sides[1]
    others: dict[str, Part] = {part: Paired(store, rows[part]) for part in ("val", "test")}
    return shape, {"train": Domains(a, b), **others}
