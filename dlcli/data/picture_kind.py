"""Pictures as samples: images whose values a model makes itself, so that they are scaled to
[−1, 1], the range of tanh, and not by their mean. Any dataset of images can be read so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlcli.data.image_kind import Images

if TYPE_CHECKING:
    from dlcli.data.dataset import Dataset
    from dlcli.data.normalize import Normalize


class Pictures(Images):
    """The kind of models that make images. A shape is (H, W, C)."""

    name = "picture"
    reads = "image"
    task = "drawing"
    augmented = None  # what is made should look like the data, not like what is made of them

    def load(self, path: Path, seed: int, options: Mapping[str, Any]) -> Dataset:
        """A folder of images, or one with a folder per class."""
        from dlcli.data import flat_folder, folder

        flat = flat_folder.is_flat(path)
        found = (
            folder.load(path, seed=seed, find=flat_folder.find, **options)
            if flat
            else super().load(path, seed, options)
        )
        return replace(found, kind=self)

    def fit(self, dataset: Dataset) -> Normalize:
        """0 … 255 to −1 … 1, whatever the images."""
        import numpy as np

        from dlcli.data.normalize import Normalize

        return Normalize(np.full(dataset.shape[-1], 0.5), np.full(dataset.shape[-1], 0.5))


KIND = Pictures()
