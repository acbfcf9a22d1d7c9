"""Pictures of two domains as samples, of which none belongs to another; scaled to [−1, 1]."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlcli.data.picture_kind import Pictures

if TYPE_CHECKING:
    from dlcli.data.dataset import Dataset


class PictureDomains(Pictures):
    """The kind of models that learn from two heaps. A shape is (H, W, C); a sample is a picture of
    either, and a batch is of two side by side, (N, 2, H, W, C) uint8.
    """

    name = "picture_domains"
    many = "pictures"
    reads = ""
    default: str | None = None
    shown = "facades"
    task = "repainting"

    def __init__(self) -> None:
        super().__init__()
        del self.options["on_bad_sample"]  # a folder of pairs may be among them

    def load(self, path: Path, seed: int, options: Mapping[str, Any]) -> Dataset:
        """A folder with two."""
        from dlcli.data import picture_domains

        return picture_domains.load(path, self, seed=seed, **options)


KIND = PictureDomains()
