"""Layer norm row by row: three short passes over a row in the first-level cache, sums in float64.

The moments are the corrected two-pass algorithm, as in batch norm.
"""

from math import prod

import numpy as np

from ..cpu import kernel
from ..spec import Spec


def workspace(op, x, *others, **attrs):
    """layernorm_grad: float64 accumulators of dgamma and dbeta, and gamma."""
    return Spec((3, x.shape[-1]), np.dtype(np.float64)) if op == "layernorm_grad" else None


@kernel
def _row_sum(x):
    total = 0.0
    for j in range(x.size):
        total += x[j]
    return total


@kernel
def _row_moments(x, mean):
    total, square = 0.0, 0.0
    for j in range(x.size):
        d = x[j] - mean
        total += d
        square += d * d
    return total, square


@kernel
def _layernorm_row(out, x, mean, rstd, gamma, beta):
    if gamma.size and beta.size:
        for j in range(x.size):
            out[j] = (x[j] - mean) * rstd * gamma[j] + beta[j]
    elif gamma.size:
        for j in range(x.size):
            out[j] = (x[j] - mean) * rstd * gamma[j]
    elif beta.size:
        for j in range(x.size):
            out[j] = (x[j] - mean) * rstd + beta[j]
    else:
        for j in range(x.size):
            out[j] = (x[j] - mean) * rstd


@kernel
def _layernorm(out, mean, rstd, x, gamma, beta, eps, rows, c):
    n = max(c, 1)
    for r in range(rows):
        row = x[r * c : r * c + c]
        centre = _row_sum(row) / n
        off, square = _row_moments(row, centre)
        off /= n
        spread = square / n
        if np.isfinite(spread):
            spread = max(spread - off * off, 0.0)
            centre += off
        scale = 1.0 / np.sqrt(spread + eps)
        _layernorm_row(out[r * c : r * c + c], row, centre, scale, gamma, beta)
        if mean.size:
            mean[r] = centre
        if rstd.size:
            rstd[r] = scale


def layernorm(out, mean, rstd, x, gamma, beta, *, eps=1e-5):
    flat, rows = x.reshape(-1), prod(x.shape[:-1])
    mean, rstd, gamma, beta = (
        flat[:0] if v is None else v.reshape(-1) for v in (mean, rstd, gamma, beta)
    )
    _layernorm(out.reshape(-1), mean, rstd, flat, gamma, beta, float(eps), rows, x.shape[-1])


@kernel
def _layernorm_products(dgamma, dbeta, factors, x, dout, mean, rstd):
    """Adds a row to dgamma and dbeta; Σ d and Σ d · (x - mean) with d = dout · gamma."""
    total, product = 0.0, 0.0
    for j in range(x.size):
        dy, centred = np.float64(dout[j]), x[j] - mean
        dgamma[j] += dy * centred * rstd
        dbeta[j] += dy
        d = dy * factors[j]
        total += d
        product += d * centred
    return total, product


@kernel
def _layernorm_grad_row(dx, x, dout, factors, mean, rstd, shift, of_x):
    for j in range(x.size):
        dx[j] = rstd * factors[j] * dout[j] + of_x * (x[j] - mean) + shift


@kernel
def _layernorm_grad(dx, dgamma, dbeta, x, gamma, mean, rstd, dout, rows, c, scratch):
    sums, products, factors = scratch[0], scratch[1], scratch[2]
    n = max(c, 1)
    for j in range(c):
        sums[j], products[j] = 0.0, 0.0
        factors[j] = gamma[j] if gamma.size else 1.0
    for r in range(rows):
        i = r * c
        row, drow = x[i : i + c], dout[i : i + c]
        m, s = np.float64(mean[r]), np.float64(rstd[r])
        total, product = _layernorm_products(products, sums, factors, row, drow, m, s)
        of_x, shift = -s * s * s * product / n, -s * total / n
        _layernorm_grad_row(dx[i : i + c], row, drow, factors, m, s, shift, of_x)
    for j in range(c):
        dgamma[j], dbeta[j] = products[j], sums[j]


def layernorm_grad(dx, dgamma, dbeta, x, gamma, mean, rstd, dout, *, scratch):
    gamma = dgamma[:0] if gamma is None else gamma
    _layernorm_grad(
        dx.reshape(-1), dgamma, dbeta, x.reshape(-1), gamma, mean.reshape(-1), rstd.reshape(-1),
        dout.reshape(-1), mean.size, x.shape[-1], scratch,
    )  # fmt: skip
