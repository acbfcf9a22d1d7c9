"""Rows of channels in vector loops, sums in float64; no temporary as large as x.

Few channels make short loops, so where the rows of a range are contiguous several of them are taken as one row of about 256 lanes, each lane
with an accumulator of its own, which are added at the end. Batch norm's moments are the corrected two-pass algorithm (Chan, Golub & LeVeque
1983): the second pass sums the differences from the mean of the first, so that a mean far from 0 costs no digits.
"""

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ..cpu import kernel
from ..spec import Spec

LANES = 256
ROWS_OF_SCRATCH = 6


def workspace(op, x, *others, **attrs):
    """Accumulators and per-lane factors in float64."""
    if op == "update_running":
        return None
    lanes = max(x.shape[-1] if x.shape else 1, LANES)
    return Spec((ROWS_OF_SCRATCH, lanes), np.dtype(np.float64))


def _flat(x):
    """x (…, C) as one contiguous axis, and the distance between its rows; a range of channels reaches over those between."""
    if x.flags.c_contiguous:
        return x.reshape(-1), x.shape[-1]
    stride = x.strides[-2] // x.itemsize
    rows = x.size // x.shape[-1]
    return as_strided(x, ((rows - 1) * stride + x.shape[-1],), x.strides[-1:]), stride


def _or_empty(vector, x):
    """The vector, or one of no elements in place of None: one compiled kernel serves both."""
    return x.reshape(-1)[:0] if vector is None else vector


def _rows(x):
    return x.size // x.shape[-1] if x.shape[-1] else 0


