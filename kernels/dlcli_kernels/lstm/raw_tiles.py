"""What the host does for recurrent_tiles.cuh, whatever the cell: the scratch, the launches that
prepare it, how much shared memory a block needs, and whether all steps are one launch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..raw import Source, target
from ..spec import Spec
from .raw_limits import countable, most_shared

PREPARE = Source(__name__, "raw_tiles.cu")
UNITS, TILE, CHUNK, WARPS, THREADS = 8, 16, 32, 8, 256  # as in the kernel
COUNTER = 64  # words: 256 bytes, so that what follows begins on such a boundary
MOST_ROWS = 65_535  # blocks along y


class Sizes(NamedTuple):
    """N, T, H; gates: of the cell. backwards: of the gradient."""

    n: int
    t: int
    h: int
    gates: int
    backwards: bool

    @property
    def reach(self) -> int:
        """Inputs of the recurrent product for each unit."""
        return self.gates if self.backwards else 1

    @property
    def places(self) -> int:
        """Results of the recurrent product for each unit: one, or room for four gates."""
        return 1 if self.backwards or self.gates == 1 else 4

    @property
    def turns(self) -> int:
        """Steps; backwards one more, which ends the gradient of the first state."""
        return self.t + self.backwards

    @property
    def slices(self) -> int:
        """Blocks that share the units."""
        return -(-self.h // UNITS)

    @property
    def tiles(self) -> int:
        """Tiles of sequences."""
        return -(-self.n // TILE)

    @property
    def pitch(self) -> int:
        """Floats of a row of what blocks pass to each other."""
        return self.tiles * TILE

    @property
    def packed(self) -> int:
        """Floats of the packed weights."""
        return self.slices * UNITS * self.places * self.reach * self.h

    @property
    def scratch(self) -> Spec:
        """The counter of grid_sync, the packed weights, and two times what blocks pass on."""
        size = COUNTER + self.packed + 2 * self.reach * self.h * self.pitch
        return Spec((size,), np.dtype(np.float32))

    def shared(self, resident: bool) -> int:
        """Bytes of dynamic shared memory."""
        columns = self.places * UNITS
        kept = -(-self.reach * self.h // CHUNK) * CHUNK * columns if resident else 0
        return 4 * (kept + WARPS * 2 * CHUNK * (TILE + (0 if resident else columns)))

    @property
    def resident(self) -> bool:
        """Whether all blocks of a tile run at once, each with its weights in shared memory."""
        return self.slices <= target().multiprocessors and self.shared(True) <= most_shared()


def supports(s: Sizes, *operands: Any) -> bool:
    """Whether these operands are float32 and 32 bits count the elements of all arrays."""
    return countable(*operands, s.scratch)


@dataclass(frozen=True)
class Tiles:
    """The kernels of a source that make steps by tiles: `kernel` of `launch` is one of them."""

    source: Source

    def launch(
        self,
        kernel: str,
        s: Sizes,
        reverse: bool,
        operands: tuple[Any, ...],
        w: Any,
        lengths: Any,
        states: tuple[Any, ...],
        first: tuple[Any, ...],
        scratch: Any,
    ) -> None:
        """Runs all steps. operands: those of the kernel up to `packed`, the states among them.

        states: one or two arrays, which begin as `first` or, where that is None, as zeros, and are
        then updated in place.
        """
        counter, end = scratch[:COUNTER].view(np.uint32), COUNTER + s.packed
        packed, passed = scratch[COUNTER:end], scratch[end:]
        _pack(s, packed, w)
        to = None if s.backwards else passed
        a, b = (*states, None)[:2]
        a0, b0 = (*first, None)[:2]
        blocks = min(-(-s.n * s.h // THREADS), 8 * target().multiprocessors)
        begin = PREPARE.kernel("recurrent_begin")
        begin(blocks, THREADS, a, b, to, counter, a0, b0, s.n, s.h, s.pitch)
        steps = self.source.kernel(kernel, RESIDENT=int(s.resident))
        sizes = (s.n, s.t, s.h, int(reverse), s.pitch)
        given = (*operands, packed, passed, counter, lengths, *sizes)
        if s.resident:
            groups = min(s.tiles, target().multiprocessors // max(s.slices, 1))
            how: dict[str, Any] = {"shared": s.shared(True), "cooperative": True}
            steps((s.slices, groups), THREADS, *given, 0, s.turns, **how)
            return
        grid = (s.slices, min(s.tiles, MOST_ROWS))
        for i in range(s.turns):
            steps(grid, THREADS, *given, i, i + 1, shared=s.shared(False))


def _pack(s: Sizes, packed: Any, w: Any) -> None:
    """Lays out the weights by slices of units."""
    if not s.backwards:
        pack = PREPARE.kernel("recurrent_pack")
        pack((s.slices, -(-s.h // 32)), THREADS, packed, w, s.h, s.gates, s.places)
        return
    pack, rows = PREPARE.kernel("recurrent_pack_grad"), s.gates * s.h
    grid = (s.slices, -(-rows * UNITS // THREADS))
    pack(grid, THREADS, packed, w, s.h, rows)
