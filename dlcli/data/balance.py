"""Training parts in which every class occurs equally often, whatever the table or folder holds.

"over": an epoch has every sample, and those of rarer classes again and again, until each class has
as many as the most frequent one. "under": an epoch has as many of each class as the rarest one has,
drawn anew each time. The draw is a function of (seed, epoch), as that of a shuffle is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from dlcli_kernels.philox import Generator

from dlcli.data.dataset import Split
from dlcli.data.reading import Reading, Samples, SimilarLengths
from dlcli.errors import UsageError

MOST = 100_000_000  # samples of an epoch


class Balanced:
    """The samples of `base`, read so that classes are equally frequent. how: "over" or "under".

    UsageError: the samples have no classes, or an epoch would be too long.
    """

    def __init__(self, base: Split, how: str, seed: int) -> None:
        if hasattr(base, "reading") or base.labels.dtype != np.int64 or not len(base):
            why = "what is to be predicted are no classes"
            raise UsageError(f"sampling = '{how}' does not apply", why=why)
        self.base, self.how, self.seed = base, how, seed
        self.labels = base.labels
        self.classes = np.unique(self.labels)
        counts = np.bincount(self.labels)[self.classes]
        self.each = int(counts.max() if how == "over" else counts.min())
        if self.each * len(self.classes) > MOST:
            why = f"{len(self.classes):,} classes of {self.each:,} samples each, at most {MOST:,}"
            raise UsageError("sampling: an epoch would be too long", why=why)

    def __len__(self) -> int:
        return len(self.base)

    @property
    def lengths(self) -> np.ndarray | None:
        """Those of the samples."""
        return self.base.lengths

    def samples(self, indices: np.ndarray) -> Any:
        """The samples at `indices`."""
        return self.base.samples(indices)

    def id(self, index: int) -> str:
        """The sample's name."""
        return self.base.id(index)

    def reading(self, size: int, *, training: bool) -> Reading:
        """The way through it by batches of `size`."""
        how = Drawn if self.lengths is None else DrawnSimilarLengths
        return how(self, size, seed=self.seed, shuffle=training, drop_last=False)

    def draw(self, epoch: int) -> np.ndarray:
        """The positions that an epoch has: (classes · each,) int64, class by class."""
        found = []
        for label in self.classes:
            rows = np.flatnonzero(self.labels == label)
            times, rest = divmod(self.each, len(rows))
            order = Generator(self.seed, f"sampling/{label}", epoch).permutation(len(rows))
            found += [np.tile(rows, times), rows[order[:rest]]]
        return np.concatenate(found).astype(np.int64)


class Drawn(Samples):
    """Batches of what an epoch draws, shuffled by (seed, epoch)."""

    split: Balanced

    def __len__(self) -> int:
        return -(-len(self.split.classes) * self.split.each // self.size)

    def order(self, epoch: int) -> np.ndarray:
        drawn = self.split.draw(epoch)
        found: np.ndarray = drawn[Generator(self.seed, "shuffle", epoch).permutation(len(drawn))]
        return found


class DrawnSimilarLengths(SimilarLengths, Drawn):
    """The same for samples that differ in length: those of a batch are alike."""
