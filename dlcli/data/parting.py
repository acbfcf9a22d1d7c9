"""Which file goes into which part: by class, by the seed, and copies always together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from dlcli_kernels.philox import Generator


def quotas(n: int, shares: Sequence[float]) -> list[int]:
    """How many of n samples of a class each part gets: n in all, by largest remainder (ties to the
    earlier part), and at least one wherever the share is above 0, as far as n goes.
    """
    exact = [n * share for share in shares]
    given = [int(part) for part in exact]
    order = sorted(range(len(shares)), key=lambda p: (given[p] - exact[p], p))
    for p in order[: n - sum(given)]:
        given[p] += 1
    for p, share in enumerate(shares):
        most = max(range(len(given)), key=lambda q: given[q])
        if share > 0 and not given[p] and given[most] > 1:
            given[p], given[most] = 1, given[most] - 1
    return given


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
    lacking = np.array([quotas(int(count), shares) for count in counts]).reshape(-1, len(shares))
    parts = np.zeros(n, np.int64)
    for g in order:
        members = whole[g]
        part = int(np.argmax(lacking[labels[members]].sum(axis=0)))
        parts[members] = part
        np.subtract.at(lacking[:, part], labels[members], 1)
    return parts
