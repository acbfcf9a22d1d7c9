"""Rows of a table by their ids: out[…] = table[ids[…]]; and its gradient, as a whole table or as
the rows that were read (`rows.py`): a large table has many rows, and a batch reads few of them.

table is (V, D), ids int64 of any shape. An id outside 0 … V−1 reads nothing: its row of out is NaN,
so that the loss shows it on every device, and it has no gradient. `padding` is the id of a row that
is read like any other and never given a gradient.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..spec import Op, SparseGradient, Tol, case, integers, normal
from .rows import EMBEDDING_ROWS_GRAD, MERGE_ROWS, SUMMED, check  # noqa: F401  (ops of the family)

SIZES = [(1, 1, (1,)), (5, 3, (7,)), (11, 13, (2, 5)), (101, 1, (17,)), (3, 129, (2, 2, 3))]
# rows longer than a block is wide; rows that share blocks, more ids than a block reads at once
SIZES += [(2, 1028, (3,)), (2, 259, (3,)), (300, 3, (50,)), (70, 132, (1030,))]
EMPTY = [(4, 3, (0,)), (4, 3, (2, 0)), (4, 0, (3,)), (6, 5, ())]  # the last: one id
BENCH = [(25_000, 200, (32, 200)), (100, 256, (50, 100))]
PREFER = {("cpu", p): ("cpu_numba",) for p in ("float32", "float64")}
PREFER[("cuda", "float32")] = ("cuda_raw_rows",)
COPIED = {p: Tol(0.0, 0.0, why="rows are copied") for p in ("float32", "float64")}


@dataclass(frozen=True, eq=False)
class Scattered(SparseGradient):
    """dout (…, D), not yet added up by ids (…), of a table with `table_rows` rows."""

    dout: Any
    ids: Any
    table_rows: int
    padding: int | None

    def dense(self, call):
        attrs = {"rows": self.table_rows, "padding": self.padding}
        return call("embedding_grad", self.dout, self.ids, **attrs)

    def rows(self, call):
        attrs = {"rows": self.table_rows, "padding": self.padding}
        return call("embedding_rows_grad", self.dout, self.ids, **attrs)


def infer_embedding(table, ids, *, padding=None):
    if len(table.shape) != 2:
        raise ValueError(f"embedding: the table is (V, D), not {table.shape}")
    check("embedding", table.shape[0], ids, padding)
    return {"out": table.like(*ids.shape, table.shape[1])}


def embedding(table, ids, *, padding=None):
    out = np.full((*ids.shape, table.shape[1]), np.nan, table.dtype)
    known = (ids >= 0) & (ids < len(table))
    out[known] = table[ids[known]]
    return out


def cut_ids(table, ids, *, padding=None):
    """Along the first axis of ids; a single id is one piece of work."""
    return {"ids": 0, "out": 0} if ids.shape else None


def gradient(call, ins, outs, douts, needed, *, padding=None):
    return {"table": Scattered(douts.out, ins.ids, ins.table.shape[0], padding)}


def infer_grad(dout, ids, *, rows, padding=None):
    if dout.shape[:-1] != ids.shape or not dout.shape:
        raise ValueError(f"embedding_grad: no row of dout {dout.shape} for each id {ids.shape}")
    check("embedding_grad", rows, ids, padding)
    return {"dtable": dout.like(rows, dout.shape[-1])}


def embedding_grad(dout, ids, *, rows, padding=None):
    """Σ dout over the positions of each id, added in ascending order of position."""
    dtable = np.zeros((rows, dout.shape[-1]), dout.dtype)
    known = (ids >= 0) & (ids < rows) & (ids != (-1 if padding is None else padding))
    np.add.at(dtable, ids[known], dout[known])
    return dtable


def columns(dout, ids, *, rows, padding=None):
    """Each column is a sum by itself. The work is not cut by them: filling a table with zeros
    wants whole rows, and takes most of the time (1.2 ms for all, 1.5 for each of two halves).
    """
    return {"dout": len(dout.shape) - 1, "dtable": 1}


def of_size(v, d, shape, low=0, beyond=0):
    return {"table": normal(v, d), "ids": integers(low, v + beyond, *shape)}


def of_gradient(v, d, shape, low=0, beyond=0):
    return {"dout": normal(*shape, d), "ids": integers(low, v + beyond, *shape), "rows": v}


def traffic(table, ids, **attrs):
    """Each row that is asked for is read and written, the others stay where they are."""
    return ids.nbytes + 2 * ids.size * table.shape[1] * table.dtype.itemsize


def sized(V=25_000, D=200, N=6400):
    return case(**of_size(V, D, (N,)))


def sized_grad(V=25_000, D=200, N=6400):
    return case(**of_gradient(V, D, (N,)))


EMBEDDING = Op(
    "embedding",
    infer_embedding,
    embedding,
    gradient,
    cut=cut_ids,
    tolerance=COPIED,
    cases=[case(**of_size(*size)) for size in SIZES + EMPTY]
    + [case(**of_size(5, 7, (3, 4)), padding=p, smooth=False) for p in (0, 4)]
    + [
        case("layout", table=normal(6, 8, layout=layout), ids=integers(0, 6, 4, 3))
        for layout in ("F", "strided", "reversed")
    ]
    + [
        case("ids beyond both ends", **of_size(5, 3, (41,), -4, 4), smooth=False),
        case("no rows", **of_size(0, 3, (5,), -4, 4), smooth=False),
    ],
    bench=[case(**of_size(*size)) for size in BENCH],
    traffic=traffic,
    sized=sized,
    prefer=PREFER,
)

EMBEDDING_GRAD = Op(
    "embedding_grad",
    infer_grad,
    embedding_grad,
    sample=columns,
    tolerance=SUMMED,
    cases=[case(**of_gradient(*size), padding=None) for size in SIZES + EMPTY]
    + [case(**of_gradient(5, 7, (3, 4)), padding=p) for p in (0, 4)]
    + [
        case("ids beyond both ends", **of_gradient(5, 3, (41,), -4, 4)),
        case("no rows", **of_gradient(0, 3, (5,), -4, 4)),
        case("the same id", **of_gradient(2, 5, (1009,))),
    ],
    bench=[case(**of_gradient(*size)) for size in BENCH],
    sized=sized_grad,
    prefer=PREFER,
)
