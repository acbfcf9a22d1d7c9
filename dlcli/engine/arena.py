"""One piece of memory for all that a list of calls makes on the way: each block lies where nothing
lies that is in use at the same time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from dlcli_kernels.launch import address

CACHE_LINE = 64  # bytes


@dataclass(frozen=True)
class Block:
    """nbytes that are in use from call `first` to call `last`, both included."""

    nbytes: int
    first: int
    last: int


def lay_out(blocks: Sequence[Block], alignment: int = CACHE_LINE) -> tuple[list[int], int]:
    """Where each block begins, on a boundary of `alignment`, and how many bytes all of them take.

    The largest first, each into the tightest gap between those that are in use with it (greedy by
    size, Pisarchyk & Lee 2020).
    """
    offsets, end = [0] * len(blocks), 0
    placed: list[int] = []
    for i in sorted(range(len(blocks)), key=lambda i: (-blocks[i].nbytes, i)):
        block = blocks[i]
        size = -(-block.nbytes // alignment) * alignment
        best, gap, free = None, 0, 0
        for j in placed:  # by their offsets
            other = blocks[j]
            if other.last < block.first or block.last < other.first:
                continue
            room = offsets[j] - free
            if room >= size and (best is None or room < gap):
                best, gap = free, room
            free = max(free, offsets[j] + -(-other.nbytes // alignment) * alignment)
        offsets[i] = free if best is None else best
        end = max(end, offsets[i] + size)
        at = next((k for k, j in enumerate(placed) if offsets[j] > offsets[i]), len(placed))
        placed.insert(at, i)
    return offsets, end


class Arena:
    """Memory of a device that plans share, which run one after the other.

    empty(nbytes): so many bytes, as an array on a boundary of `alignment`. begin: its address.
    """

    def __init__(self, empty: Callable[[int], Any], alignment: int = CACHE_LINE) -> None:
        self.empty, self.alignment = empty, alignment
        self.memory: Any = None
        self.begin = self.nbytes = 0

    def hold(self, nbytes: int) -> None:
        """Has room for so many bytes from now on, elsewhere perhaps. MemoryError."""
        if nbytes > self.nbytes:
            self.memory = self.empty(nbytes)  # without room the old one stays
            self.begin, self.nbytes = address(self.memory), nbytes


def on_cache_lines(nbytes: int) -> np.ndarray:
    """Uninitialised bytes of the host that begin on a cache line."""
    raw = np.empty(nbytes + CACHE_LINE, np.uint8)
    shift = -raw.ctypes.data % CACHE_LINE
    return raw[shift : shift + nbytes]
