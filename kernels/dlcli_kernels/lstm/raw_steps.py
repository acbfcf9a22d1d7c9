"""What the host does for kernels that run an LSTM by tiles of 8 units and 16 sequences: the
scratch, the launches that prepare it, and how much shared memory a block needs.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..raw import Kernel, Source, target
from ..spec import Spec

SOURCE = Source(__name__, "cuda_raw_cooperative.cu")
UNITS, TILE, CHUNK, WARPS, THREADS = 8, 16, 32, 8, 256  # as in the kernel
COUNTER = 64  # words: 256 bytes, so that what follows begins on such a boundary
LARGEST = (1 << 31) - 1  # elements, so that 32 bits count them
Operands = tuple[Any, ...]
KB = 1 << 10
MOST_SHARED = {"sm_80": 163 * KB, "sm_87": 163 * KB, "sm_90": 227 * KB, "sm_100": 227 * KB}
LEAST_SHARED = 99 * KB  # of the other architectures


def most_shared() -> int:
    """Bytes of shared memory that a block of the target in use may have."""
    return MOST_SHARED.get(target().arch, LEAST_SHARED)


class Sizes(NamedTuple):
    """N, T, H and the inputs per unit of the recurrent product: 1 forwards, 4 in the gradient."""

    n: int
    t: int
    h: int
    reach: int

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

    def shared(self, resident: bool) -> int:
        """Bytes of dynamic shared memory."""
        columns = 4 * UNITS // self.reach
        kept = -(-self.reach * self.h // CHUNK) * CHUNK * columns if resident else 0
        return 4 * (kept + WARPS * 2 * CHUNK * (TILE + (0 if resident else columns)))

    @property
    def scratch(self) -> Spec:
        """The counter of grid_sync, the packed weights, and two times what blocks pass on."""
        packed = self.slices * UNITS * 4 * self.h
        size = COUNTER + packed + 2 * self.reach * self.h * self.pitch
        return Spec((size,), np.dtype(np.float32))


def sizes_of(op: str, *ins: Any) -> Sizes:
    """The sizes of a call by its inputs, arrays or specs."""
    z = ins[0] if op == "lstm_sequence" else ins[3]
    n, t, wide = z.shape
    return Sizes(n, t, wide // 4, 1 if op == "lstm_sequence" else 4)


def fits(op: str, *ins: Any) -> bool:
    """Whether the operands are float32 and 32 bits count their elements."""
    s, z = sizes_of(op, *ins), ins[0 if op == "lstm_sequence" else 3]
    return z.dtype == "float32" and max(z.size, s.scratch.size) <= LARGEST


class Prepared(NamedTuple):
    """Kernels' operands in the scratch: what blocks pass on, the counter, the packed weights."""

    passed: Any
    counter: Any
    packed: Any


def prepare(
    s: Sizes, scratch: Any, w: Any, states: tuple[Any, ...], first: tuple[Any, ...]
) -> Prepared:
    """Launches what comes before the first step: `states` become `first` or, where None, zeros."""
    end = COUNTER + s.slices * UNITS * 4 * s.h
    made = Prepared(scratch[end:], scratch[:COUNTER].view(np.uint32), scratch[COUNTER:end])
    if s.reach == 1:
        kernel("lstm_pack")((s.slices, -(-s.h // 32)), THREADS, made.packed, w, s.h)
    else:
        rows = THREADS // UNITS  # of the matrix, to a block
        kernel("lstm_pack_grad")((s.slices, -(-4 * s.h // rows)), THREADS, made.packed, w, s.h)
    passed = made.passed if s.reach == 1 else None
    blocks = min(-(-s.n * s.h // THREADS), 8 * target().multiprocessors)
    kernel("lstm_begin")(blocks, THREADS, *states, passed, made.counter, *first, s.n, s.h, s.pitch)
    return made


def kernel(name: str, resident: bool = False) -> Kernel:
    """A kernel of the source, with the weights of a block kept in shared memory or not."""
    return SOURCE.kernel(name, RESIDENT=int(resident))
