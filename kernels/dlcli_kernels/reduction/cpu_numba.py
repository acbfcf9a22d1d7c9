"""Sums of contiguous blocks: groups of rows in the array's own precision, the groups in double.

Any reduction of neighbouring axes is x (A, R, B) → out (A, B). Where B > 1 the inner loop runs over
B, contiguous, four rows at a time; where B = 1 it runs along R. Both vectorise.
"""

import math

import numpy as np

from ..cpu import kernel
from ..spec import Spec

GROUP = 32  # rows, or 8-fold elements, that are added before they go to the double-precision total


@kernel
def _set(to, a):
    for i in range(to.size):
        to[i] = a[i]


@kernel
def _add(to, a):
    for i in range(to.size):
        to[i] += a[i]


@kernel
def _add4(to, a, b, c, d):
    for i in range(to.size):
        to[i] += (a[i] + b[i]) + (c[i] + d[i])


@kernel
def _set_scaled(to, a, by):
    for i in range(to.size):
        to[i] = a[i] * by


@kernel
def _dot_ones(a):
    total = a.dtype.type(0)
    for i in range(a.size):
        total += a[i]
    return total


@kernel
def sum_middle(out, x, group, total, by):
    """out (A, B) = by · Σᵣ x (A, R, B). `group` (B,) of x's type and `total` (B,) of float64 are scratch."""
    count, rows, width = x.shape
    for n in range(count):
        total[:] = 0.0
        if width == 1:
            line = x[n].reshape(-1)
            for lo in range(0, rows, 8 * GROUP):
                total[0] += _dot_ones(line[lo : min(lo + 8 * GROUP, rows)])
        else:
            for lo in range(0, rows, GROUP):
                hi = min(lo + GROUP, rows)
                group[:] = 0
                r = lo
                while r + 4 <= hi:
                    _add4(group, x[n, r], x[n, r + 1], x[n, r + 2], x[n, r + 3])
                    r += 4
                while r < hi:
                    _add(group, x[n, r])
                    r += 1
                _add(total, group)
        _set_scaled(out[n], total, by)


def blocks(shape, axes):
    """(A, R, B) of a reduction of neighbouring axes; None if the axes are not neighbours."""
    axes = sorted(axes)
    first, last = (axes[0], axes[-1] + 1) if axes else (len(shape), len(shape))
    if last - first != len(axes):
        return None
    return math.prod(shape[:first]), math.prod(shape[first:last]), math.prod(shape[last:])


def supports(op, x, *, axes, keepdims=False):
    return blocks(x.shape, axes) is not None


def workspace(op, x, *, axes, keepdims=False):
    """Two lines of B elements: the group (the first half serves both precisions) and the total."""
    return Spec((2, blocks(x.shape, axes)[2]), np.dtype(np.float64))


def run_sum(out, x, axes, by, scratch):
    shape = blocks(x.shape, axes)
    group = scratch[0].view(x.dtype)[: shape[2]]
    sum_middle(out.reshape(shape[0], shape[2]), x.reshape(shape), group, scratch[1], by)


def sum(out, x, *, axes, keepdims=False, scratch):
    run_sum(out, x, axes, 1.0, scratch)


def mean(out, x, *, axes, keepdims=False, scratch):
    n = math.prod(x.shape[a] for a in axes)
    run_sum(out, x, axes, 1.0 / n if n else math.nan, scratch)
