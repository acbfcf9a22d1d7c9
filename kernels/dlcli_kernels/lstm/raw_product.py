"""What the host does for the gradients of the weights (raw_product.cu), whatever the cell: one
tiled product over all steps (gemm.cuh), split along them where the matrix is small: the parts are
added in order.

2 N·T·rows·columns operations; N·T·rows floats of gradients and as much of states or inputs as the
tiles ask for.
"""

from __future__ import annotations

from typing import Any

from ..matmul.tiles import Split, split_for
from ..raw import Source, target
from ..spec import Spec

SOURCE = Source(__name__, "raw_product.cu")
SUM_THREADS = 256


def split(rows: int, columns: int, steps: int) -> Split:
    """How the product of a (rows, columns) gradient over so many steps is cut."""
    return split_for(rows, columns, steps, target().multiprocessors)


def parts_of(rows: int, columns: int, steps: int) -> int:
    """Elements of the parts that are added at the end; 0 where there is one alone."""
    parts = split(rows, columns, steps).parts
    return parts * rows * columns if parts > 1 else 0


def workspace(rows: int, columns: int, like: Any) -> Spec | None:
    """The parts of dw, for gradients or states `like` (N, T, …)."""
    parts = parts_of(rows, columns, like.shape[0] * like.shape[1])
    return Spec((parts,), like.dtype) if parts else None


def weights(
    dw: Any,
    dz: Any,
    states: Any,
    first: Any,
    lengths: Any,
    *,
    shift: int,
    scratch: Any,
    dq: Any = None,
    own: int = 0,
) -> None:
    """dw (rows, columns) ← Σ (dz, dq)ᵀ · states over all steps within the lengths.

    dz (N, T, pitch): its first `own` columns count where there is a dq (N, T, rows − own), else
    all. states (N, T, columns): of the step `shift` further, or `first` (N, columns) where there is
    none. scratch: of `parts_of` elements, or None.
    """
    (rows, columns), (n, t, pitch) = dw.shape, dz.shape
    cut = split(rows, columns, n * t)
    tile = cut.tile
    own = own if dq is not None else rows
    aligned = not any(extent % 4 for extent in (own, rows, pitch, columns))
    forms = {"COPY_WIDTH": 4 if aligned else 1, **tile._asdict()}
    tiles = -(-rows // tile.TILE_M) * -(-columns // tile.TILE_N)
    to = dw if scratch is None else scratch
    SOURCE.kernel("recurrent_wgrad", **forms)(
        (tiles, cut.parts), tile.threads, to, dz, dq, states, first, lengths,
        n, t, rows, own, pitch, columns, shift, cut.depth,
    )  # fmt: skip
    if scratch is not None:
        blocks = min(-(-rows * columns // (4 * SUM_THREADS)), 4 * target().multiprocessors)
        SOURCE.kernel("recurrent_wgrad_sum", **forms)(
            blocks, SUM_THREADS, dw, scratch, rows * columns, columns, cut.parts
        )
