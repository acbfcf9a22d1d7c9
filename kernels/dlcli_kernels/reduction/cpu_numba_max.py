"""The largest of contiguous blocks, and its gradient: x (A, R, B) → out (A, B), see `cpu_numba.py`.

The inner loop runs over B.
"""

import numpy as np

from ..cpu import kernel
from ..spec import Spec
from .cpu_numba import U, blocks


def supports(op, x, *others, axes, keepdims=False):
    """Neighbouring axes, none of them empty, before others: along the last one NumPy is as fast."""
    found = blocks(x.shape, axes)
    return found is not None and found[1] > 0 and found[2] > 1


def workspace(op, x, *others, axes, keepdims=False):
    """For the gradient: how many of each block are the largest, then the share of each of them."""
    return Spec(blocks(x.shape, axes)[2:], x.dtype) if op == "max_grad" else None


@kernel
def larger(v, best):
    """A NaN is never passed over: it is not even itself."""
    return v if (v > best) | (v != v) else best


@kernel
def largest_of(out, x, blocks, rows, width):
    """out (A·B,) of the flat x, four rows at a time."""
    w, to, at = U(width), U(0), U(0)
    for _ in range(blocks):
        for c in range(w):
            out[to + c] = x[at + c]
        at += w
        for _ in range((rows - 1) // 4):
            for c in range(w):
                best = larger(x[at + c], out[to + c])
                best = larger(x[at + w + c], best)
                best = larger(x[at + U(2) * w + c], best)
                out[to + c] = larger(x[at + U(3) * w + c], best)
            at += U(4) * w
        for _ in range((rows - 1) % 4):
            for c in range(w):
                out[to + c] = larger(x[at + c], out[to + c])
            at += w
        to += w


@kernel(fastmath=False)  # no reciprocals
def divide(dx, x, largest, dout, share, blocks, rows):
    """dx, flat as x is: dout where x is the largest, in equal parts where several are; NaN where
    none is, because the largest is NaN. share (B,) is scratch.
    """
    zero, one, nan = dx.dtype.type(0), dx.dtype.type(1), dx.dtype.type(np.nan)
    w, of, begin = U(share.size), U(0), U(0)
    for _ in range(blocks):
        at = begin
        for c in range(w):
            share[c] = zero
        for _ in range(rows):
            for c in range(w):
                share[c] += one if x[at + c] == largest[of + c] else zero
            at += w
        for c in range(w):
            share[c] = dout[of + c] / share[c] if share[c] > zero else nan
        for _ in range(rows):
            for c in range(w):
                best = largest[of + c]
                chosen = (x[begin + c] == best) | (best != best)
                dx[begin + c] = share[c] if chosen else zero
            begin += w
        of += w


def max(out, x, *, axes, keepdims=False):
    largest_of(out.reshape(-1), x.reshape(-1), *blocks(x.shape, axes))


def max_grad(out, x, largest, dout, *, axes, keepdims=False, scratch):
    a, r, _ = blocks(x.shape, axes)
    divide(*[v.reshape(-1) for v in (out, x, largest, dout)], scratch, a, r)
