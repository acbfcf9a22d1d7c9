"""Samples that are the same: by content, and images that only look the same.

A thumbnail of 16×16 levels of grey gives 112 bits: whether each of 8×8 means is clearly brighter
than the one to its right and the one below (a difference hash in both directions; N. Krawetz,
"Kind of like that", 2013). Hashes that differ in at most BITS of them agree in at least one of
BITS + 1 stretches, so that only images that share a stretch are compared (Manku et al., "Detecting
near-duplicates for web crawling", WWW 2007); of those the thumbnails decide.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence

import numpy as np

from dlcli.data.image_facts import THUMB

BITS = 6  # of 112 in which two hashes may differ
LEVELS = 6.0  # of 255: root mean square by which two thumbnails may differ, brightness aside
CLEARLY = 2  # levels: smaller differences are noise
PLAIN = 3.0  # levels: with a smaller standard deviation nothing is to be seen, and nothing compared
BANDS = BITS + 1
MOST_COMPARED = 50_000_000  # pairs; see `near`


def exact(contents: Sequence[Hashable]) -> list[list[int]]:
    """Groups of two or more equal entries, each of ascending positions, in their order."""
    found: dict[Hashable, list[int]] = defaultdict(list)
    for i, content in enumerate(contents):
        found[content].append(i)
    return [group for group in found.values() if len(group) > 1]


def near(thumbs: np.ndarray, *, most: int | None = None) -> tuple[list[list[int]], bool]:
    """Groups of images that look alike, and whether all pairs that might were compared.

    thumbs: (n, THUMB, THUMB) uint8. most: pairs to compare at most, MOST_COMPARED by default;
    beyond them some groups are not found. Chains count as one group: a ~ b, b ~ c.
    """
    if thumbs.shape[1:] != (THUMB, THUMB):
        raise ValueError(f"thumbnails of shape {thumbs.shape[1:]}")
    left = MOST_COMPARED if most is None else most
    rows = np.flatnonzero(thumbs.std(axis=(1, 2)) >= PLAIN)
    hashes = _hashes(thumbs[rows])
    pairs: set[tuple[int, int]] = set()
    for band in range(BANDS):
        keys = np.ascontiguousarray(hashes[:, 2 * band : 2 * band + 2]).view(np.uint16)[:, 0]
        left = _band(keys, hashes, thumbs[rows], pairs, left)
    groups = joined(len(rows), pairs)
    return [[int(rows[i]) for i in group] for group in groups], left >= 0


def near_of(thumbs: Sequence[np.ndarray | None]) -> tuple[list[list[int]], bool]:
    """`near`, of those that have a thumbnail, by their positions among all."""
    rows = [i for i, thumb in enumerate(thumbs) if thumb is not None]
    if not rows:
        return [], True
    groups, complete = near(np.stack([thumb for thumb in thumbs if thumb is not None]))
    return [[rows[i] for i in group] for group in groups], complete


def _hashes(thumbs: np.ndarray) -> np.ndarray:
    """(n, 14) uint8: the 112 bits."""
    n, half = len(thumbs), THUMB // 2
    means = thumbs.reshape(n, half, 2, half, 2).mean(axis=(2, 4))
    across = means[:, :, :-1] > means[:, :, 1:] + CLEARLY
    down = means[:, :-1] > means[:, 1:] + CLEARLY
    many = half * (half - 1)
    bits = np.concatenate([across.reshape(n, many), down.reshape(n, many)], axis=1)
    return np.packbits(bits, axis=1)


def _band(
    keys: np.ndarray, hashes: np.ndarray, thumbs: np.ndarray, pairs: set[tuple[int, int]], left: int
) -> int:
    """Adds the pairs of equal keys that look alike; how many may still be compared, −1 if none.

    Sorted by key, those with equal keys stand side by side: all are compared with the k-th after
    them at once, for k = 1, 2, … while there is any.
    """
    order = np.argsort(keys, kind="stable")
    at = keys[order]
    first = np.arange(len(order))
    for k in range(1, len(order)):
        first = first[first < len(order) - k]
        first = first[at[first] == at[first + k]]
        if not len(first):
            break
        left -= len(first)
        if left < 0:
            return -1
        a, b = order[first], order[first + k]
        close = np.bitwise_count(hashes[a] ^ hashes[b]).sum(axis=1, dtype=np.int64) <= BITS
        for i, j in zip(a[close].tolist(), b[close].tolist(), strict=True):
            if (pair := (min(i, j), max(i, j))) not in pairs and _alike(thumbs[i], thumbs[j]):
                pairs.add(pair)
    return left


def _alike(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether thumbnails differ by little but their brightness."""
    difference = a.astype(np.float64) - b
    return bool(difference.std() <= LEVELS)


def joined(n: int, pairs: Iterable[tuple[int, int]]) -> list[list[int]]:
    """The groups that pairs of 0 … n − 1 make, each ascending, by their first members."""
    parent = list(range(n))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    pairs = sorted(pairs)
    for i, j in pairs:
        a, b = root(i), root(j)
        parent[max(a, b)] = min(a, b)
    found: dict[int, list[int]] = defaultdict(list)
    for i in sorted({i for pair in pairs for i in pair}):
        found[root(i)].append(i)
    return list(found.values())