@kernel
def _rows_as_one(c, stride):
    """How many rows are taken as one."""
    return max(1, LANES // c) if stride == c else 1


@kernel
def _tile(factors, c, k):
    """Repeats the first c factors for each of k rows."""
    for i in range(c, k * c):
        factors[i] = factors[i - c]


@kernel
def _fold(sums, c, k):
    """Adds the lanes of k rows."""
    for i in range(c, k * c):
        sums[i % c] += sums[i]


@kernel
def _add_moments(sums, squares, x, mean):
    for j in range(x.size):
        d = x[j] - mean[j]
        sums[j] += d
        squares[j] += d * d


@kernel
def _moments(sums, squares, mean, x, rows, stride, c, k):
    """sums ← Σ (x - mean), squares ← Σ (x - mean)² per channel; mean is tiled."""
    w, step = k * c, k * stride
    sums[:w] = 0.0
    squares[:w] = 0.0
    whole = rows // k
    for r in range(whole):
        _add_moments(sums, squares, x[r * step : r * step + w], mean)
    for r in range(whole * k, rows):
        _add_moments(sums, squares, x[r * stride : r * stride + c], mean)
    _fold(sums, c, k)
    _fold(squares, c, k)


@kernel
def _apply_row(out, x, mean, scale, shift):
    for j in range(x.size):
        out[j] = (x[j] - mean[j]) * scale[j] + shift[j]


@kernel
def _apply(out, x, mean, scale, shift, rows, stride, out_stride, c, k):
    if out_stride != stride:
        k = 1
    w, whole = k * c, rows // k
    for r in range(whole):
        i, o = r * k * stride, r * k * out_stride
        _apply_row(out[o : o + w], x[i : i + w], mean, scale, shift)
    for r in range(whole * k, rows):
        i, o = r * stride, r * out_stride
        _apply_row(out[o : o + c], x[i : i + c], mean, scale, shift)


@kernel
def _batchnorm(out, mean, var, inv_std, x, gamma, beta, eps, rows, stride, out_stride, scratch):
    c = mean.size
    sums, squares, centre, scale, shift = scratch[0], scratch[1], scratch[2], scratch[3], scratch[4]
    k = _rows_as_one(c, stride)
    n = max(rows, 1)
    centre[: k * c] = 0.0
    _moments(sums, squares, centre, x, rows, stride, c, k)
    for j in range(c):
        centre[j] = sums[j] / n
    _tile(centre, c, k)
    _moments(sums, squares, centre, x, rows, stride, c, k)
    for j in range(c):
        off = sums[j] / n  # what the first mean lacks by rounding
        spread = max(squares[j] / n - off * off, 0.0) if np.isfinite(squares[j]) else squares[j]
        if np.isfinite(off):
            centre[j] += off
        scale[j] = 1.0 / np.sqrt(spread + eps)
        mean[j], var[j] = centre[j], spread
        if inv_std.size:
            inv_std[j] = scale[j]
        if gamma.size:
            scale[j] *= gamma[j]
        shift[j] = beta[j] if beta.size else 0.0
    _tile(centre, c, k)
    _tile(scale, c, k)
    _tile(shift, c, k)
    _apply(out, x, centre, scale, shift, rows, stride, out_stride, c, k)


def batchnorm(out, mean, var, inv_std, x, gamma, beta, *, eps=1e-5, scratch):
    (flat, stride), (to, out_stride) = _flat(x), _flat(out)
    empty = flat[:0]
    _batchnorm(
        to, mean, var, empty if inv_std is None else inv_std, flat,
        empty if gamma is None else gamma, empty if beta is None else beta,
        float(eps), _rows(x), stride, out_stride, scratch,
    )  # fmt: skip


@kernel
def _add_products(sums, products, x, dout, mean):
    for j in range(x.size):
        d = np.float64(dout[j])
        sums[j] += d
        products[j] += d * (x[j] - mean[j])


@kernel
def _grad_row(dx, x, dout, mean, of_dout, of_x, shift):
    for j in range(x.size):
        dx[j] = of_dout[j] * dout[j] + of_x[j] * (x[j] - mean[j]) + shift[j]


@kernel
def _products(sums, products, x, dout, mean, rows, stride, c, k):
    """sums ← Σ dout, products ← Σ dout · (x - mean) per channel; mean is tiled."""
    w, step, whole = k * c, k * stride, rows // k
    sums[:w] = 0.0
    products[:w] = 0.0
    for r in range(whole):
        i = r * step
        _add_products(sums, products, x[i : i + w], dout[i : i + w], mean)
    for r in range(whole * k, rows):
        i = r * stride
        _add_products(sums, products, x[i : i + c], dout[i : i + c], mean)
    _fold(sums, c, k)
    _fold(products, c, k)


@kernel
def _grad_rows(dx, x, dout, mean, of_dout, of_x, shift, rows, stride, c, k):
    w, step, whole = k * c, k * stride, rows // k
    for r in range(whole):
        i = r * step
        _grad_row(dx[i : i + w], x[i : i + w], dout[i : i + w], mean, of_dout, of_x, shift)
    for r in range(whole * k, rows):
        i = r * stride
        _grad_row(dx[i : i + c], x[i : i + c], dout[i : i + c], mean, of_dout, of_x, shift)


@kernel
def _batchnorm_grad(
    dx, dgamma, dbeta, x, gamma, mean, var, dout, dmean, dvar, eps, constant, rows, stride, scratch
):  # fmt: skip
    """dx = a·dout + b·(x - mean) + s per channel; `constant` statistics (inference) leave b = s = 0."""
    c = mean.size
    sums, products, centre = scratch[0], scratch[1], scratch[2]
    of_dout, of_x, shift = scratch[3], scratch[4], scratch[5]
    k = _rows_as_one(c, stride)
    n = max(rows, 1)
    for j in range(c):
        centre[j] = mean[j]
    _tile(centre, c, k)
    _products(sums, products, x, dout, centre, rows, stride, c, k)
    for j in range(c):
        inv_std = 1.0 / np.sqrt(np.float64(var[j]) + eps)
        scale = inv_std * gamma[j] if gamma.size else inv_std
        dgamma[j], dbeta[j] = products[j] * inv_std, sums[j]
        of_dout[j] = scale
        of_x[j] = 0.0 if constant else -scale * inv_std * inv_std * products[j] / n
        shift[j] = 0.0 if constant else -scale * sums[j] / n
        if dvar.size:
            of_x[j] += 2.0 * dvar[j] / n
        if dmean.size:
            shift[j] += dmean[j] / n
    _tile(of_dout, c, k)
    _tile(of_x, c, k)
    _tile(shift, c, k)
    _grad_rows(dx, x, dout, centre, of_dout, of_x, shift, rows, stride, c, k)
