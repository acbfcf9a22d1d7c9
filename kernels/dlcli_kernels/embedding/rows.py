"""The gradient of a lookup as the rows that were read: index (C,) int64, ascending, each row once,
and values (C, D). Places that are left over have the index V, one past the table, and zeros: C is
fixed by the shapes of the operands, and nobody has to know how many rows there are.
"""

import numpy as np

from ..spec import Op, Tol, case, integers, normal

SIZES = [(1, 1, (1,)), (5, 3, (7,)), (11, 13, (2, 5)), (101, 1, (17,)), (3, 129, (2, 2, 3))]
SIZES += [(300, 3, (50,)), (70, 132, (1030,)), (20_000, 5, (90,))]  # the last: far apart
EMPTY = [(4, 3, (0,)), (4, 3, (2, 0)), (4, 0, (3,)), (6, 5, ()), (0, 3, (2,))]
MERGED = [(1, 1, 1, 1), (5, 3, 4, 2), (11, 13, 7, 9), (101, 1, 17, 90), (300, 129, 20, 31)]
MERGED += [(6, 3, 0, 4), (6, 3, 4, 0), (6, 0, 3, 3), (4, 2, 9, 9), (3, 2, 0, 0)]
MERGED += [(20_000, 4, 60, 50)]  # V, D, two counts
BENCH = [(25_000, 200, (32, 200)), (100, 256, (50, 100))]
PREFER = {("cpu", p): ("cpu_numba",) for p in ("float32", "float64")}
PREFER[("cuda", "float32")] = ("cuda_raw_sparse",)
SUMMED = {
    "float32": Tol(1e-5, 2e-6, why="a sum of up to some thousand rows, one after the other"),
    "float64": Tol(1e-13, 1e-14, why="the same in double precision"),
}


def check(op, rows, ids, padding):
    """ValueError unless ids are int64 and `padding` is one of the rows, or None."""
    if ids.dtype != np.int64:
        raise ValueError(f"{op}: ids are int64, not {ids.dtype}")
    if padding is not None and not 0 <= padding < rows:
        raise ValueError(f"{op}: padding is an id from 0 to {rows - 1}, not {padding}")


def infer_rows(dout, ids, *, rows, padding=None):
    if dout.shape[:-1] != ids.shape or not dout.shape:
        raise ValueError(
            f"embedding_rows_grad: no row of dout {dout.shape} for each id {ids.shape}"
        )
    check("embedding_rows_grad", rows, ids, padding)
    most = min(ids.size, rows)
    return {"index": ids.like(most), "values": dout.like(most, dout.shape[-1])}


def rows_grad(dout, ids, *, rows, padding=None):
    """Σ dout over the positions of each id, added in ascending order of position."""
    known = (ids >= 0) & (ids < rows) & (ids != (-1 if padding is None else padding))
    used, places = np.unique(ids[known], return_inverse=True)
    most = min(ids.size, rows)
    index, values = np.full(most, rows), np.zeros((most, dout.shape[-1]), dout.dtype)
    index[: used.size] = used
    np.add.at(values, places.reshape(-1), dout[known])
    return index, values


def infer_merge(index, values, other_index, other_values, *, rows):
    specs = (values, other_values)
    for each, of in zip((index, other_index), specs, strict=True):
        if each.dtype != np.int64 or len(of.shape) != 2 or each.shape != of.shape[:1]:
            raise ValueError(f"merge_rows: index {each.shape} is no index of {of.shape}")
    if values.shape[1:] != other_values.shape[1:]:
        raise ValueError(f"merge_rows: rows of {values.shape[1:]} and {other_values.shape[1:]}")
    most = min(sum(spec.shape[0] for spec in specs), rows)
    return {"index_out": index.like(most), "out": values.like(most, values.shape[1])}


def merge(index, values, other_index, other_values, *, rows):
    """The sum of two gradients of a table of so many rows."""
    both = np.concatenate((index, other_index))
    return rows_grad(np.concatenate((values, other_values)), both, rows=rows)


def of_gradient(v, d, shape, low=0, beyond=0):
    return {"dout": normal(*shape, d), "ids": integers(low, v + beyond, *shape), "rows": v}


def some_rows(rng, rows, most):
    """An index of `most` places, of which the last ones may be left over."""
    count = rng.integers(0, min(most, rows) + 1) if most > 1 else min(most, rows)
    index = np.full(most, rows)
    index[:count] = np.sort(rng.permutation(rows)[:count])
    return index


def two_gradients(v, d, first, second):
    """Operands of merge_rows: rows in order, zeros where no row is."""

    def make(rng, dtype):
        made = {}
        for prefix, most in (("", first), ("other_", second)):
            index = some_rows(rng, v, most)
            values = rng.standard_normal((most, d)).astype(dtype)
            values[index == v] = 0
            made |= {f"{prefix}index": index, f"{prefix}values": values}
        return made

    return case(f"V={v} D={d} C={first}, {second}", make=make, rows=v)


def traffic(dout, ids, **attrs):
    """Each row of dout is read, and a sum that it is part of written."""
    return ids.nbytes + 2 * dout.nbytes


EMBEDDING_ROWS_GRAD = Op(
    "embedding_rows_grad",
    infer_rows,
    rows_grad,
    tolerance=SUMMED,
    cases=[case(**of_gradient(*size), padding=None) for size in SIZES + [e for e in EMPTY if e[0]]]
    + [case(**of_gradient(5, 7, (3, 4)), padding=p) for p in (0, 4)]
    + [
        case("ids beyond both ends", **of_gradient(5, 3, (41,), -4, 4)),
        case("no rows", **of_gradient(0, 3, (5,), -4, 4)),
        case("the same id", **of_gradient(1, 5, (1009,))),
    ],
    bench=[case(**of_gradient(*size)) for size in BENCH],
    traffic=traffic,
    sized=lambda V=25_000, D=200, N=6400: case(**of_gradient(V, D, (N,))),
    prefer=PREFER,
)

MERGE_ROWS = Op(
    "merge_rows",
    infer_merge,
    merge,
    tolerance=SUMMED,
    cases=[two_gradients(*size) for size in MERGED],
    bench=[two_gradients(25_000, 200, 6400, 6400)],
    sized=lambda V=25_000, D=200, N=6400: two_gradients(V, D, N, N),
    prefer=PREFER,
    precision_of="values",
)
