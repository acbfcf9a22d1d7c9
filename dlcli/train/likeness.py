"""How like real images generated ones are, in NumPy: distances between images, and between the
features of images. Products are made in blocks, so that memory stays small.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

BLOCK = 2_000  # images at a time, and no more than so many bytes
BYTES = 1 << 26  # as float32
WHITE = 255.0
NEIGHBOURS = 3  # as Kynkäänniemi et al. 2019 choose


def evenly(total: int, most: int) -> np.ndarray:
    """At most so many of the positions 0 … total − 1, at equal distances: (n,) int64."""
    if total <= most:
        return np.arange(total)
    return np.linspace(0, total - 1, most).astype(np.int64)


def squared_distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """‖xᵢ − yⱼ‖² of rows (n, d) and (m, d) in their float type: (n, m), never below 0."""
    squares = np.einsum("nd,nd->n", x, x)[:, None] + np.einsum("md,md->m", y, y)
    return np.maximum(squares - 2 * (x @ y.T), 0)


def nearest(images: np.ndarray, split: Any, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each image (n, H, W, C) uint8 the nearest among the samples `rows` of a split: its
    distance, (n,) float64, and its position in the split, (n,) int64.

    A distance is the root mean square over all values, where black and white are 1 apart. Which
    one is nearest is found in float32; its distance is exact, 0 for a copy.
    """
    x = _centred(images)
    best = np.full(len(x), np.inf)
    found = np.zeros(len(x), np.int64)
    for some in _blocks(rows, x.shape[1]):
        apart = squared_distances(x, _centred(split.samples(some)))
        first = apart.argmin(axis=1)
        least = apart[np.arange(len(x)), first]
        closer = least < best
        best[closer], found[closer] = least[closer], some[first[closer]]
    away = np.empty(len(x))
    for some in _blocks(np.arange(len(x)), x.shape[1]):
        away[some] = rmse(images[some], split.samples(found[some]))
    return away, found


def rmse(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The distance of each image (n, H, W, C) uint8 from its counterpart: (n,) float64."""
    differences = (x.astype(np.float64) - y).reshape(len(x), -1) / WHITE
    found: np.ndarray = np.sqrt(np.square(differences).mean(axis=1))
    return found


def spread(images: np.ndarray) -> float:
    """The mean distance, as in `nearest`, of two different images of (n, H, W, C) uint8, n ≥ 2."""
    x, total = _centred(images), 0.0
    for some in _blocks(np.arange(len(x)), x.shape[1]):
        apart = squared_distances(x[some], x)
        apart[np.arange(len(some)), some] = 0  # of an image from itself
        total += float(np.sqrt(apart).sum(dtype=np.float64))
    return total / (len(x) * (len(x) - 1)) / np.sqrt(x.shape[1])


def frechet(x: np.ndarray, y: np.ndarray) -> float:
    """The squared Fréchet distance of the Gaussians with the means and covariances of features
    x (n, F) and y (m, F), n and m ≥ 2 (Heusel et al. 2017, who take Inception's):
    ‖μ₁ − μ₂‖² + tr(Σ₁ + Σ₂ − 2 (Σ₁ Σ₂)^½).

    The eigenvalues of Σ₁ Σ₂ are those of Σ₁^½ Σ₂ Σ₁^½, which is symmetric, so that their roots
    are real whatever the rank.
    """
    x, y = x.astype(np.float64), y.astype(np.float64)
    apart = x.mean(axis=0) - y.mean(axis=0)
    first, second = np.atleast_2d(np.cov(x, rowvar=False)), np.atleast_2d(np.cov(y, rowvar=False))
    values, vectors = np.linalg.eigh(first)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    both = np.linalg.eigvalsh(root @ second @ root)
    shared = np.sqrt(np.maximum(both, 0)).sum()
    return float(max(apart @ apart + np.trace(first) + np.trace(second) - 2 * shared, 0.0))


def precision_recall(
    real: np.ndarray, made: np.ndarray, neighbours: int = NEIGHBOURS
) -> tuple[float, float]:
    """Improved precision and recall (Kynkäänniemi et al. 2019) of features (n, F) and (m, F): the
    share of generated ones within the neighbourhood of a real one, up to its k-th neighbour among
    the real ones, and of real ones within that of a generated one. n and m ≥ 2; with fewer than
    k others all of them are neighbours.
    """
    real, made = real.astype(np.float64), made.astype(np.float64)
    apart = squared_distances(real, made)
    near_real = apart <= _reach(real, neighbours)[:, None]
    near_made = apart <= _reach(made, neighbours)[None]
    return float(near_real.any(axis=0).mean()), float(near_made.any(axis=1).mean())


def _reach(x: np.ndarray, neighbours: int) -> np.ndarray:
    """The squared distance of each row from its k-th neighbour."""
    apart = squared_distances(x, x)
    np.fill_diagonal(apart, -1)  # itself comes first
    k = min(neighbours, len(x) - 1)
    found: np.ndarray = np.partition(apart, k, axis=1)[:, k]
    return found


def _centred(images: np.ndarray) -> np.ndarray:
    """(n, H, W, C) uint8 to (n, d) float32 around 0, white 1 above black."""
    flat = images.reshape(len(images), -1)
    return flat.astype(np.float32) / np.float32(WHITE) - np.float32(0.5)


def _blocks(rows: np.ndarray, values: int) -> Iterator[np.ndarray]:
    """Rows in blocks of images of so many values."""
    size = max(min(BLOCK, BYTES // (4 * values)), 1)
    for start in range(0, len(rows), size):
        yield rows[start : start + size]
