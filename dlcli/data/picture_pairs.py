"""Pairs of pictures in a folder, each a picture and what it is to be repainted as.

    FOLDER/<pair>.jpg                           side by side in one file, as wide as both
    FOLDER/A/<name>.jpg and FOLDER/B/<name>.png in a folder each, by equal names but for the ending;
                                                A counts as the left one

or the same in FOLDER/train, FOLDER/val and FOLDER/test. A part that does not exist is a seeded
tenth of the pairs. The pictures of a pair have one size; pairs may differ in it, and all become the
same. Hidden files and those with other endings are passed over.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dlcli.data.dataset import Dataset, Part, Subset, fingerprint
from dlcli.data.files import reason
from dlcli.data.image import SUFFIXES, probe, read_halves, read_image
from dlcli.data.kind import Kind
from dlcli.data.split import VAL_ONE_IN, stratified
from dlcli.data.store import DEFAULT_SIDE, THREADS, ImageStore
from dlcli.errors import DataError, UsageError

A, B = "A", "B"
PARTS = ("train", "val", "test")
LAYOUT = "expected FOLDER/<pair>.jpg, side by side, or FOLDER/A/<name>.jpg and FOLDER/B/<name>.jpg"
DIRECTIONS = {"left-to-right": False, "right-to-left": True}
SIDE = 64  # pixels, where the pictures' own size does not do
MAX_SIDE = 1024
LEAST = 3  # pairs that are cut into train, val and test
TEST_ONE_IN, VAL_ONE_IN_OF_REST = 10, 9


@dataclass(frozen=True)
class Pair:
    """left, right: paths below the root, with "/"; the same one where both are in one file."""

    left: str
    right: str
    size: int  # bytes

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.left if self.left == self.right else f"{self.left} and {self.right}"


class PairStore(ImageStore):
    """Pairs as a split: samples (B, 2, H, W, C) uint8. turned: the right one first."""

    def __init__(
        self, root: Path, pairs: list[Pair], shape: tuple[int, int, int], *, turned: bool
    ) -> None:
        sizes = [pair.size for pair in pairs]
        labels = np.zeros(len(pairs), np.int64)
        names = [pair.name for pair in pairs]
        super().__init__(root, names, sizes, labels, (2, *shape))  # type: ignore[arg-type]
        self.pairs, self.each, self.turned = pairs, shape, turned

    def read(self, row: int) -> np.ndarray:
        """Decodes a pair, (2, H, W, C)."""
        pair = self.pairs[row]
        if pair.left == pair.right:
            both = read_halves(self.root / pair.left, self.each)
        else:
            names = (pair.left, pair.right)
            both = np.stack([read_image(self.root / name, self.each) for name in names])
        return both[::-1] if self.turned else both

    def digest(self) -> bytes:
        """SHA-256 of the files' names and sizes, and of which picture comes first."""
        return super().digest() + bytes([self.turned])


class Paired(Subset):
    """Some pairs of a store: samples (B, 2, H, W, C)."""

    paired = True

    @property
    def sides(self) -> tuple[Side, Side]:
        """The first picture of each, and the second."""
        return Side(self, 0), Side(self, 1)


class Side:
    """One picture of each of some pairs as a part: samples (B, H, W, C) uint8."""

    lengths = None

    def __init__(self, pairs: Paired, which: int) -> None:
        self.pairs, self.which, self.labels = pairs, which, pairs.labels

    def __len__(self) -> int:
        return len(self.pairs)

    def samples(self, indices: np.ndarray) -> np.ndarray:
        """The pictures at `indices`."""
        found: np.ndarray = self.pairs.samples(indices)[:, self.which]
        return found

    def id(self, index: int) -> str:
        """The path of the pair, and which of it."""
        return f"{self.pairs.id(index)} ({(A, B)[self.which]})"

    def digest(self) -> bytes:
        """SHA-256 of the pairs, and which of them."""
        return self.pairs.digest() + bytes([self.which])


def load(
    root: Path,
    kind: Kind,
    *,
    seed: int = 0,
    image_size: int | None = None,
    grayscale: bool = False,
    direction: str = "left-to-right",
) -> Dataset:
    """The folder as a dataset of `kind`; pixels are decoded when they are asked for.

    seed: of the parts that must be cut. image_size: side of the square that pictures become, by the
    largest centred region; by default their own size if all have one and no side is above 128, else
    64. grayscale: one channel instead of three. direction: which picture of a pair is given, and
    which one is to be made.

    DataError: the layout is another, too few pairs, a picture without another, two of a pair that
    differ in size, a file that is no image. UsageError: an option is out of its range.
    """
    if direction not in DIRECTIONS:
        what = f"data.direction = {direction!r} is not possible"
        raise UsageError(what, why=f"there is {' and '.join(DIRECTIONS)}")
    check_size(image_size)
    pairs, rows = find(root, seed)
    shape = (*common(sides(root, pairs), image_size), 1 if grayscale else 3)
    store = PairStore(root, pairs, shape, turned=DIRECTIONS[direction])
    splits: dict[str, Part] = {part: Paired(store, rows[part]) for part in PARTS}
    return Dataset(
        name=root.absolute().name or "pairs",
        classes=[],
        shape=shape,
        splits=dict(splits),
        recipe={},
        fingerprint=fingerprint([], shape, splits),
        source=str(root),
        kind=kind,
    )


def check_size(image_size: int | None) -> None:
    """UsageError: it is not in 1 … MAX_SIDE."""
    if image_size is not None and not 1 <= image_size <= MAX_SIDE:
        raise UsageError(f"the image size is {image_size}", why=f"it must be 1 … {MAX_SIDE} pixels")


