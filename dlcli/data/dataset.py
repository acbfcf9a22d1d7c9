"""What a dataset is: parts ("train", "val", "test") of labelled samples, and a fingerprint.

A sample is what its kind says (`kind.py`): an image of uint8, or the words of a text. A loader
knows the protocol `Split` alone. `ArraySplit` holds its images in memory; `Subset` picks
samples of another part without copying it, and keeps their names: the samples of a validation
part that was cut from the training part are still called "train/17".
"""

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from dlcli.data.bad_samples import Bad
from dlcli.data.image_kind import KIND as IMAGES
from dlcli.data.kind import Kind, Shape


class Split(Protocol):
    """One part of a dataset.

    labels: (n,) int64, each an index into the dataset's classes, or numbers that are to be told,
    (n,) or (n, horizon) float64; None where what is to be predicted is in the samples. lengths:
    (n,) of the samples, where they differ, so that those of similar length share a batch; None
    where they do not. A part with an order of its own has, besides,
    `reading(size, *, training) -> Reading`, see `reading.py`.
    """

    labels: np.ndarray

    @property
    def lengths(self) -> np.ndarray | None: ...

    def __len__(self) -> int:
        """The number of samples."""

    def samples(self, indices: np.ndarray) -> Any:
        """The samples at `indices` (B,) in that order, the caller's to keep: images (B, H, W, C)
        uint8, or texts as B lists of words.
        """

    def id(self, index: int) -> str:
        """What a message calls a sample: "train/17" or a path."""


class Part(Split, Protocol):
    """A split that can also say what it holds, as every split in a `Dataset` can."""

    def digest(self) -> bytes:
        """SHA-256 of the samples' names or contents, and of the labels."""


class ArraySplit:
    """A part held in memory.

    pixels: (n, H, W, C) uint8. labels: (n,) integers. name: the part's name, e.g. "train".
    """

    lengths = None

    def __init__(self, name: str, pixels: np.ndarray, labels: np.ndarray) -> None:
        if pixels.dtype != np.uint8 or pixels.ndim != 4 or labels.shape != pixels.shape[:1]:
            raise ValueError(f"{pixels.dtype} {pixels.shape} with labels {labels.shape}")
        self.name = name
        self.pixels = np.ascontiguousarray(pixels).view()
        self.labels = labels.astype(np.int64)
        self.pixels.flags.writeable = self.labels.flags.writeable = False

    def __len__(self) -> int:
        return len(self.labels)

    def samples(self, indices: np.ndarray) -> np.ndarray:
        """A copy of the images at `indices`: (B, H, W, C) uint8."""
        return np.take(self.pixels, indices, axis=0)

    def id(self, index: int) -> str:
        """The part's name and the position in it, "train/17"."""
        return f"{self.name}/{index}"

    @cached_property
    def _digest(self) -> bytes:
        h = hashlib.sha256(f"{self.name} {self.pixels.shape}\n".encode())
        h.update(self.labels.astype("<i8").tobytes())
        h.update(self.pixels.data if self.pixels.size else b"")
        return h.digest()

    def digest(self) -> bytes:
        """SHA-256 of the name, shape, labels and pixels; computed once."""
        return self._digest


class Subset:
    """The samples of `base` at `rows` (n,), in that order, without a copy of them."""

    def __init__(self, base: Part, rows: np.ndarray) -> None:
        self.base = base
        self.rows = np.asarray(rows, dtype=np.int64)
        self.labels = base.labels[self.rows]
        self.labels.flags.writeable = False

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def lengths(self) -> np.ndarray | None:
        """Those of the samples that are picked."""
        lengths = self.base.lengths
        return None if lengths is None else lengths[self.rows]

    def samples(self, indices: np.ndarray) -> Any:
        """The samples at `indices` of this subset."""
        return self.base.samples(self.rows[indices])

    def id(self, index: int) -> str:
        """The sample's name in the part that it was taken from."""
        return self.base.id(int(self.rows[index]))

    def digest(self) -> bytes:
        """SHA-256 of what the base holds and of which samples are picked."""
        return hashlib.sha256(self.base.digest() + self.rows.astype("<i8").tobytes()).digest()


@dataclass(frozen=True)
class Dataset:
    """A dataset that is ready to be used.

    shape: what a model is built for, (H, W, C) of every image. splits: "train", "val", "test".
    recipe: defaults for training
    on it, e.g. {"epochs": 30, "batch_size": 32}. fingerprint: hexadecimal SHA-256 that a resumed
    run compares. source: the name or path that was given. kind: of its samples. left_out: files
    that cannot be read, where it was asked to go on without them. remarks: what whoever trains on
    it should be told.
    """

    name: str
    classes: list[str]
    shape: Shape
    splits: dict[str, Split]
    recipe: dict[str, object]
    fingerprint: str
    source: str
    kind: Kind = IMAGES
    left_out: tuple[Bad, ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class DatasetInfo:
    """What is known of a named dataset before it is loaded.

    counts: samples per published part (a validation part is cut from "train" when it is loaded).
    embedded: it comes with an installed library, no files are needed. folder: where its files
    were found, None where they were not. how_to_get: what to do then, "" if nothing is missing.
    """

    name: str
    description: str
    shape: Shape
    classes: list[str]
    counts: dict[str, int]
    recipe: dict[str, object]
    embedded: bool
    folder: Path | None
    how_to_get: str
    files: tuple[str, ...] = field(default=())
    kind: Kind = IMAGES


def fingerprint(classes: list[str], shape: Shape, splits: dict[str, Part]) -> str:
    """SHA-256 in hexadecimal over the classes' names, the shape and each part's samples.

    Where the files lie is no part of it: a dataset may be moved between two halves of a run.
    """
    h = hashlib.sha256(repr((list(classes), tuple(shape))).encode())
    for name in sorted(splits):
        h.update(f"\n{name} {len(splits[name])} ".encode())
        h.update(splits[name].digest())
    return h.hexdigest()
