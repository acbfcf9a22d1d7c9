"""Batches of a part, encoded, prepared by threads ahead of the step that consumes them.

The order of an epoch is a function of (seed, epoch) alone, and a batch of its number in it: the
number of threads changes nothing, and an epoch can be taken up again at any batch. Which samples a
batch holds is the business of a `Reading`. NumPy and Pillow release the interpreter's lock, so
threads suffice. At most `prefetch` batches (or one per worker) are ready or in the making; the
threads live as long as the iterator.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from time import perf_counter
from typing import Any

import numpy as np

from dlcli.data import reading
from dlcli.data.dataset import Split
from dlcli.errors import UsageError

THREAD_NAME = "dlcli-loader"
MOST_KEPT = 1 << 28  # bytes of what the samples of a part become
BLOCK = 1024  # samples at a time where what they become is kept
Inputs = np.ndarray | tuple[np.ndarray, ...]  # what an encoder makes of samples


@dataclass(frozen=True)
class Batch:
    """x: (B, H, W, C) float32, or the ids of words (B, T) int64. y: (B,) int64, what is to be
    predicted; of texts of which each word is, (B·T,). indices: (B,) int64, positions in the split.
    more: what the model takes besides x, the lengths of texts. shares: (B, K) float32 of the
    classes, where samples are mixed of several.
    """

    x: np.ndarray
    y: np.ndarray
    indices: np.ndarray
    more: tuple[np.ndarray, ...] = ()
    shares: np.ndarray | None = None

    @property
    def inputs(self) -> tuple[np.ndarray, ...]:
        """All that the model takes, in its order."""
        return (self.x, *self.more)


@dataclass(frozen=True)
class Kept:
    """What the samples of a part have become: values (n, …), and which of them are there yet."""

    values: np.ndarray
    there: np.ndarray

    @classmethod
    def like(cls, one: np.ndarray, n: int) -> Kept:
        """Nothing yet, for n samples that become what `one`, (1, …), is."""
        return cls(np.empty((n, *one.shape[1:]), one.dtype), np.zeros(n, bool))


class Loader:
    """Iterates over a split in batches.

    split: the samples. encode: an `Encoder` of their kind, such as `Normalize`: from samples to
    the array, or the tuple of arrays, that a model takes, and where the split has no labels, y.
    batch_size: samples per batch; the last batch of an epoch is shorter unless `drop_last`, which
    leaves `dropped` samples out of each epoch (others each time when shuffling).
    seed, shuffle: to train, the order is Philox's permutation for (seed, epoch); else as in the
    split.
    prefetch: batches made ahead of the consumer. workers: threads that make them; with 0 of
    either, batches are made in the consumer's thread.

    UsageError: a batch size below 1, or `drop_last` would leave no batch at all.
    """

    def __init__(
        self,
        split: Split,
        encode: Callable[[Any], Inputs],
        batch_size: int,
        *,
        seed: int = 0,
        shuffle: bool = False,
        drop_last: bool = False,
        prefetch: int = 2,
        workers: int = 1,
    ) -> None:
        if batch_size < 1:
            raise UsageError(f"the batch size is {batch_size}", why="it must be 1 or more")
        if prefetch < 0 or workers < 0:
            raise UsageError(f"prefetch {prefetch} and workers {workers} must be 0 or more")
        if drop_last and 0 < len(split) < batch_size:
            raise UsageError(
                f"a batch of {batch_size} is more than the {len(split)} samples there are",
                why="short batches are left out, so that nothing would remain",
                hint=f"use a batch size of {len(split)} or less",
            )
        self.split, self.encode, self.batch_size = split, encode, batch_size
        self.reading = reading.of(
            split, batch_size, seed=seed, shuffle=shuffle, drop_last=drop_last
        )
        self.prefetch, self.workers = prefetch, workers
        self._kept: Kept | None = None
        self.waited = 0.0  # seconds in which a batch was wanted and not ready

    def __len__(self) -> int:
        """Batches per epoch."""
        return len(self.reading)

    @property
    def dropped(self) -> int:
        """Samples that `drop_last` leaves out of each epoch; 0 without it."""
        return self.reading.dropped

    def order(self, epoch: int) -> np.ndarray:
        """The positions in the split in the order of `epoch`: (n,) int64; of a reading that
        needs more than them, rows of what it needs.
        """
        return self.reading.order(epoch)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of `epoch` from number `start` on, bit for bit those of the whole epoch.

        An error while a batch is made is raised when that batch is due. Closing or dropping the
        iterator ends its threads. ValueError: `start` is not in 0 … len(self).
        """
        if not 0 <= start <= len(self):
            raise ValueError(f"batch {start} of an epoch of {len(self)}")
        return self._batches(self.order(epoch), start)

    def _batches(self, order: np.ndarray, start: int) -> Iterator[Batch]:
        kept = self._keep()
        some = max(BLOCK // self.batch_size, 1) if kept else 1
        upcoming = iter(range(start, len(self), some))

        def make(first: int) -> list[Batch]:
            if kept is None:
                return [self._batch(order, first)]
            end = min(first + some, len(self))
            return self._cut(kept, order[first * self.batch_size : end * self.batch_size])

        if not (self.prefetch and self.workers):
            for number in upcoming:
                begun = perf_counter()
                batches = make(number)
                self.waited += perf_counter() - begun
                yield from batches
            return
        pool = ThreadPoolExecutor(self.workers, thread_name_prefix=THREAD_NAME)
        waiting: deque[Future[list[Batch]]] = deque()
        try:
            for number in islice(upcoming, max(self.prefetch, self.workers)):
                waiting.append(pool.submit(make, number))
            while waiting:
                begun = perf_counter()
                batches = waiting.popleft().result()
                self.waited += perf_counter() - begun
                for number in islice(upcoming, 1):
                    waiting.append(pool.submit(make, number))
                yield from batches
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def alone(self) -> np.ndarray | None:
        """What the first sample becomes, (1, …), where each becomes one array whatever stands
        beside it, the same in each epoch; an epoch is then nothing but an order of them.
        """
        if not getattr(self.encode, "alone", False) or type(self.reading) is not reading.Samples:
            return None
        if not len(self.split):
            return None
        one = as_inputs(self.encode(self.split.samples(np.zeros(1, np.int64))))
        return one[0] if len(one) == 1 else None

    def _keep(self) -> Kept | None:
        """Room for what all samples become, where that fits into memory and is worth it."""
        if self._kept is None and getattr(self.encode, "costly", False):
            one = self.alone()
            if one is not None and one.nbytes * len(self.split) <= MOST_KEPT:
                self._kept = Kept.like(one, len(self.split))
        return self._kept

    def _cut(self, kept: Kept, rows: np.ndarray) -> list[Batch]:
        """The batches of some rows, cut from one array: to hand a small one over from thread to
        thread takes longer than to make it.
        """
        if not kept.there[rows].all():
            (found,) = as_inputs(self.encode(self.split.samples(rows)))
            kept.values[rows], kept.there[rows] = found, True
        x, y, rows = kept.values[rows], self.split.labels[rows], rows.copy()
        parts = [slice(at, at + self.batch_size) for at in range(0, len(rows), self.batch_size)]
        return [Batch(x[part], y[part], rows[part]) for part in parts]

    def _batch(self, order: np.ndarray, number: int) -> Batch:
        samples, labels, indices = self.reading.batch(order, number)
        arrays, shares = list(as_inputs(self.encode(samples))), None
        if isinstance(labels, reading.Mixed):
            labels, shares = labels
        y = arrays.pop() if labels is None else labels
        return Batch(arrays[0], y, indices, tuple(arrays[1:]), shares)


def as_inputs(encoded: Inputs) -> tuple[np.ndarray, ...]:
    """What an encoder gave, always as a tuple."""
    return encoded if isinstance(encoded, tuple) else (encoded,)
