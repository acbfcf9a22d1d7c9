"""Instance norm as batch norm of each image by itself: the loops of `cpu_numba`, image by image.

An image is read while it is in the cache. dgamma and dbeta are summed over images in float64.
"""

from math import prod

import numpy as np

from ..cpu import kernel
from ..spec import Spec
from .cpu_numba import LANES, ROWS_OF_SCRATCH, _batchnorm, _batchnorm_grad

MORE_ROWS = 4  # of scratch: an image's two vectors, and their sums over the images


def workspace(op, x, *others, **attrs):
    """Accumulators and per-lane factors in float64."""
    lanes = max(x.shape[-1], LANES)
    return Spec((ROWS_OF_SCRATCH + MORE_ROWS, lanes), np.dtype(np.float64))


@kernel
def _forward(out, mean, var, x, gamma, beta, eps, images, rows, c, scratch):
    size = rows * c
    unseen = scratch[ROWS_OF_SCRATCH, :c], scratch[ROWS_OF_SCRATCH + 1, :c]
    for i in range(images):
        at, row = i * size, i * c
        image, result = x[at : at + size], out[at : at + size]
        if mean.size:
            centre, spread = mean[row : row + c], var[row : row + c]
            _batchnorm(
                result, centre, spread, centre[:0], image, gamma, beta, eps, rows, c, scratch
            )
        else:
            _batchnorm(result, *unseen, unseen[0][:0], image, gamma, beta, eps, rows, c, scratch)


@kernel
def _backward(dx, dgamma, dbeta, x, gamma, mean, var, dout, eps, images, rows, c, scratch):
    size, empty = rows * c, mean[:0]
    own_gamma, own_beta = scratch[ROWS_OF_SCRATCH, :c], scratch[ROWS_OF_SCRATCH + 1, :c]
    sum_gamma, sum_beta = scratch[ROWS_OF_SCRATCH + 2, :c], scratch[ROWS_OF_SCRATCH + 3, :c]
    sum_gamma[:] = 0.0
    sum_beta[:] = 0.0
    for i in range(images):
        at, row = i * size, i * c
        _batchnorm_grad(
            dx[at : at + size], own_gamma, own_beta, x[at : at + size], gamma,
            mean[row : row + c], var[row : row + c], dout[at : at + size], empty, empty,
            eps, False, rows, c, scratch,
        )  # fmt: skip
        for j in range(c):
            sum_gamma[j] += own_gamma[j]
            sum_beta[j] += own_beta[j]
    for j in range(c):
        dgamma[j], dbeta[j] = sum_gamma[j], sum_beta[j]


def instancenorm(out, mean, var, x, gamma, beta, *, eps=1e-5, scratch):
    flat = x.reshape(-1)
    mean, var, gamma, beta = (
        flat[:0] if v is None else v.reshape(-1) for v in (mean, var, gamma, beta)
    )
    _forward(
        out.reshape(-1), mean, var, flat, gamma, beta, float(eps),
        x.shape[0], prod(x.shape[1:-1]), x.shape[-1], scratch,
    )  # fmt: skip


def instancenorm_grad(dx, dgamma, dbeta, x, gamma, mean, var, dout, *, eps=1e-5, scratch):
    gamma = dgamma[:0] if gamma is None else gamma
    _backward(
        dx.reshape(-1), dgamma, dbeta, x.reshape(-1), gamma, mean.reshape(-1), var.reshape(-1),
        dout.reshape(-1), float(eps), x.shape[0], prod(x.shape[1:-1]), x.shape[-1], scratch,
    )  # fmt: skip
