"""How kernels on `columns.cuh` share a matrix out: tiles of columns, and chunks of rows."""

from __future__ import annotations

from math import prod
from typing import NamedTuple

import numpy as np

from ..raw import target
from ..spec import Spec

THREADS = 256
TILE = 32  # columns of a block at most
ROWS = 8  # of a thread at the least, where there are several chunks
BLOCKS = 4  # to a multiprocessor
LARGEST = (1 << 31) - 1  # elements, so that 32 bits count them


class Cut(NamedTuple):
    """(rows, columns) matrices in blocks: columns to a thread, threads side by side, the grid.

    `images` of them, each with sums of its own.
    """

    rows: int
    columns: int
    width: int
    across: int
    tiles: int
    chunks: int
    images: int

    @property
    def grid(self) -> tuple[int, int, int]:
        return self.tiles, self.chunks, self.images

    @property
    def sums(self) -> Spec:
        """The two sums of each column and chunk; of one chunk they are the result itself."""
        return Spec((self.images, self.chunks, 2, self.columns), np.dtype(np.float64))


def width_of(columns: int) -> int:
    """4 where every row begins on a boundary of 16 bytes, else 1."""
    return 1 if columns % 4 else 4


def cut(shape: tuple[int, ...], by_image: bool = False) -> Cut:
    """The cut of an array whose last axis is the columns; its first is the images if `by_image`."""
    images, rows = (shape[0], prod(shape[1:-1])) if by_image else (1, prod(shape[:-1]))
    columns = shape[-1]
    width = width_of(columns)
    across = 1
    while across * width < min(columns, TILE):
        across *= 2
    tiles = -(-columns // (across * width))
    by_rows = rows * across // (THREADS * ROWS)
    by_device = BLOCKS * target().multiprocessors // max(tiles * images, 1)
    return Cut(rows, columns, width, across, tiles, max(1, min(by_rows, by_device)), images)
