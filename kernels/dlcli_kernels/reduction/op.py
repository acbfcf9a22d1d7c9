"""Reductions over any axes: sum, mean and maximum, and `broadcast`, which is the transpose of sum.

sum:  out = Σ x over `axes`;   mean: the same divided by the number of elements;   max: the largest,
NaN if there is a NaN. `axes` is a tuple of different, non-negative axes; with `keepdims` they stay,
with extent 1. A float32 sum is accumulated in double precision.
"""

import math

import numpy as np

from ..spec import Op, Tol, case, normal, uniform

PRECISIONS = ("float32", "float64")
SUMS = {
    "float32": Tol(1e-6, 1e-6, why="summed in double precision; a few partial sums are rounded"),
    "float64": Tol(1e-13, 1e-13, why="partial sums of up to some thousand elements, √n · 1e-16"),
}
EXACT = {p: Tol(0.0, 0.0, why="elements are chosen or copied, never computed") for p in PRECISIONS}


def reduced_shape(shape, axes, keepdims):
    """The shape after reducing `axes`; ValueError if they are not different axes of `shape`."""
    if len(set(axes)) != len(axes) or not all(0 <= a < len(shape) for a in axes):
        raise ValueError(f"axes {axes} are not different axes of an array of shape {shape}")
    if keepdims:
        return tuple(1 if i in axes else n for i, n in enumerate(shape))
    return tuple(n for i, n in enumerate(shape) if i not in axes)


def count(shape, axes):
    """How many elements of x each element of the result stands for."""
    return math.prod(shape[a] for a in axes)


def expand(small, axes, ndim):
    """A reduced array with its reduced axes put back, extent 1: what broadcasts against x."""
    return small if small.ndim == ndim else np.expand_dims(small, tuple(axes))


def infer_reduction(x, *, axes, keepdims=False):
    return {"out": x.like(*reduced_shape(x.shape, axes, keepdims))}


# --- sum and broadcast ----------------------------------------------------------------------------


def sum_reference(x, *, axes, keepdims=False):
    total = np.sum(x, axis=tuple(axes), keepdims=keepdims, dtype=np.float64)
    return np.asarray(total).astype(x.dtype)


def sum_gradient(call, ins, outs, douts, needed, *, axes, keepdims=False):
    return {"x": call("broadcast", douts.out, shape=tuple(ins.x.shape), axes=axes)}


def sum_cut(x, *, axes, keepdims=False):
    """Along the first axis if it is summed: the ranges give partial sums.

    A first axis that stays, and a sum down to a single number, are one piece of work.
    """
    whole = len(axes) == len(x.shape) and not keepdims
    return {"x": 0} if 0 in axes and not whole else None


SHAPES_AND_AXES = [
    ((7,), (0,)),
    ((31, 37), (0,)),
    ((31, 37), (1,)),
    ((13, 5, 6, 3), (0, 1, 2)),
    ((13, 5, 6, 3), (1, 2)),
    ((13, 5, 6, 3), (0, 2)),
    ((13, 5, 6, 3), (3, 1)),
    ((2, 3, 4), (0, 1, 2)),
    ((2, 3, 4), ()),
    ((1, 1), (1,)),
    ((), ()),
]
MANY_BLOCKS = [  # more than one block makes, along and across the rows, whole vectors and not
    ((1031, 8), (0,)),
    ((2, 8200), (1,)),
    ((4, 1100), (0,)),
    ((300, 3), (1,)),
    ((20, 130), (1,)),
    ((131, 131), (0,)),
    ((3, 5, 2, 8), (1, 3)),
    ((3, 5, 4, 12), (0, 2)),
]
EMPTY = [((0, 4), (0,)), ((0, 4), (1,)), ((3, 0, 2), (1,)), ((3, 0, 2), (0, 2))]
BIAS_GRADIENTS = [(128, 26, 26, 32), (128, 11, 11, 64), (128, 3, 3, 64), (128, 64)]
ON_CUDA = {("cuda", "float32"): ("cuda_raw_strided",)}
PREFER = {**{("cpu", p): ("cpu_numba",) for p in PRECISIONS}, **ON_CUDA}
OF_MAX = {**{("cpu", p): ("cpu_numba_max",) for p in PRECISIONS}, **ON_CUDA}


