"""Register, warp and block tiles with strips copied ahead by cp.async (gemm.cuh): float32 on CUDA
cores.

A thread makes 8 × 8 results (8 × 4 in small tiles) out of 16 floats that it reads from shared
memory per k: 64 FMAs for 64 bytes, or 2 FLOP per byte, so that the 128 FMAs per cycle of a
multiprocessor need half of what its shared memory gives. Registers (at most 128) let two blocks of
256 threads run at once, a quarter of the most threads. Tiles of 128 × 128 read each operand N/128
or M/128 times: 32 FLOP per byte of L2. Tiles of a small product are cut along k among the warps of
a block (TILE_SLICES) and, where that leaves multiprocessors idle, among blocks: the parts are added
by a second kernel, in order.

Why it is preferred: chosen by analysis; not measured. The same technique reached 94 % of cuBLAS on
an A6000 (github.com/siboehm/SGEMM_CUDA, kernel 10).
"""

from ..elementwise.activations import NUMBERS
from ..raw import Source, target
from ..spec import Spec
from ..tuned import choose
from .op import extents
from .tiles import TILES, WIDE, split_for

SOURCE = Source(__name__, "cuda_raw_warptile.cu")
BY_SIZE = {"tile_m": 0, "tile_n": 0, "parts": 0}  # 0: as the estimate of tiles.py says
TUNE = {
    "matmul": [
        BY_SIZE,
        *(
            {"tile_m": tile.TILE_M, "tile_n": tile.TILE_N, "parts": parts}
            for tile in (*TILES, WIDE)
            for parts in (0, 1)
        ),
    ]
}
SUM_THREADS = 256
LARGEST = (1 << 31) - 1  # elements of an array, so that 32 bits count them


def supports(op, a, b, bias=None, *, ta=False, tb=False, act=None):
    m, n, _ = extents(a, b, ta, tb)
    return a.dtype == "float32" and max(a.size, b.size, m * n) <= LARGEST


def split(m, n, k):
    """The tile and parts of a product, as tuned or by estimate."""
    config = choose("matmul", "cuda_raw_warptile", BY_SIZE)
    shape = (config["tile_m"], config["tile_n"])
    tiles = tuple(t for t in (*TILES, WIDE) if shape == (t.TILE_M, t.TILE_N)) or TILES
    most = (config["parts"],) if config["parts"] else ()
    return split_for(m, n, k, target().multiprocessors, tiles, *most)


def width(contiguous_along_k, rows):
    """How gemm.cuh reads an operand: 0 along k, else so many rows at once."""
    return 0 if contiguous_along_k else 4 if rows % 4 == 0 else 1


def workspace(op, a, b, bias=None, *, ta=False, tb=False, act=None):
    m, n, k = extents(a, b, ta, tb)
    parts = split(m, n, k).parts
    return Spec((parts, m, n), a.dtype) if parts > 1 and m * n else None


def matmul(out, a, b, bias, *, ta=False, tb=False, act=None, scratch=None):
    m, n, k = extents(a, b, ta, tb)
    cut = split(m, n, k)
    tile = cut.tile
    forms = {"A_WIDTH": width(not ta, m), "B_WIDTH": width(tb, n), **tile._asdict()}
    tiles = -(-m // tile.TILE_M) * -(-n // tile.TILE_N)
    last = NUMBERS[act]
    to, to_bias, first = (out, bias, last) if scratch is None else (scratch, None, 0)
    SOURCE.kernel("matmul_warptile", ACT=first, **forms)(
        (tiles, cut.parts), tile.threads, to, a, b, to_bias, m, n, k, cut.depth
    )
    if scratch is not None:
        blocks = min(-(-m * n // (4 * SUM_THREADS)), 4 * target().multiprocessors)
        SOURCE.kernel("matmul_sum", ACT=last, **forms)(
            blocks, SUM_THREADS, out, scratch, bias, m * n, n, cut.parts
        )
