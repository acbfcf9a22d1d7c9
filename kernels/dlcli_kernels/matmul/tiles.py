"""Which tile, and how many parts along k, a float32 product on CUDA cores is made in: a table, and
an estimate that chooses from it.

A tile: TILE_M × TILE_N results of a block, THREAD_M × THREAD_N of a thread, strips of TILE_K in
TILE_STAGES buffers, TILE_SLICES groups of warps along k, BLOCKS to a multiprocessor (what registers
are limited to). FLOP per byte that a thread reads of shared memory: 2 with 8 × 8, 1.3 with 8 × 4,
2.7 with 16 × 8.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple


class Tile(NamedTuple):
    """One row of the table, by the names that kernels are compiled with."""

    TILE_M: int
    TILE_N: int
    THREAD_M: int
    THREAD_N: int
    TILE_K: int
    TILE_STAGES: int
    TILE_SLICES: int
    BLOCKS: int

    @property
    def threads(self) -> int:
        return self.TILE_M * self.TILE_N // (self.THREAD_M * self.THREAD_N) * self.TILE_SLICES


TILES = (
    Tile(128, 128, 8, 8, 16, 2, 1, 2),
    Tile(128, 64, 8, 8, 16, 2, 1, 4),
    Tile(64, 64, 8, 4, 32, 2, 2, 2),
    Tile(64, 32, 8, 4, 32, 2, 4, 2),
    Tile(32, 32, 8, 4, 32, 3, 4, 4),
)
WIDE = Tile(256, 128, 16, 8, 8, 2, 1, 1)  # for tuning: a quarter fewer reads, half the warps


@dataclass(frozen=True)
class Split:
    """How a product is cut: its tile, and parts of `depth` values of k each."""

    tile: Tile
    parts: int
    depth: int


# The estimate, in cycles of a multiprocessor. By analysis; not measured.
SCHEDULERS = 4
COPY = 3  # instructions of a copy: address, condition, cp.async
STRIP = 300  # barrier and first reads of a strip, where no other warp hides them
BLOCK = 1500  # the first strip's way from memory, and the epilogue
SECOND_KERNEL = 4000
BYTES = 1800  # of the parts that all multiprocessors write or read per cycle
MOST_PARTS = 32


@lru_cache(maxsize=4096)
def split_for(
    m: int,
    n: int,
    k: int,
    multiprocessors: int,
    tiles: Sequence[Tile] = TILES,
    most_parts: int = MOST_PARTS,
) -> Split:
    """The cheapest by the estimate for an (m, n, k) product; `tiles` is a tuple."""
    splits = [_cut(tile, k, parts) for tile in tiles for parts in range(1, max(1, most_parts) + 1)]
    return min(splits, key=lambda split: _cycles(split, m, n, k, multiprocessors))


def _cut(tile: Tile, k: int, parts: int) -> Split:
    """At most so many parts of whole strips, none of them empty."""
    strips = max(1, -(-k // tile.TILE_K))
    depth = -(-strips // parts) * tile.TILE_K
    return Split(tile, max(1, -(-k // depth)), depth)


def _cycles(split: Split, m: int, n: int, k: int, multiprocessors: int) -> float:
    tile = split.tile
    blocks = -(-m // tile.TILE_M) * -(-n // tile.TILE_N) * split.parts
    most = max(1, -(-blocks // multiprocessors))  # blocks of the busiest multiprocessor
    together = min(most, tile.BLOCKS)
    warps = -(-together * tile.threads // 32 // SCHEDULERS)  # of a scheduler
    depth = tile.TILE_K // tile.TILE_SLICES  # of a warp, per strip
    reads = (tile.THREAD_M + tile.THREAD_N) / 4
    copies = COPY * (tile.TILE_M + tile.TILE_N) * tile.TILE_K / tile.threads
    instructions = depth * (tile.THREAD_M * tile.THREAD_N + reads) + copies
    strip = max(instructions * warps, instructions + STRIP)
    cycles = most / together * (-(-min(split.depth, k) // tile.TILE_K) * strip + BLOCK)
    if split.parts > 1:
        cycles += SECOND_KERNEL + 2 * 4 * split.parts * m * n / BYTES
    return cycles
