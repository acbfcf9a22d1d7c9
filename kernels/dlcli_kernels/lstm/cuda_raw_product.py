"""The gradient of the recurrent weights as one tiled product over all steps (gemm.cuh), split along
them where the matrix is small: the parts are added in order.

8 N·T·H² operations; 4 N·T·H floats of dz and as much of h as the tiles ask for. Chosen by analysis,
with matmul's table of tiles; not measured.
"""

from ..matmul.tiles import split_for
from ..raw import Source, target
from ..spec import Spec

SOURCE = Source(__name__, "cuda_raw_product.cu")
SUM_THREADS = 256
LARGEST = (1 << 31) - 1  # elements, so that 32 bits count them


def supports(op, dz, out, h0, lengths=None, **attrs):
    return dz.dtype == "float32" and max(dz.size, 4 * h0.shape[1] ** 2) <= LARGEST


def _split(out):
    n, t, h = out.shape
    return split_for(4 * h, h, n * t, target().multiprocessors)


def workspace(op, dz, out, h0, lengths=None, **attrs):
    """The parts of dw."""
    h, parts = h0.shape[1], _split(out).parts
    return Spec((parts, 4 * h, h), dz.dtype) if parts > 1 and h else None


def lstm_sequence_wgrad(dw, dz, out, h0, lengths, *, reverse=False, scratch=None):
    n, t, h = out.shape
    cut = _split(out)
    tile = cut.tile
    forms = {"COPY_WIDTH": 1 if h % 4 else 4, **tile._asdict()}
    tiles = -(-4 * h // tile.TILE_M) * -(-h // tile.TILE_N)
    to = dw if scratch is None else scratch
    SOURCE.kernel("lstm_wgrad", **forms)(
        (tiles, cut.parts), tile.threads, to, dz, out, h0, lengths, n, t, h, int(reverse), cut.depth
    )
    if scratch is not None:
        blocks = min(-(-4 * h * h // (4 * SUM_THREADS)), 4 * target().multiprocessors)
        SOURCE.kernel("lstm_wgrad_sum", **forms)(
            blocks, SUM_THREADS, dw, scratch, 4 * h * h, h, cut.parts
        )
