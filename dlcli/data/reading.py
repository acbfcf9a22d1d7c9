"""Ways through a part of a dataset: which samples each batch of an epoch holds.

A `Reading` is one way, for one size of batches. Most parts are read sample by sample, in order or
shuffled; samples that differ in length are grouped, so that a batch needs little padding: an epoch
of reviews then takes two thirds of the time. A part that has to be read otherwise, such as a text
whose batches go on where the last ones ended, says so by a method `reading`.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np
from dlcli_kernels.philox import Generator

from dlcli.data.dataset import Split

GROUP = 32  # batches whose samples are sorted by length


class Mixed(NamedTuple):
    """Labels of samples that are mixed of several: of each its own, (B,), and the shares of the
    classes, (B, K) float32, which sum to 1.
    """

    labels: np.ndarray
    shares: np.ndarray


class Reading(Protocol):
    """size: what a whole batch counts, in samples. dropped: samples that an epoch leaves out."""

    size: int

    @property
    def dropped(self) -> int: ...

    def __len__(self) -> int:
        """Batches of an epoch."""

    def order(self, epoch: int) -> np.ndarray:
        """The positions in the part, int64, from which `batch` takes those of a batch: a function
        of the epoch alone.
        """

    def batch(
        self, order: np.ndarray, number: int
    ) -> tuple[Any, np.ndarray | Mixed | None, np.ndarray]:
        """A batch of an epoch: its samples, for the encoder; their labels, None where the encoder
        gives what is to be predicted as the last of its arrays; their positions in the part.
        """


def of(split: Split, size: int, *, seed: int, shuffle: bool, drop_last: bool) -> Reading:
    """The way through a part by batches of `size`. shuffle: for training, see `Loader`."""
    if hasattr(split, "reading"):
        own: Reading = split.reading(size, training=shuffle)
        return own
    how = Samples if split.lengths is None else SimilarLengths
    return how(split, size, seed=seed, shuffle=shuffle, drop_last=drop_last)


class Samples:
    """Batches of samples, in the order of the part or shuffled by (seed, epoch).

    The last batch is shorter where the samples do not come out even, unless `drop_last`.
    """

    def __init__(
        self, split: Split, size: int, *, seed: int, shuffle: bool, drop_last: bool
    ) -> None:
        self.split, self.size, self.seed = split, size, seed
        self.shuffle, self.drop_last = shuffle, drop_last

    def __len__(self) -> int:
        n = len(self.split)
        return n // self.size if self.drop_last else -(-n // self.size)

    @property
    def dropped(self) -> int:
        return len(self.split) % self.size if self.drop_last else 0

    def order(self, epoch: int) -> np.ndarray:
        n = len(self.split)
        if self.shuffle:
            return Generator(self.seed, "shuffle", epoch).permutation(n)
        return np.arange(n, dtype=np.int64)

    def batch(self, order: np.ndarray, number: int) -> tuple[Any, np.ndarray, np.ndarray]:
        indices = order[number * self.size : (number + 1) * self.size].copy()
        return self.split.samples(indices), self.split.labels[indices], indices


class SimilarLengths(Samples):
    """Batches of samples of similar lengths; the short batch at the end stays there.

    Among GROUP batches that follow each other in the shuffled order, samples are sorted by length
    and the batches shuffled again; so the batches of two epochs differ.
    """

    def order(self, epoch: int) -> np.ndarray:
        lengths = self.split.lengths
        assert lengths is not None  # what this way is chosen for
        if not self.shuffle:
            return np.argsort(lengths, kind="stable")
        order, group = super().order(epoch), self.size * GROUP
        parts = [order[at : at + group] for at in range(0, len(order), group)]
        order = np.concatenate([p[np.argsort(lengths[p], kind="stable")] for p in parts] or [order])
        whole = len(order) // self.size
        batches = order[: whole * self.size].reshape(whole, self.size)
        shuffled = batches[Generator(self.seed, "shuffle/batches", epoch).permutation(whole)]
        return np.concatenate([shuffled.reshape(-1), order[whole * self.size :]])
