"""What the products on tensor cores share: the choice of tile and parts, and the launch."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..elementwise.activations import NUMBERS
from ..raw import Source, target
from ..spec import Spec
from .op import extents

STAGES = 3  # strips in shared memory, as gemm_mma.cuh says
STRIP = 64  # bytes of a strip along k
THREADS = 128
SUM_THREADS = 256
PART = 8  # strips of a part at the least
LARGEST = (1 << 31) - 1  # elements of an array, so that 32 bits count them


class Cut(NamedTuple):
    """The side of a tile, the parts along k, and the values of k in each."""

    tile: int
    parts: int
    depth: int


def countable(a: Spec, b: Spec, ta: bool, tb: bool) -> bool:
    """Whether 32 bits count the elements of every array."""
    m, n, _ = extents(a, b, ta, tb)
    return max(a.size, b.size, m * n) <= LARGEST


def cut_for(m: int, n: int, k: int, itemsize: int, copied: int) -> Cut:
    """Tiles of 128 where there are enough for every multiprocessor, else of 64; where these are few
    too, parts along k. By analysis; not measured.

    16-bit elements that are copied one by one go through registers, of which there are enough for
    tiles of 64 only.
    """
    blocks = target().multiprocessors
    tiles = {side: -(-m // side) * -(-n // side) for side in (128, 64)}
    side = 64 if tiles[128] < blocks or itemsize * copied < 4 else 128
    strip = STRIP // itemsize
    strips = max(1, -(-k // strip))
    wanted = max(1, min(strips // PART, 2 * blocks // max(1, tiles[side])))
    depth = -(-strips // wanted) * strip
    return Cut(side, max(1, -(-k // depth)), depth)


def width(m: int, n: int, k: int, ta: bool, tb: bool, itemsize: int) -> int:
    """Elements that are copied at once: 16 bytes where rows of both operands are aligned."""
    chunk = 16 // itemsize
    return 1 if (m if ta else k) % chunk or (k if tb else n) % chunk else chunk


def shared(side: int, a_deep: bool, b_deep: bool, itemsize: int) -> int:
    """Bytes of dynamic shared memory: MmaStrip::SIZE of both operands in every stage."""
    along_k = side * (STRIP + 16)
    along_rows = STRIP // itemsize * (side + 8) * itemsize
    return STAGES * sum(along_k if d else along_rows for d in (a_deep, b_deep))


def workspace(a: Spec, b: Spec, ta: bool, tb: bool) -> Spec | None:
    """The parts of a product that is cut along k, in float32."""
    m, n, k = extents(a, b, ta, tb)
    itemsize = a.dtype.itemsize
    parts = cut_for(m, n, k, itemsize, width(m, n, k, ta, tb, itemsize)).parts
    return a.like(parts, m, n, dtype="float32") if parts > 1 and m * n else None


def product(
    source: Source,
    out: Any,
    a: Any,
    b: Any,
    bias: Any,
    *,
    ta: bool,
    tb: bool,
    act: str | None,
    scratch: Any,
) -> None:
    """out = act(A · B + bias) by the kernels of mma.cu."""
    m, n, k = extents(a, b, ta, tb)
    itemsize = a.dtype.itemsize
    copied = width(m, n, k, ta, tb, itemsize)
    cut = cut_for(m, n, k, itemsize, copied)
    constants = {
        "ELEMENT": "bfloat16" if itemsize == 2 else "float",
        "TILE": cut.tile,
        "ACT": NUMBERS[act],
        "A_DEEP": int(not ta),
        "B_DEEP": int(tb),
        "COPIED": copied,
    }
    tiles = -(-m // cut.tile) * -(-n // cut.tile)
    source.kernel("matmul_mma", **constants)(
        (tiles, cut.parts), THREADS, out, scratch, a, b, bias, m, n, k, cut.depth,
        shared=shared(cut.tile, not ta, tb, itemsize),
    )  # fmt: skip
    if scratch is not None:
        blocks = min(-(-m * n // SUM_THREADS), 8 * target().multiprocessors)
        source.kernel("matmul_sum", **constants)(
            blocks, SUM_THREADS, out, scratch, bias, m * n, n, cut.parts
        )
