"""Normalisation: uint8 pixels to float32 with mean 0 and variance 1 per channel over training data.

A uint8 pixel has 256 values, so normalising is a look-up in a table computed once in float64:
the result is the correctly rounded (x / 255 - mean) / std, the same on every machine.
"""

import math

import numpy as np

from dlcli.data.dataset import Split
from dlcli.errors import CheckpointError

CHUNK_BYTES = 1 << 22  # of uint8 images at a time while fitting


class Normalize:
    """x ↦ (x / 255 - mean) / std per channel.

    mean, std: (C,) float64 of x / 255 over the training part. A channel that never varies gets
    std 1, so that it becomes 0 instead of NaN.
    """

    alone = True  # see `kind.Encoder`

    def __init__(self, mean: np.ndarray, std: np.ndarray) -> None:
        self.mean = np.array(mean, dtype=np.float64)
        self.std = np.array(std, dtype=np.float64)
        if self.mean.ndim != 1 or self.mean.shape != self.std.shape or not len(self.mean):
            raise ValueError(f"mean {self.mean.shape} and std {self.std.shape} are not (C,)")
        if not (np.isfinite(self.mean).all() and np.isfinite(self.std).all()):
            raise ValueError("mean and std must be finite")
        if not (self.std > 0).all():
            raise ValueError("std must be above 0")
        values = np.arange(256, dtype=np.float64)[:, None] / 255.0
        with np.errstate(over="ignore"):
            table = (values - self.mean) / self.std
        if not (np.abs(table) <= np.finfo(np.float32).max).all():
            raise ValueError("mean and std make numbers beyond float32")
        self._tables = [np.ascontiguousarray(column) for column in table.T.astype(np.float32)]

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """(B, H, W, C) uint8 to (B, H, W, C) float32. ValueError: another dtype or C."""
        channels = len(self._tables)
        if x.dtype != np.uint8 or x.shape[-1] != channels:
            raise ValueError(f"expected uint8 (..., {channels}), got {x.dtype} {x.shape}")
        if channels == 1:
            return self._tables[0][x]
        out = np.empty(x.shape, dtype=np.float32)
        for c, table in enumerate(self._tables):
            out[..., c] = table[x[..., c]]
        return out

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Normalize):
            return NotImplemented
        return np.array_equal(self.mean, other.mean) and np.array_equal(self.std, other.std)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Normalize(mean={self.mean.tolist()}, std={self.std.tolist()})"

    @classmethod
    def fit(cls, split: Split) -> "Normalize":
        """Mean and standard deviation of every pixel of `split`, from exact integer sums.

        ValueError: the split is empty.
        """
        if not len(split):
            raise ValueError("an empty part has no mean")
        first = split.samples(np.zeros(1, dtype=np.int64))
        channels, step = first.shape[-1], max(1, CHUNK_BYTES // first[0].size)
        histogram = np.zeros((channels, 256), dtype=np.int64)
        for start in range(0, len(split), step):
            rows = np.arange(start, min(start + step, len(split)))
            pixels = split.samples(rows).reshape(-1, channels)
            for c in range(channels):
                histogram[c] += np.bincount(pixels[:, c], minlength=256)
        mean, std = zip(*(_moments(column.tolist()) for column in histogram), strict=True)
        return cls(np.array(mean), np.array(std))

    def to_json(self) -> dict[str, list[float]]:
        """Plain lists, which JSON carries without loss."""
        return {"mean": self.mean.tolist(), "std": self.std.tolist()}

    @classmethod
    def from_json(cls, stored: object) -> "Normalize":
        """What `to_json` gave. CheckpointError: it is something else."""
        try:
            mean, std = stored["mean"], stored["std"]  # type: ignore[index]
            if not all(type(v) in (int, float) for v in [*mean, *std]):
                raise TypeError("mean and std must be lists of numbers")
            return cls(np.array(mean, dtype=np.float64), np.array(std, dtype=np.float64))
        except (TypeError, KeyError, ValueError, OverflowError) as error:
            raise CheckpointError("the stored normalisation is damaged", why=str(error)) from error


def _moments(counts: list[int]) -> tuple[float, float]:
    """Mean and standard deviation of x / 255, given how often each value 0 … 255 occurs."""
    n = sum(counts)
    total = sum(value * count for value, count in enumerate(counts))
    squares = sum(value * value * count for value, count in enumerate(counts))
    variance = n * squares - total * total  # times n², exact
    return total / n / 255.0, math.sqrt(variance) / n / 255.0 if variance else 1.0