def find(root: Path, seed: int) -> tuple[list[Pair], dict[str, np.ndarray]]:
    """All pairs, and the rows of each part. DataError: see `load`."""
    if not is_folder(root / "train"):
        pairs = pairs_in(root, "")
        if len(pairs) < LEAST:
            has = f"{len(pairs)} pair{'s' if len(pairs) > 1 else ''}"
            raise DataError(f"{root}: holds only {has}", why=f"at least {LEAST} are needed")
        return pairs, cut({"train": np.arange(len(pairs))}, seed)
    pairs, rows = [], {}
    for part in PARTS:
        if is_folder(root / part):
            found = pairs_in(root, part)
            rows[part] = np.arange(len(pairs), len(pairs) + len(found))
            pairs += found
    if len(rows["train"]) < 1 + len(PARTS) - len(rows):
        raise DataError(f"{root / 'train'}: holds too few pairs", why="val or test are cut from it")
    return pairs, cut(rows, seed)


def cut(rows: dict[str, np.ndarray], seed: int) -> dict[str, np.ndarray]:
    """Cuts the parts that do not exist from "train"."""
    rows, one_in = dict(rows), VAL_ONE_IN
    for part in ("test", "val"):
        if part not in rows:
            share = TEST_ONE_IN if part == "test" else one_in
            train = rows["train"]
            zeros = np.zeros(len(train), np.int64)
            kept, taken = stratified(zeros, share, seed=seed, stream=f"pictures/{part}")
            rows["train"], rows[part], one_in = train[kept], train[taken], VAL_ONE_IN_OF_REST
    return rows


def pairs_in(root: Path, below: str) -> list[Pair]:
    """The pairs in the folder root/below, by name. DataError: see `load`."""
    folder = root / below
    there = [name for name in (A, B) if is_folder(folder / name)]
    if not there:
        files = pictures(root, below)
        if not files:
            raise DataError(f"{folder}: holds no pictures", hint=LAYOUT)
        return [Pair(path, path, size) for path, size in files]
    if len(there) < 2:
        other = B if there == [A] else A
        raise DataError(f"{folder}: holds a folder {there[0]}, but none {other}", hint=LAYOUT)
    left, right = (_by_name(root, f"{below}/{name}".lstrip("/")) for name in (A, B))
    for ours, theirs, other in ((left, right, B), (right, left, A)):
        if lonely := [ours[name][0] for name in ours if name not in theirs]:
            more = f"; and {len(lonely) - 1} more" if len(lonely) > 1 else ""
            raise DataError(
                f"{root / lonely[0]}: has no picture of its name in {other}{more}",
                why="the two pictures of a pair have equal names",
            )
    if not left:
        raise DataError(f"{folder / A}: holds no pictures", hint=LAYOUT)
    return [Pair(left[n][0], right[n][0], left[n][1] + right[n][1]) for n in left]


def _by_name(root: Path, below: str) -> dict[str, tuple[str, int]]:
    """(path, bytes) of the pictures of a folder by their names without the ending."""
    found: dict[str, tuple[str, int]] = {}
    for path, size in pictures(root, below):
        name = Path(path).stem
        if name in found:
            first, second = Path(found[name][0]).name, Path(path).name
            what = f"{root / below}: {first} and {second} have one name"
            raise DataError(what, why="which belongs to the picture of that name?")
        found[name] = (path, size)
    return found


def pictures(root: Path, below: str) -> list[tuple[str, int]]:
    """(path below the root, bytes) of the image files in root/below, by name.

    DataError: the folder cannot be listed, or a file is a dangling link.
    """
    folder, found = root / below, []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                hidden = entry.name.startswith(".") or entry.is_dir()
                if hidden or Path(entry.name).suffix.lower() not in SUFFIXES:
                    continue
                if not entry.is_file():
                    why = "a dangling link" if entry.is_symlink() else "not a regular file"
                    raise DataError(f"{folder / entry.name}: cannot be read", why=why)
                path = (folder / entry.name).relative_to(root).as_posix()
                found.append((path, entry.stat().st_size))
    except OSError as error:
        raise DataError(f"{folder}: cannot be listed", why=reason(error)) from error
    return sorted(found)


def is_folder(path: Path) -> bool:
    return os.path.isdir(path)


def sides(root: Path, pairs: list[Pair]) -> list[tuple[int, int]]:
    """(height, width) of a picture of each pair, from the headers.

    DataError: two that belong together differ, a file has no two halves, or is no image.
    """

    def one(pair: Pair) -> tuple[int, int]:
        height, width = probe(root / pair.left)
        if pair.left == pair.right:
            if width % 2:
                why = f"{width} pixels across have no two halves"
                raise DataError(
                    f"{root / pair.left}: is no pair side by side", why=why, hint=LAYOUT
                )
            return height, width // 2
        other = probe(root / pair.right)
        if other != (height, width):
            ours, theirs = f"{height}×{width}", "×".join(map(str, other))
            what = f"{root / pair.left} and {root / pair.right}: differ in size"
            raise DataError(what, why=f"{ours} and {theirs} pixels are no pair")
        return height, width

    return probed(one, pairs)


def probed(one, items):  # type: ignore[no-untyped-def]
    """one(item) of each, by threads. DataError: the first that one raises."""
    with ThreadPoolExecutor(THREADS, "dlcli-probe") as pool:
        futures = [pool.submit(one, item) for item in items]
        try:
            return [future.result() for future in futures]
        except DataError:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def common(found: list[tuple[int, int]], image_size: int | None) -> tuple[int, int]:
    """The (height, width) that all pictures become, for the sizes that they have."""
    if image_size is not None:
        return image_size, image_size
    alike = len(set(found)) == 1 and max(found[0]) <= DEFAULT_SIDE
    return found[0] if alike else (SIDE, SIDE)
