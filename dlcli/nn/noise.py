"""Random codes for generators: counter-based, so that a resumed run draws what it would have drawn.

A code is (dims + classes,): numbers of N(0, 1), and where there are classes, a one at the wanted
one's place.
"""

from __future__ import annotations

import numpy as np
from dlcli_kernels.philox import Generator, blocks, key

from .module import Buffer, Module


class Stream(Module):
    """A random stream on the host. `rng` holds its key and how often it was drawn from."""

    def __init__(self) -> None:
        self.rng = Buffer(np.zeros(3, np.uint32))

    def seed(self, seed: int, path: str) -> None:
        self.rng.write((*key(seed, f"noise/{path}"), 0))

    def next(self) -> Generator:
        """From which to draw this time; another one each time."""
        first, second, count = (int(word) for word in self.rng.numpy())
        self.rng.write((first, second, count + 1))
        return Generator.of((first, second), count)


class Noise(Stream):
    """Draws codes in training."""

    def __init__(self, dims: int, classes: int = 0) -> None:
        super().__init__()
        self.dims, self.classes = dims, classes

    def draw(self, n: int, labels: np.ndarray | None = None) -> np.ndarray:
        """n codes, (n, dims + classes) float32, others each time. labels: (n,), where there are
        classes.
        """
        return self.of(self.next().normal(n, self.dims).astype(np.float32), labels)

    def uniform(self, n: int) -> np.ndarray:
        """n numbers of U(0, 1), (n,) float32, others each time."""
        return self.next().uniform(n).astype(np.float32)

    def at(self, numbers: np.ndarray) -> np.ndarray:
        """Of N(0, 1) for samples by their numbers (n,): (n, dims) float32, each the same whatever
        others are asked for.
        """
        first, last = (int(end) for end in (numbers.min(), numbers.max()))
        k = tuple(int(word) for word in self.rng.numpy()[:2])
        each = -(-self.dims // 2)  # blocks: two words for a number
        words = blocks((k[0], k[1]), (0, 1, 0), first * each, (last - first + 1) * each)
        pairs = words.reshape(-1, 4 * each)[numbers - first].astype(np.float64)
        radius, angle = np.split((pairs + 1) * 2.0**-32, 2, axis=1)
        found = np.sqrt(-2 * np.log(radius)) * np.cos(2 * np.pi * angle)
        return found[:, : self.dims].astype(np.float32)

    def of(self, noise: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        """The codes of given numbers (n, dims), and labels (n,) where there are classes."""
        if not self.classes:
            return noise
        assert labels is not None
        return np.concatenate([noise, one_hot(labels, self.classes)], axis=1)


def one_hot(labels: np.ndarray, classes: int) -> np.ndarray:
    """(n,) → (n, classes) float32."""
    return np.eye(classes, dtype=np.float32)[labels]
