"""Batches of samples that stay on the device, where that has a memory of its own and they fit.

In the first epoch each batch is encoded and copied to a table there, as it comes. From the second
on the host only says which rows a batch consists of; a kernel gathers them, within the plan.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import numpy as np

from dlcli.data.dataset import Split
from dlcli.data.kind import Encoder
from dlcli.data.loader import Batch, Loader
from dlcli.engine import executor
from dlcli.engine.tensor import Rows, empty
from dlcli.train.protocol import Model

SHARE = 4  # of what is free a part of the data takes at most one in so many


def loader(model: Model, split: Split, encode: Encoder, batch_size: int, **how: Any) -> Loader:
    """A `Loader` for a model, `Resident` where the model can take its batches, each sample becomes
    float32 numbers by itself, and all of them fit. how: as for `Loader`.
    """
    plain = Loader(split, encode, batch_size, **how)
    room = executor.current().room() // SHARE
    if not (room and getattr(model, "plan", False) and getattr(model, "resident", False)):
        return plain
    one = plain.alone()
    if one is None or one.dtype != np.float32 or one.nbytes * len(split) > room:
        return plain
    return Resident(one, split, encode, batch_size, **how)


class Resident(Loader):
    """Batches whose x are `Rows`. one: what a sample becomes, (1, …) float32.

    The table is filled in the order in which samples first come up.
    """

    def __init__(
        self, one: np.ndarray, split: Split, encode: Encoder, batch_size: int, **how: Any
    ) -> None:
        super().__init__(split, encode, batch_size, **how)
        self.sample = one.shape[1:]
        self.table = empty((len(split), one.size), one.dtype)
        self.filled = 0
        self._row = np.full(len(split), -1)  # of the table, by the position in the split

    def _batches(self, order: np.ndarray, start: int) -> Iterator[Batch]:
        if self.filled < len(self.split):
            with closing(super()._batches(order, start)) as batches:
                for batch in batches:
                    self._hand_over(batch)
                    yield replace(batch, x=self._rows(batch.indices))
            return
        for number in range(start, len(self)):
            indices = order[number * self.batch_size : (number + 1) * self.batch_size].copy()
            yield Batch(self._rows(indices), self.split.labels[indices], indices)

    def _hand_over(self, batch: Batch) -> None:
        """Copies those samples to the device that are not there."""
        new = self._row[batch.indices] < 0
        if new.any():
            values = batch.x[new].reshape(-1, self.table.shape[1])
            end = self.filled + len(values)
            self.table.data[self.filled : end] = executor.current().put(values)
            self._row[batch.indices[new]] = np.arange(self.filled, end)
            self.filled = end

    def _rows(self, indices: np.ndarray) -> Rows:
        return Rows(self.table, self._row[indices], self.sample)