def reduction_cases():
    return (
        [case(x=normal(*s), axes=a, keepdims=k) for s, a in SHAPES_AND_AXES for k in (False, True)]
        + [case(x=normal(*s), axes=a, keepdims=False) for s, a in MANY_BLOCKS]
        + [case("offset", x=uniform(9.0, 10.0, 611, 5), axes=(0,), keepdims=False)]
        + [case("long rows", x=normal(3, 4099), axes=(1,), keepdims=False)]
        + [
            case(x=normal(9, 6, 8, layout=layout), axes=a, keepdims=False)
            for layout in ("F", "strided", "reversed")
            for a in ((0, 1), (1,))
        ]
    )


SUM = Op(
    "sum",
    infer_reduction,
    sum_reference,
    sum_gradient,
    cut=sum_cut,
    partial=("out",),
    tolerance=SUMS,
    cases=reduction_cases() + [case(x=normal(*s), axes=a, keepdims=False) for s, a in EMPTY],
    bench=[
        case("bias gradient", x=normal(*s), axes=tuple(range(len(s) - 1)), keepdims=False)
        for s in BIAS_GRADIENTS
    ]
    + [case("all", x=normal(128, 26, 26, 32), axes=(0, 1, 2, 3), keepdims=False)],
    sized=lambda N=1 << 20: case(x=normal(N), axes=(0,), keepdims=False),
    prefer=PREFER,
)


def infer_broadcast(x, *, shape, axes):
    kept, ones = reduced_shape(shape, axes, False), reduced_shape(shape, axes, True)
    if x.shape not in (kept, ones):
        raise ValueError(f"broadcast over axes {axes} to {shape} needs {kept} or {ones}: {x.shape}")
    return {"out": x.like(*shape)}


def broadcast_reference(x, *, shape, axes):
    """The first extent is that of x where axis 0 is not expanded: x may be a range of rows."""
    wide = expand(x, axes, len(shape))
    return np.broadcast_to(
        wide, tuple(shape[i] if i in axes else n for i, n in enumerate(wide.shape))
    )


def broadcast_gradient(call, ins, outs, douts, needed, *, shape, axes):
    keepdims = len(ins.x.shape) == len(shape)
    return {"x": call("sum", douts.out, axes=axes, keepdims=keepdims)}


def broadcast_cut(x, *, shape, axes):
    return {"x": 0, "out": 0} if shape and 0 not in axes else None


BROADCAST = Op(
    "broadcast",
    infer_broadcast,
    broadcast_reference,
    broadcast_gradient,
    cut=broadcast_cut,
    tolerance=EXACT,
    cases=[
        case(x=normal(*reduced_shape(s, a, k)), shape=s, axes=a)
        for s, a in SHAPES_AND_AXES + MANY_BLOCKS + EMPTY
        for k in (False, True)
    ]
    + [case(x=normal(5, 4, layout="F"), shape=(5, 3, 4), axes=(1,))],
    bench=[
        case("a scalar", x=normal(), shape=(128, 10), axes=(0, 1)),
        case("per channel", x=normal(128, 32), shape=(128, 26, 26, 32), axes=(1, 2)),
    ],
    prefer=PREFER,
)


# --- mean -----------------------------------------------------------------------------------------


def mean_reference(x, *, axes, keepdims=False):
    n = count(x.shape, axes)
    total = np.sum(x, axis=tuple(axes), keepdims=keepdims, dtype=np.float64)
    return np.asarray(total / n if n else total * np.nan).astype(x.dtype)


def mean_gradient(call, ins, outs, douts, needed, *, axes, keepdims=False):
    share = 1.0 / max(count(ins.x.shape, axes), 1)
    spread = call("scale", douts.out, by=share)
    return {"x": call("broadcast", spread, shape=tuple(ins.x.shape), axes=axes)}


def mean_decompose(call, x, *, axes, keepdims=False):
    n = count(x.shape, axes)
    return call("scale", call("sum", x, axes=axes, keepdims=keepdims), by=1.0 / n if n else np.nan)


