"""Average pooling: a pass over a row of outputs for each position in the window, vectorised over
channels.

The row stays in the L1 cache; helpers take flat rows and unsigned indices, as in `cpu_numba.py`.
(128, 26, 26, 32) float32, window 2, on one core: 0.5 ms; its gradient: 0.6 ms.
"""

import numpy as np

from ..cpu import kernel
from ..reduction.cpu_numba import sum_middle
from ..spec import Spec
from .cpu_numba import end_inside, first_inside

U = np.uint64


@kernel
def inside(q, stride, before, reach, extent):
    """How many of a window's `reach` rows or columns lie in the image."""
    lo = q * stride - before
    return min(lo + reach, extent) - max(lo, 0)


@kernel
def add_position(out, x, lo, hi, jump, start, width):
    """Windows lo … hi-1 add their element at one position; that of window lo starts at x[start]."""
    for q in range(lo, hi):
        i = q * width
        j = start + (q - lo) * jump
        for c in range(width):
            out[i + c] += x[j + c]


@kernel
def spread_position(dx, dout, factor, lo, hi, jump, start, width):
    """The gradient of `add_position`, with a factor for each window."""
    for q in range(lo, hi):
        i = q * width
        j = start + (q - lo) * jump
        f = factor[q]
        for c in range(width):
            dx[j + c] += f * dout[i + c]


@kernel
def scale_windows(out, factor, width):
    for q in range(U(factor.size)):
        i = q * width
        f = factor[q]
        for c in range(width):
            out[i + c] *= f


@kernel
def window_factors(factor, p, rows, columns, window, stride, before, include):
    """factor[q] = 1 / the number of elements of window (p, q), the padding only if it counts."""
    for q in range(factor.size):
        if include:
            n = window[0] * window[1]
        else:
            n = inside(p, stride[0], before[0], window[0], rows) * inside(
                q, stride[1], before[1], window[1], columns
            )
        factor[q] = 1.0 / n


@kernel
def average_windows(out, x, factor, window, stride, before, include):
    images, rows, columns, width = out.shape
    for n in range(images):
        for p in range(rows):
            o = out[n, p].reshape(-1)
            o[:] = 0
            first_row = p * stride[0] - before[0]
            for r in range(max(0, -first_row), min(window[0], x.shape[1] - first_row)):
                row = x[n, first_row + r].reshape(-1)
                for s in range(window[1]):
                    lo = first_inside(s - before[1], stride[1])
                    hi = end_inside(s - before[1], stride[1], x.shape[2], columns)
                    start = U((lo * stride[1] + s - before[1]) * width)
                    add_position(o, row, U(lo), U(hi), U(stride[1] * width), start, U(width))
            window_factors(factor, p, x.shape[1], x.shape[2], window, stride, before, include)
            scale_windows(o, factor, U(width))


@kernel
def average_windows_grad(dx, dout, factor, window, stride, before, include):
    images, rows, columns, width = dout.shape
    for n in range(images):
        dx[n] = 0
        for p in range(rows):
            d = dout[n, p].reshape(-1)
            window_factors(factor, p, dx.shape[1], dx.shape[2], window, stride, before, include)
            first_row = p * stride[0] - before[0]
            for r in range(max(0, -first_row), min(window[0], dx.shape[1] - first_row)):
                row = dx[n, first_row + r].reshape(-1)
                for s in range(window[1]):
                    lo = first_inside(s - before[1], stride[1])
                    hi = end_inside(s - before[1], stride[1], dx.shape[2], columns)
                    start = U((lo * stride[1] + s - before[1]) * width)
                    jump = U(stride[1] * width)
                    spread_position(row, d, factor, U(lo), U(hi), jump, start, U(width))


def avgpool2d(out, x, *, window, stride, padding, count_include_pad, scratch):
    before = (padding[0][0], padding[1][0])
    average_windows(out, x, scratch, window, stride, before, count_include_pad)


def avgpool2d_grad(out, dout, *, x_shape, window, stride, padding, count_include_pad, scratch):
    before = (padding[0][0], padding[1][0])
    average_windows_grad(out, dout, scratch, window, stride, before, count_include_pad)


def global_avgpool(out, x, *, scratch):
    n, h, w, c = x.shape
    sum_middle(out, x.reshape(n, h * w, c), scratch, 1.0 / (h * w) if h * w else np.nan)


def workspace(op, first, *others, **attrs):
    """A factor per window of a row for averages; the sums of the global average."""
    if op == "avgpool2d":
        columns = first.shape[2] + sum(attrs["padding"][1]) - attrs["window"][1]
        return first.like(columns // attrs["stride"][1] + 1)
    if op == "avgpool2d_grad":
        return first.like(first.shape[2])
    if op == "global_avgpool":
        return Spec(first.shape[3:], np.dtype(np.float64))
    return None
