"""What tells the images of a game apart, for both sides: nothing, their classes, or clusters.

The generator is given a condition with each code, and the discriminator judges an image as one of
its condition. Where conditions keep apart what is unlike, no image has to lie between two kinds.
"""

from __future__ import annotations

from math import erf, sqrt
from typing import Any, Protocol

import numpy as np

from dlcli import nn
from dlcli.nn.module import Buffer


class Conditions(Protocol):
    """size: how many there are. asked: how many a user can ask for by name."""

    size: int
    asked: int

    def of_images(self, x: np.ndarray, y: np.ndarray) -> np.ndarray | None:
        """Of images x (N, H, W, C) of classes y (N,): (N,) int64, None where there are none."""

    def of_codes(self, noise: np.ndarray, wanted: np.ndarray | None) -> np.ndarray | None:
        """Of images to be made by their noise (n, dims), and by the classes that are wanted."""


class Nothing(nn.Module):
    """All images are of one kind."""

    size = asked = 0

    def of_images(self, x: np.ndarray, y: np.ndarray) -> None:
        return None

    def of_codes(self, noise: np.ndarray, wanted: np.ndarray | None) -> None:
        return None


class Classes(nn.Module):
    """The classes of the data."""

    def __init__(self, classes: int) -> None:
        self.size = self.asked = classes

    def of_images(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return y

    def of_codes(self, noise: np.ndarray, wanted: np.ndarray | None) -> np.ndarray:
        assert wanted is not None
        return wanted


class Clusters(nn.Module):
    """Clusters of the images, found without labels while they come by (after Liu et al. 2020, here
    by k-means in batches, Sculley 2010, on pixels). Which cluster a code is of, its first number
    says, so that clusters are as frequent as they are among the images.
    """

    asked = 0

    def __init__(self, clusters: int, pixels: int) -> None:
        self.size = clusters
        self.centres = Buffer(np.zeros((clusters, pixels), np.float32))
        self.counts = Buffer(np.zeros(clusters, np.float32))

    def of_images(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """The nearest centres, which in training move towards the images."""
        x = x.reshape(len(x), -1)
        centres, counts = self.centres.numpy(), self.counts.numpy()
        if self.training and not counts.any():
            centres = x[np.arange(self.size) % len(x)].copy()
        near = (np.square(centres).sum(axis=1) - 2 * x @ centres.T).argmin(axis=1)
        if self.training:
            hit, which = np.unique(near, return_inverse=True)
            told = np.zeros((len(hit), len(x)), np.float32)
            told[which, np.arange(len(x))] = 1
            counts = counts + np.bincount(near, minlength=self.size).astype(np.float32)
            share = (1 / counts[hit])[:, None]  # each moves by its share of the images so far
            moved = centres.copy()
            moved[hit] += (told @ x - told.sum(axis=1, keepdims=True) * centres[hit]) * share
            self.centres.write(moved)
            self.counts.write(counts)
        return near

    def of_codes(self, noise: np.ndarray, wanted: np.ndarray | None) -> np.ndarray:
        """By the share of N(0, 1) that lies below the first number, the first cluster that makes
        it up with those before it.
        """
        below = np.array([0.5 * (1 + erf(z / sqrt(2))) for z in noise[:, 0].tolist()])
        shares = np.cumsum(self.counts.numpy().astype(np.float64))
        found: np.ndarray = np.searchsorted(shares, below * shares[-1], side="right")
        return np.minimum(found, self.size - 1)


def conditions(conditional: bool, classes: int, clusters: int, pixels: int) -> Any:
    """The classes if a class is to be asked for, else so many clusters, or nothing for 0."""
    if conditional:
        return Classes(classes)
    return Clusters(clusters, pixels) if clusters else Nothing()
