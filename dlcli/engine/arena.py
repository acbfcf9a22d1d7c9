"""One piece of memory for all that a list of calls makes on the way: each block lies where nothing
lies that is in use at the same time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

ALIGNMENT = 64  # bytes: a cache line


@dataclass(frozen=True)
class Block:
    """nbytes that are in use from call `first` to call `last`, both included."""

    nbytes: int
    first: int
    last: int


def lay_out(blocks: Sequence[Block]) -> tuple[list[int], int]:
    """Where each block begins, and how many bytes all of them take.

    The largest first, each into the tightest gap between those that are in use with it (greedy by
    size, Pisarchyk & Lee 2020).
    """
    offsets, end = [0] * len(blocks), 0
    placed: list[int] = []
    for i in sorted(range(len(blocks)), key=lambda i: (-blocks[i].nbytes, i)):
        block = blocks[i]
        size = -(-block.nbytes // ALIGNMENT) * ALIGNMENT
        best, gap, free = None, 0, 0
        for j in placed:  # by their offsets
            other = blocks[j]
            if other.last < block.first or block.last < other.first:
                continue
            room = offsets[j] - free
            if room >= size and (best is None or room < gap):
                best, gap = free, room
            free = max(free, offsets[j] + -(-other.nbytes // ALIGNMENT) * ALIGNMENT)
        offsets[i] = free if best is None else best
        end = max(end, offsets[i] + size)
        at = next((k for k, j in enumerate(placed) if offsets[j] > offsets[i]), len(placed))
        placed.insert(at, i)
    return offsets, end


class Arena:
    """Memory that plans share, which run one after the other. begin: its address."""

    def __init__(self) -> None:
        self.memory = np.empty(0, np.uint8)
        self.begin = 0

    def hold(self, nbytes: int) -> None:
        """Has room for so many bytes from now on, elsewhere perhaps. MemoryError."""
        if nbytes > len(self.memory):
            raw = np.empty(nbytes + ALIGNMENT, np.uint8)  # without room the old one stays
            shift = -raw.ctypes.data % ALIGNMENT
            self.memory = raw[shift : shift + nbytes]
            self.begin = self.memory.ctypes.data
