"""Pairs of pictures as samples: one that is given, and what it is to be repainted as. Both are
scaled to [−1, 1].
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlcli.data.kind import Setting
from dlcli.data.picture_kind import Pictures

if TYPE_CHECKING:
    from dlcli.data.dataset import Dataset


class PicturePairs(Pictures):
    """The kind of models that learn from pairs. A shape is (H, W, C), of each picture; a sample is
    (2, H, W, C) uint8.
    """

    name = "picture_pair"
    many = "pairs of pictures"
    reads = ""
    default: str | None = None
    shown = "facades"
    task = "repainting"
    kept = ("direction",)  # of [data]: what the model has learned, whatever it is measured on

    def __init__(self) -> None:
        super().__init__()
        del self.options["on_bad_sample"]  # half a pair is none
        about = "Of pairs of pictures: left-to-right (from A to B) or right-to-left."
        self.options["direction"] = Setting(str, about)

    def load(self, path: Path, seed: int, options: Mapping[str, Any]) -> Dataset:
        """A folder of pairs."""
        from dlcli.data import picture_pairs

        return picture_pairs.load(path, self, seed=seed, **options)


KIND = PicturePairs()
