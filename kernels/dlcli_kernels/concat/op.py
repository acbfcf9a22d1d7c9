"""Two arrays side by side along the last axis, and a range of that axis as an array of its own:
each is made of the other's gradients. The two directions of a recurrent layer are one output so.
"""

import numpy as np

from ..spec import Op, Tol, case, normal

SIZES = [((1,), 1, 1), ((3,), 2, 5), ((2, 3), 4, 1), ((5, 2, 3), 7, 6), ((131,), 3, 4)]
EMPTY = [((0,), 2, 3), ((4,), 0, 3), ((2, 0), 3, 1), ((), 2, 3)]
BENCH = [((32, 200), 128, 128), ((32,), 128, 128)]
COPIED = {p: Tol(0.0, 0.0, why="elements are copied") for p in ("float32", "float64")}
PREFER = {("cpu", p): ("cpu_numba",) for p in ("float32", "float64")}
PREFER |= {("cuda", "float32"): ("cuda_raw_rows",)}


def cut(x, *others, **attrs):
    """Along the first axis; of a single row nothing is cut."""
    return dict.fromkeys(("x", "y", "out"), 0) if len(x.shape) > 1 else None


def infer_concat(x, y):
    if not x.shape or x.shape[:-1] != y.shape[:-1]:
        raise ValueError(f"concat: {x.shape} and {y.shape} differ before their last axis")
    return {"out": x.like(*x.shape[:-1], x.shape[-1] + y.shape[-1])}


def concat(x, y):
    return np.concatenate((x, y), axis=-1)


def concat_gradient(call, ins, outs, douts, needed):
    """Each operand's part of the gradient."""
    split, size = ins.x.shape[-1], outs.out.shape[-1]
    ranges = {"x": (0, split), "y": (split, size)}
    return {
        name: call("columns", douts.out, start=start, stop=stop)
        for name, (start, stop) in ranges.items()
        if name in needed
    }


def infer_columns(x, *, start, stop):
    if not x.shape or not 0 <= start <= stop <= x.shape[-1]:
        raise ValueError(f"columns: {start} to {stop} is no range of the last axis of {x.shape}")
    return {"out": x.like(*x.shape[:-1], stop - start)}


def columns(x, *, start, stop):
    return x[..., start:stop].copy()


def columns_gradient(call, ins, outs, douts, needed, *, start, stop):
    """Zeros in what was left out."""
    return {"x": call("columns_grad", douts.out, start=start, size=ins.x.shape[-1])}


def infer_columns_grad(x, *, start, size):
    if not x.shape or not 0 <= start <= size - x.shape[-1]:
        raise ValueError(f"columns_grad: {x.shape} from {start} on does not fit {size} columns")
    return {"out": x.like(*x.shape[:-1], size)}


def columns_grad(x, *, start, size):
    out = np.zeros((*x.shape[:-1], size), x.dtype)
    out[..., start : start + x.shape[-1]] = x
    return out


def columns_grad_gradient(call, ins, outs, douts, needed, *, start, size):
    return {"x": call("columns", douts.out, start=start, stop=start + ins.x.shape[-1])}


def pair(rows, a, b, layout="C"):
    return {"x": normal(*rows, a, layout=layout), "y": normal(*rows, b, layout=layout)}


LAYOUTS = ("F", "strided", "reversed")
CONCAT = Op(
    "concat",
    infer_concat,
    concat,
    concat_gradient,
    cut=cut,
    tolerance=COPIED,
    cases=[case(**pair(*s)) for s in SIZES + EMPTY]
    + [case(**pair((4,), 3, 5, layout)) for layout in LAYOUTS],
    bench=[case(**pair(*s)) for s in BENCH],
    sized=lambda N=6400, A=128, B=128: case(**pair((N,), A, B)),
    prefer=PREFER,
)
COLUMNS = Op(
    "columns",
    infer_columns,
    columns,
    columns_gradient,
    cut=cut,
    tolerance=COPIED,
    cases=[case(x=normal(*r, a + b), start=a, stop=a + b) for r, a, b in SIZES + EMPTY]
    + [case(x=normal(5, 7), start=i, stop=j) for i, j in ((0, 7), (0, 3), (2, 6), (4, 4))]
    + [case(x=normal(4, 6, layout=layout), start=1, stop=4) for layout in LAYOUTS],
    bench=[case(x=normal(*r, a + b), start=0, stop=a) for r, a, b in BENCH],
    traffic=lambda x, *, start, stop: (
        2 * (stop - start) * (x.nbytes // max(x.shape[-1], 1))  # the others are not read
    ),
    sized=lambda N=6400, A=128, B=128: case(x=normal(N, A + B), start=0, stop=A),
    prefer=PREFER,
)
COLUMNS_GRAD = Op(
    "columns_grad",
    infer_columns_grad,
    columns_grad,
    columns_grad_gradient,
    cut=cut,
    tolerance=COPIED,
    cases=[case(x=normal(*r, b), start=a, size=a + b + 2) for r, a, b in SIZES + EMPTY]
    + [case(x=normal(5, 3), start=i, size=i + 3) for i in (0, 2)],
    bench=[case(x=normal(*r, a), start=0, size=a + b) for r, a, b in BENCH],
    sized=lambda N=6400, A=128, B=128: case(x=normal(N, A), start=0, size=A + B),
    prefer=PREFER,
)