def cut_kept_rows(x, *specs, axes, keepdims=False):
    """Along the first axis where it is not reduced."""
    return {"x": 0, "dout": 0, "largest": 0, "out": 0} if x.shape and 0 not in axes else None


MEAN = Op(
    "mean",
    infer_reduction,
    mean_reference,
    mean_gradient,
    mean_decompose,
    cut=cut_kept_rows,
    tolerance=SUMS,
    cases=reduction_cases() + [case(x=normal(*s), axes=a, keepdims=False) for s, a in EMPTY],
    bench=[
        case("of the losses", x=normal(128), axes=(0,), keepdims=False),
        case("per image", x=normal(128, 8, 8, 64), axes=(1, 2), keepdims=False),
    ],
    prefer=PREFER,
)


# --- max ------------------------------------------------------------------------------------------


def infer_max(x, *, axes, keepdims=False):
    if x.size == 0 and count(x.shape, axes) == 0:
        raise ValueError(f"max: nothing to choose from, shape {x.shape} over axes {axes}")
    return infer_reduction(x, axes=axes, keepdims=keepdims)


def max_reference(x, *, axes, keepdims=False):
    return np.asarray(np.max(x, axis=tuple(axes), keepdims=keepdims))


def max_gradient(call, ins, outs, douts, needed, *, axes, keepdims=False):
    dx = call("max_grad", ins.x, outs.out, douts.out, axes=axes, keepdims=keepdims)
    return {"x": dx}


MAX = Op(
    "max",
    infer_max,
    max_reference,
    max_gradient,
    cut=cut_kept_rows,
    tolerance=EXACT,
    cases=[*reduction_cases(), case(x=normal(0, 4), axes=(1,), keepdims=False)],
    bench=[case("global max-pool", x=normal(128, 8, 8, 64), axes=(1, 2), keepdims=False)],
    prefer=OF_MAX,
)


def infer_max_grad(x, largest, dout, *, axes, keepdims=False):
    shape = reduced_shape(x.shape, axes, keepdims)
    if largest.shape != shape or dout.shape != shape:
        raise ValueError(f"max_grad: {shape} is needed, not {largest.shape} and {dout.shape}")
    return {"out": x}


def max_grad_reference(x, largest, dout, *, axes, keepdims=False):
    """Equal largest elements share the gradient equally; a NaN maximum makes it NaN (as amax)."""
    chosen = x == expand(largest, axes, x.ndim)
    ties = np.sum(chosen, axis=tuple(axes), keepdims=True).astype(x.dtype)
    with np.errstate(invalid="ignore", divide="ignore"):
        return chosen * expand(dout, axes, x.ndim) / ties


def max_and_cotangent(shape, axes, keepdims):
    """Operands of max_grad that belong together."""

    def make(rng, dtype):
        x = rng.standard_normal(shape).astype(dtype)
        largest = max_reference(x, axes=axes, keepdims=keepdims)
        return {
            "x": x,
            "largest": largest,
            "dout": rng.standard_normal(largest.shape).astype(dtype),
        }

    return make


def tied(rng, dtype):
    x = rng.integers(0, 3, (11, 7)).astype(dtype)
    return {"x": x, "largest": x.max(axis=1), "dout": rng.standard_normal(11).astype(dtype)}


MAX_GRAD = Op(
    "max_grad",
    infer_max_grad,
    max_grad_reference,
    cut=cut_kept_rows,
    tolerance={
        "float32": Tol(1e-6, 0.0, why="one division"),
        "float64": Tol(1e-15, 0.0, why="one division"),
    },
    cases=[
        case(str(s), axes=a, keepdims=k, make=max_and_cotangent(s, a, k))
        for s, a in SHAPES_AND_AXES + MANY_BLOCKS
        for k in (False, True)
    ]
    + [case("ties", axes=(1,), keepdims=False, make=tied)],
    bench=[
        case(
            "global max-pool",
            axes=(1, 2),
            keepdims=False,
            make=max_and_cotangent((128, 8, 8, 64), (1, 2), False),
        )
    ],
    prefer=OF_MAX,
)
