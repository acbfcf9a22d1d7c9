"""Which file goes into which part: by class, by the seed, and copies always together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from dlcli_kernels.philox import Generator


def quotas(counts: Sequence[int], shares: Sequence[float]) -> np.ndarray:
    """How many samples of each class go into each part, (K, P) integers; the rows sum to `counts`.

    Each class by largest remainder, ties to the earlier part; what rounding took from a part in one
    class it gets back in the next ones, so that the parts have their shares of all samples too. A
    class has at least one sample wherever the share is above 0, as far as there are any.
    """
    found = np.zeros((len(counts), len(shares)), np.int64)
    owed = np.zeros(len(shares))
    for k, n in enumerate(counts):
        exact = n * np.asarray(shares) + owed
        given = np.maximum(np.floor(exact + 1e-9), 0).astype(np.int64)
        while given.sum() != n:
            step = 1 if given.sum() < n else -1
            lacks = np.where((given > 0) | (step > 0), step * (exact - given), -np.inf)
            given[np.argmax(np.where(np.asarray(shares) > 0, lacks, -np.inf))] += step
        owed = exact - given
        for p, share in enumerate(shares):
            most = int(np.argmax(given))
            if share > 0 and not given[p] and given[most] > 1:
                given[p], given[most] = 1, given[most] - 1
        found[k] = given
    return found


def assign(
    labels: np.ndarray, groups: Sequence[Sequence[int]], shares: Sequence[float], *, seed: int
) -> np.ndarray:
    """The part of each sample, (n,) integers below len(shares).

    labels: (n,) integers from 0. groups: samples that stay together, disjoint; all others are
    alone. shares: of the parts, 1 in all. Without groups each class is divided exactly by `quotas`;
    a group goes, the largest ones first, to where its classes lack most.
    """
    n = len(labels)
    grouped = {i for group in groups for i in group}
    whole = [*map(list, groups), *([i] for i in range(n) if i not in grouped)]
    chance = Generator(seed, "data/split", 0).permutation(len(whole))
    order = sorted(range(len(whole)), key=lambda g: (-len(whole[g]), int(chance[g])))
    counts = np.bincount(labels) if n else np.zeros(0, np.int64)
    lacking = quotas(counts.tolist(), shares)
    parts = np.zeros(n, np.int64)
    for g in order:
        members = whole[g]
        part = int(np.argmax(lacking[labels[members]].sum(axis=0)))
        parts[members] = part
        np.subtract.at(lacking[:, part], labels[members], 1)
    return parts
