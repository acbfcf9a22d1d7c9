"""A training part whose pictures are varied as they are read, see `augment.py`."""

from __future__ import annotations

from typing import Any

import numpy as np

from dlcli.data import augment, reading
from dlcli.data.dataset import Dataset, Split
from dlcli.data.reading import Mixed, Reading
from dlcli.errors import UsageError

LEAST = 0.005  # of a share that is worth a word
PARTNER = "partner"  # the stream by which a picture finds the one that it is mixed with


class Augmented:
    """The samples of `base`, (H, W, C) uint8, varied by `steps`. classes: how many there are."""

    lengths = None

    def __init__(
        self, base: Split, steps: tuple[augment.Step, ...], *, seed: int, classes: int
    ) -> None:
        self.base, self.steps, self.seed, self.classes = base, steps, seed, classes
        self.labels = base.labels

    def __len__(self) -> int:
        return len(self.base)

    def samples(self, indices: np.ndarray) -> Any:
        """The samples at `indices` as they are."""
        return self.base.samples(indices)

    def id(self, index: int) -> str:
        """The sample's name."""
        return self.base.id(index)

    def reading(self, size: int, *, training: bool) -> Reading:
        """The way through it by batches of `size`."""
        return Varied(self, size, training=training)


class Varied:
    """Reads what `split.base` gives and in its order, and varies it."""

    dropped = 0

    def __init__(self, split: Augmented, size: int, *, training: bool) -> None:
        self.split, self.size = split, size
        self.way = reading.of(split.base, size, seed=split.seed, shuffle=training, drop_last=False)
        self.mixing = next((step for step in split.steps if augment.mixes(step)), None)

    def __len__(self) -> int:
        return len(self.way)

    def order(self, epoch: int) -> np.ndarray:
        """(n, 3) int64: the epoch, the position in the part, and how often the epoch had that one
        before, so that a rare sample that is repeated is another one each time.
        """
        positions = self.way.order(epoch)
        return np.stack([np.full_like(positions, epoch), positions, _times(positions)], axis=1)

    def batch(
        self, order: np.ndarray, number: int
    ) -> tuple[Any, np.ndarray | Mixed | None, np.ndarray]:
        """A batch of an epoch, varied; labels are shares of classes where pictures are mixed."""
        return self.of(order, order[number * self.size : (number + 1) * self.size])

    def of(self, order: np.ndarray, rows: np.ndarray) -> tuple[Any, Any, np.ndarray]:
        """The samples of some rows (B, 3) of an epoch's order, with their labels and positions."""
        split, indices = self.split, rows[:, 1].copy()
        x, labels = self._varied(rows), split.labels[indices]
        if self.mixing is None:
            return x, labels, indices
        step, seed = self.mixing, split.seed
        picked = (augment.draws(seed, PARTNER, rows, 1)[:, 0] * len(order)).astype(np.int64)
        others = order[picked]
        how = augment.draws(seed, step.name, rows, step.module.DRAWS)
        x, own = step.module.mix(x, self._varied(others), how, step.value)
        shares = np.zeros((len(rows), split.classes), np.float32)
        at = np.arange(len(rows))
        shares[at, labels] = own
        shares[at, split.labels[others[:, 1]]] += 1 - own
        return x, Mixed(labels, shares), indices

    def _varied(self, rows: np.ndarray) -> np.ndarray:
        x = self.split.base.samples(rows[:, 1])
        return augment.vary(x, self.split.steps, self.split.seed, rows)


def _times(values: np.ndarray) -> np.ndarray:
    """How often each of the values came before, (n,) int64."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    first = np.concatenate([[True], ordered[1:] != ordered[:-1]]) if len(values) else ordered > 0
    starts = np.maximum.accumulate(np.where(first, np.arange(len(values)), 0))
    found = np.empty(len(values), np.int64)
    found[order] = np.arange(len(values)) - starts
    return found


# --- how it is looked at -------------------------------------------------------------------------


def shown(
    dataset: Dataset, part: str, spec: str, positions: list[int], seed: int, epochs: int
) -> list[dict[str, Any]]:
    """Samples of a part as training would have them in its first epochs: {"id", "label", "sample"},
    for each position all epochs. UsageError: the samples cannot be varied so.
    """
    kind = dataset.kind
    if getattr(kind, "augmented", None) is None:
        why = f"{kind.many} are not varied here, only images of classes that are told apart"
        raise UsageError(f"augment = '{spec}' does not apply", why=why)
    split = kind.augmented(dataset.splits[part], spec, seed=seed, dataset=dataset)
    way = split.reading(max(1, len(positions)), training=True)
    columns = []
    for epoch in range(epochs):
        order = way.order(epoch)
        place = np.empty(len(order), np.int64)
        place[order[:, 1]] = np.arange(len(order))
        columns.append(way.of(order, order[place[positions]]))
    found = []
    for i, position in enumerate(positions):
        for epoch, (x, labels, _) in enumerate(columns):
            name = f"{split.id(position)}, epoch {epoch + 1}" if epochs > 1 else split.id(position)
            said = _said(labels, i, dataset.classes)
            found.append({"id": name, "label": said, "sample": x[i]})
    return found


def _said(labels: np.ndarray | Mixed, i: int, classes: list[str]) -> str:
    """The class of a sample, or the two that it is mixed of: "80% 3 + 5"."""
    if not isinstance(labels, Mixed):
        return str(classes[int(labels[i])])
    share = labels.shares[i]
    first, *others = [classes[k] for k in np.argsort(-share)[:2] if share[k] >= LEAST]
    return f"{share.max():.0%} {first} + {others[0]}" if others else str(first)
