"""Images as samples: (H, W, C) uint8, normalised by the training part; read from files, folders
with all that is below them, or standard input.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlcli.data.kind import ON_BAD_SAMPLE, Input, Setting, Shape
from dlcli.errors import DataError, UsageError

if TYPE_CHECKING:
    from dlcli.data.dataset import Dataset, Split
    from dlcli.data.normalize import Normalize


class Images:
    """The kind of every dataset of images. A shape is (H, W, C)."""

    name = "image"
    many = "images"
    argument = "IMAGE"
    default: str | None = "digits"
    shown = "digits"
    task = "classify"

    def __init__(self) -> None:
        self.options = {
            "image_size": Setting(int, "Side in pixels; for a folder of images."),
            "grayscale": Setting(bool, "Without colour; for a folder of images."),
            **ON_BAD_SAMPLE,
        }

    def shape(self, name: str, base: Shape, train: Split, options: Mapping[str, Any]) -> Shape:
        """The shape that the module says. UsageError: an option is given, which only files take."""
        if options.keys() - ON_BAD_SAMPLE:  # none of a published dataset is bad
            why = f"{name} always has the shape {self.describe(base)}"
            what = "an image size or greyscale can only be chosen for a folder"
            raise UsageError(what, why=why)
        return base

    def load(self, path: Path, seed: int, options: Mapping[str, Any]) -> Dataset:
        """A folder of images with a folder per class."""
        if not os.path.isdir(path):
            why = "for a model of images it is a name or a folder with a folder per class"
            raise DataError(f"{path}: is not a folder", why=why)
        from dlcli.data import folder

        return folder.load(path, seed=seed, **options)

    def fit(self, dataset: Dataset) -> Normalize:
        """Mean and standard deviation of the training part."""
        from dlcli.data.normalize import Normalize

        return Normalize.fit(dataset.splits["train"])

    def from_json(self, stored: object, shape: Shape) -> Normalize:
        """What `Normalize.to_json` gave. CheckpointError: it is something else."""
        from dlcli.data.normalize import Normalize

        return Normalize.from_json(stored)

    def describe(self, shape: Shape) -> str:
        """28×28×1: height, width, channels."""
        return "×".join(map(str, shape))

    def check(self, dataset: Dataset, shape: Shape) -> None:
        """DataError: samples of another kind or images of another shape."""
        if dataset.kind is not self:
            what = f"{dataset.name}: its samples are {dataset.kind.many}"
            raise DataError(what, why="the model takes images")
        if tuple(dataset.shape) != tuple(shape):
            theirs, ours = self.describe(dataset.shape), self.describe(shape)
            raise DataError(f"{dataset.name}: images of {theirs}", why=f"the model takes {ours}")

    def like(self, shape: Shape) -> dict[str, Any]:
        """The size and channels that the model takes."""
        height, width, channels = shape
        return {"image_size": height if height == width else None, "grayscale": channels == 1}

    def inputs(self, names: Iterable[str], shape: Shape) -> Iterator[list[Input]]:
        """Images of files, "-", and what is below folders; see `file_inputs`."""
        from dlcli.data import file_inputs
        from dlcli.data.image import SUFFIXES, read_image

        height, width, channels = shape
        size = (height, width, channels)

        def read(name: str, data: bytes | None) -> Any:
            return read_image(Path(name) if data is None else data, size, name=name)

        yield from file_inputs.inputs(names, read, SUFFIXES, self.many)

    def stack(self, samples: list[Any]) -> Any:
        """(n, H, W, C) uint8."""
        import numpy as np

        return np.stack(samples)

    def augmented(self, train: Split, spec: str, *, seed: int, dataset: Dataset) -> Split:
        """The training part with its pictures varied, see `augment.py`. UsageError: the spec asks
        for what there is not, or for more than such pictures have.
        """
        from dlcli.data import augment
        from dlcli.data.augmented import Augmented

        steps = augment.parse(spec)
        augment.check(steps, dataset.shape)
        return Augmented(train, steps, seed=seed, classes=len(dataset.classes))

    def pictures(self, samples: Any) -> list[Any]:
        """(n, H, W, C) uint8 as n pictures (H, W, C), to be drawn."""
        return list(samples)

    def parts(self, sample: Any, encoder: Any) -> list[str]:
        """Nothing that words could name."""
        return []


KIND = Images()
