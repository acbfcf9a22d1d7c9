"""Reductions over any axes: teams of threads along the reduced axes where the last of them is
reduced, across them where it stays, in 128-bit accesses; few outputs in two stages.

Bound by memory: each element is read once. max_grad reads x twice, for it counts the elements that
equal the maximum first. Chosen by that count; not measured.
"""

import math

import numpy as np

from ..raw import Source, target
from ..spec import Spec
from .op import count
from .raw_axes import BLOCKS, MOST_AXES, MOST_ELEMENTS, THREADS, collapsed, plan, struct

SOURCE = Source(__name__, "cuda_raw_strided.cu")


def supports(op, x, *others, axes, shape=None, keepdims=False):
    shape = shape or x.shape
    countable = math.prod(shape) <= MOST_ELEMENTS
    return x.dtype == "float32" and countable and len(collapsed(shape, axes)) <= MOST_AXES


def planned(x, axes):
    return plan(tuple(x.shape), tuple(axes), target().multiprocessors)


def workspace(op, x, *others, axes, keepdims=False, shape=None):
    """The slices' shares of each output; max_grad: before them as many counts of ties."""
    if op == "broadcast":
        return None
    p = planned(x, axes)
    shares = p.outputs * p.slices if p.slices > 1 else 0
    if op == "max_grad":
        shares += p.outputs
    dtype = np.dtype(np.float32 if op == "max" else np.float64)
    return Spec((shares,), dtype) if shares else None


def reduce(name, out, partial, x, *largest, axes, by=1.0):
    """out = by · the reduction `name` of x over `axes`; partial: where slices put their shares."""
    p = planned(x, axes)
    how = "rows" if p.along else "columns"
    block, more = (THREADS, (p.block[0],)) if p.along else (p.block, ())
    scale = np.float64(by)
    SOURCE.kernel(f"{name}_{how}", VEC=p.vector)(
        (p.blocks, p.slices), block, out, partial, x, *largest,
        p.kept, p.reduced, p.outputs, p.count, p.each, scale, *more,
    )  # fmt: skip
    if p.slices > 1:
        kernel = SOURCE.kernel("max_finish" if name == "max" else "sum_finish", VEC=p.vector)
        kernel(-(-p.outputs * 32 // THREADS), THREADS, out, partial, p.outputs, p.slices, scale)


def sum(out, x, *, axes, keepdims=False, scratch=None):
    reduce("sum", out, scratch, x, axes=axes)


def mean(out, x, *, axes, keepdims=False, scratch=None):
    n = count(x.shape, axes)
    reduce("sum", out, scratch, x, axes=axes, by=1.0 / n if n else math.nan)


def max(out, x, *, axes, keepdims=False, scratch=None):
    reduce("max", out, scratch, x, axes=axes)


def spread(kernel, out, *ins, axes):
    """Launches a kernel that gives each element of `out` what belongs to its place on the axes
    that are not in `axes`."""
    found = collapsed(tuple(out.shape), tuple(axes))
    vector = 4 if found and found[0].extent % 4 == 0 else 1
    units = out.size // vector
    blocks = min(-(-units // THREADS), BLOCKS * target().multiprocessors)
    places = struct(tuple(a.extent for a in found), tuple(a.result for a in found))
    SOURCE.kernel(kernel, VEC=vector)(blocks, THREADS, out, *ins, places, units)


def broadcast(out, x, *, shape, axes):
    spread("broadcast", out, x, axes=axes)


def max_grad(out, x, largest, dout, *, axes, keepdims=False, scratch=None):
    if not out.size:
        return
    ties = scratch[: largest.size].view(np.float32)[: largest.size]
    partial = scratch[largest.size :]
    reduce("ties", ties, partial if partial.size else None, x, largest, axes=axes)
    spread("max_grad", out, x, largest, dout, ties, axes=axes)
