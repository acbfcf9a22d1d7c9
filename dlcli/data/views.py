"""Samples as people look at them: in a line, as a picture, in figures; one `View` for each kind.

A kind without one, such as a language, has samples that say nothing one by one; see `of`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, Protocol

import numpy as np

from dlcli.data.audio import middle, standard
from dlcli.data.dataset import Dataset, Split
from dlcli.data.kind import Kind
from dlcli.errors import UsageError

AT_ONCE = 256  # samples that are asked for together
HIGH, WIDE = 64, 128  # pixels of the picture of a sound
PANEL, INK = 236, 40  # its levels of grey
RANGE = 4.0  # standard deviations that it shows upwards and downwards


class View(Protocol):
    """How the samples of a kind are looked at."""

    def each(self, batch: Any) -> Iterator[Any]:
        """Every sample of what a split gives for a batch."""

    def line(self, sample: Any) -> str:
        """A sample in words, on one line."""

    def content(self, sample: Any) -> bytes:
        """A hash: equal for samples that are the same."""

    def picture(self, sample: Any, dataset: Dataset) -> np.ndarray | None:
        """(H, W, C) uint8 as a model sees it, None where there is nothing to draw."""

    def measure(self, dataset: Dataset, part: str) -> dict[str, Any]:
        """Figures of the samples of a part, for `dlcli data stats`."""


def of(kind: Kind) -> View:
    """The view of a kind. UsageError: its samples cannot be looked at one by one."""
    for name in (kind.name, getattr(kind, "reads", "")):
        if name in VIEWS:
            return VIEWS[name]
    raise UsageError(f"{kind.many} cannot be looked at one by one")


def samples(split: Split, view: View) -> Iterator[Any]:
    """Every sample of a part in its order, some in memory at a time."""
    for start in range(0, len(split), AT_ONCE):
        yield from view.each(split.samples(np.arange(start, min(start + AT_ONCE, len(split)))))


class _Listed:
    """Samples whose batch is a list or an array of them."""

    def each(self, batch: Any) -> Iterator[Any]:
        yield from batch


def _hash(*parts: bytes) -> bytes:
    made = hashlib.blake2b(digest_size=16)
    for part in parts:
        made.update(len(part).to_bytes(8, "little") + part)
    return made.digest()


def _spread(lengths: np.ndarray) -> dict[str, float]:
    """Least, median, 95th percentile, greatest and mean."""
    found = dict(zip(("min", "median", "p95", "max"), _quantiles(lengths), strict=True))
    return found | {"mean": float(lengths.mean())}


def _quantiles(lengths: np.ndarray) -> list[float]:
    return [float(q) for q in np.quantile(lengths, (0, 0.5, 0.95, 1))]


class _Images(_Listed):
    """(H, W, C) uint8, or several of them side by side, (n, H, W, C)."""

    def line(self, sample: Any) -> str:
        height, width = sample.shape[-3:-1]
        return f"{height}×{width}, mean {sample.mean() / 255:.3f}"

    def content(self, sample: Any) -> bytes:
        return _hash(repr(sample.shape).encode(), np.ascontiguousarray(sample).tobytes())

    def picture(self, sample: Any, dataset: Dataset) -> np.ndarray | None:
        return np.concatenate(list(sample), axis=1) if sample.ndim == 4 else np.asarray(sample)

    def measure(self, dataset: Dataset, part: str) -> dict[str, Any]:
        """Mean and standard deviation of each channel, of values 0 … 1, from exact sums."""
        count, total, squares = 0, np.zeros(0), np.zeros(0)
        for sample in samples(dataset.splits[part], self):
            pixels = sample.reshape(-1, sample.shape[-1]).astype(np.int64)
            if not count:
                total = squares = np.zeros(pixels.shape[1], np.int64)
            count += len(pixels)
            total = total + pixels.sum(axis=0)
            squares = squares + (pixels * pixels).sum(axis=0)
        mean = total / count
        std = np.sqrt(np.maximum(squares / count - mean * mean, 0))
        return {"mean": (mean / 255).tolist(), "std": (std / 255).tolist()}


class _Texts(_Listed):
    """Lists of words."""

    def line(self, sample: Any) -> str:
        return " ".join(sample)

    def content(self, sample: Any) -> bytes:
        return _hash(*(word.encode("utf-8", "surrogatepass") for word in sample))

    def picture(self, sample: Any, dataset: Dataset) -> np.ndarray | None:
        return None

    def measure(self, dataset: Dataset, part: str) -> dict[str, Any]:
        """Words of a text, and how many different ones there are."""
        lengths, seen = [], set()
        for sample in samples(dataset.splits[part], self):
            lengths.append(len(sample))
            seen.update(sample)
        return {"words": _spread(np.array(lengths)), "different_words": len(seen)}


class _Pairs(_Texts):
    """Two lists of words each."""

    def line(self, sample: Any) -> str:
        return " → ".join(" ".join(side) for side in sample)

    def content(self, sample: Any) -> bytes:
        return _hash(*(super(_Pairs, self).content(side) for side in sample))

    def measure(self, dataset: Dataset, part: str) -> dict[str, Any]:
        """Words of a source and of a target."""
        pairs = samples(dataset.splits[part], self)
        lengths = np.array([[len(side) for side in pair] for pair in pairs])
        return {"source_words": _spread(lengths[:, 0]), "target_words": _spread(lengths[:, 1])}


class _Sounds(_Listed):
    """Waveforms (n,) float32."""

    def line(self, sample: Any) -> str:
        loud = float(np.sqrt(np.mean(np.square(sample, dtype=np.float64))))
        return f"{len(sample):,} samples, loudness {loud:.3f} of full scale"

    def content(self, sample: Any) -> bytes:
        return _hash(np.ascontiguousarray(sample).tobytes())

    def picture(self, sample: Any, dataset: Dataset) -> np.ndarray | None:
        """The waveform, standardised, all with the time axis of the longest that is read."""
        most = dataset.shape[0]
        wave = standard(middle(sample, most)) / RANGE
        out = np.full((HIGH, WIDE, 1), PANEL, np.uint8)
        edges = np.linspace(0, most, WIDE + 1).astype(int)
        for x, (first, last) in enumerate(pairwise(edges)):
            some = wave[first : max(last, first + 1)]
            if len(some):
                ends = (1 - np.clip([some.max(), some.min()], -1, 1)) / 2 * (HIGH - 1)
                top, bottom = ends.round().astype(int)
                out[top : bottom + 1, x] = INK
        return out

    def measure(self, dataset: Dataset, part: str) -> dict[str, Any]:
        """Seconds of a sound, and of all together, as a model reads them."""
        rate = dataset.shape[1]
        seconds = np.array([len(wave) for wave in samples(dataset.splits[part], self)]) / rate
        return {"seconds": _spread(seconds), "seconds_together": float(seconds.sum())}


class _Rows:
    """Rows of a table: a batch has `columns`, of each the values; a sample is a value by column."""

    def each(self, batch: Any) -> Iterator[Any]:
        for row in range(len(batch)):
            yield {name: values[row] for name, values in batch.columns.items()}

    def line(self, sample: Any) -> str:
        return ", ".join(f"{name}={_cell(value)}" for name, value in sample.items())

    def content(self, sample: Any) -> bytes:
        return _hash(*(f"{name}={_cell(value)}".encode() for name, value in sample.items()))

    def picture(self, sample: Any, dataset: Dataset) -> np.ndarray | None:
        return None

    def measure(self, dataset: Dataset, part: str) -> dict[str, Any]:
        """Columns, and cells without a value."""
        found = [list(sample.values()) for sample in samples(dataset.splits[part], self)]
        missing = sum(_cell(value) == "" for row in found for value in row)
        return {"columns": len(found[0]) if found else 0, "missing_cells": missing}


def _cell(value: Any) -> str:
    """A value as text; "" where there is none."""
    if isinstance(value, float):
        return "" if np.isnan(value) else f"{value:.6g}"
    return "" if value is None else str(value)


VIEWS: dict[str, View] = {
    "image": _Images(),
    "picture_pair": _Images(),
    "picture_domains": _Images(),
    "text": _Texts(),
    "pair": _Pairs(),
    "audio": _Sounds(),
    "table": _Rows(),
}


def label(dataset: Dataset, split: Split, index: int) -> str:
    """The class of a sample by its name, "" where there are none."""
    if not dataset.classes or split.labels is None:
        return ""
    return str(dataset.classes[int(split.labels[index])])


def counts(dataset: Dataset) -> dict[str, dict[str, int]]:
    """Samples by part and class; of what has no classes under ""."""
    found: dict[str, dict[str, int]] = {}
    for part in sorted(dataset.splits, key=("train", "val", "test").index):
        split = dataset.splits[part]
        if dataset.classes and split.labels is not None:
            numbers = np.bincount(split.labels, minlength=len(dataset.classes)).tolist()
            found[part] = dict(zip(dataset.classes, numbers, strict=True))
        else:
            found[part] = {"": len(split)}
    return found


def chosen(split: Split, n: int, classes: Sequence[str], seed: int) -> list[int]:
    """n positions of a part, by the seed: of its classes in turn, or any where there are none."""
    from dlcli_kernels.philox import Generator

    order = Generator(seed, "data/show", 0).permutation(len(split))
    if not classes or split.labels is None:
        return [int(i) for i in order[:n]]
    rank = np.empty(len(split), np.int64)
    for k in range(len(classes)):
        rows = order[split.labels[order] == k]
        rank[rows] = np.arange(len(rows))
    turn = np.lexsort((split.labels, rank))
    return [int(i) for i in turn[:n]]
