"""Batch norm in two passes: sums per channel in float64 over tiles of columns, then the rest.

A pass reads 128 bits per thread and load; a chunk of rows leaves its two sums per channel, a second
small kernel adds those of all chunks in order, so that no atomics are needed and every run gives
the same bits. Bound by memory: 12 bytes per element forwards and 20 backwards. Chosen by that
count; not measured. Instance norm is that of each image by itself: the same kernels, with a third
axis of the grid for the images.
"""

import numpy as np

from ..raw import Source, target
from ..spec import Spec
from .raw_columns import LARGEST, THREADS, cut

SOURCE = Source(__name__, "cuda_raw_columns.cu")


MOST_IMAGES = 65535  # of the third axis of a grid


def supports(op, x, *others, **attrs):
    few = not op.startswith("instancenorm") or x.shape[0] <= MOST_IMAGES
    return x.dtype == "float32" and x.size <= LARGEST and few


def workspace(op, x, *others, **attrs):
    """float64: the chunks' sums; then the rest of the means, or the sums of all chunks.

    Of instance norm the means and variances too, where they are not wanted.
    """
    extra = {"batchnorm": 1, "batchnorm_grad": 2, "batchnorm_inference_grad": 2}.get(op)
    if op.startswith("instancenorm"):
        sums = cut(x.shape, by_image=True).sums
        return sums.like(sums.size + 2 * x.shape[0] * x.shape[-1])
    if extra is None:
        return None
    return Spec((cut(x.shape).sums.size + extra * x.shape[-1],), np.dtype(np.float64))


def _carve(scratch, c):
    """The part of the scratch for the chunks' sums, and what is left of it."""
    return scratch[: c.sums.size], scratch[c.sums.size :]


def _apply(out, x, gamma, beta, mean, low, var, eps, by_image=False):
    c = cut(x.shape, by_image)
    SOURCE.kernel("batchnorm_apply", WIDTH=c.width)(
        c.grid if c.rows else 0, THREADS, out, x, mean, low, var, gamma, beta,
        c.rows, c.columns, c.across, np.float64(eps),
    )  # fmt: skip


def _moments(mean, var, inv_std, low, sums, x, c, eps):
    moments = mean, var, inv_std, low, sums
    SOURCE.kernel("batchnorm_moments", WIDTH=c.width)(
        c.grid, THREADS, *moments, x, c.rows, c.columns, c.across, np.float64(eps)
    )
    if c.chunks > 1:
        SOURCE.kernel("batchnorm_moments_end", WIDTH=c.width)(
            (-(-c.columns // 32), 1, c.images), THREADS, *moments, c.chunks, c.rows, c.columns,
            np.float64(eps),
        )  # fmt: skip


def batchnorm(out, mean, var, inv_std, x, gamma, beta, *, eps=1e-5, scratch):
    c = cut(x.shape)
    sums, low = _carve(scratch, c)
    low = low.view(np.float32)[: c.columns]
    _moments(mean, var, inv_std, low, sums, x, c, eps)
    _apply(out, x, gamma, beta, mean, low, var, eps)


def batchnorm_inference(out, x, gamma, beta, mean, var, *, eps=1e-5):
    _apply(out, x, gamma, beta, mean, None, var, eps)


def _sums(dgamma, dbeta, x, dout, mean, var, eps, scratch, by_image=False):
    """dgamma and dbeta, None where they are summed over images; returns both in float64."""
    c = cut(x.shape, by_image)
    sums, totals = _carve(scratch, c)
    SOURCE.kernel("batchnorm_sums", WIDTH=c.width)(
        c.grid, THREADS, dgamma, dbeta, totals, sums, x, dout, mean, var,
        c.rows, c.columns, c.across, np.float64(eps),
    )  # fmt: skip
    if c.chunks > 1:
        SOURCE.kernel("batchnorm_sums_end", WIDTH=c.width)(
            (-(-c.columns // 32), 1, c.images), THREADS, dgamma, dbeta, totals, sums, var,
            c.chunks, c.columns, np.float64(eps),
        )  # fmt: skip
    return totals


def _dx(kernel, dx, *operands, eps, by_image=False):
    c = cut(dx.shape, by_image)
    run = SOURCE.kernel(kernel, WIDTH=c.width)
    blocks = c.grid if c.rows else 0
    run(blocks, THREADS, dx, *operands, c.rows, c.columns, c.across, np.float64(eps))


def batchnorm_grad(dx, dgamma, dbeta, x, gamma, mean, var, dout, dmean, dvar, *, eps=1e-5, scratch):
    totals = _sums(dgamma, dbeta, x, dout, mean, var, eps, scratch)
    _dx("batchnorm_dx", dx, x, dout, gamma, mean, var, totals, dmean, dvar, eps=eps)


def batchnorm_inference_grad(dx, dgamma, dbeta, x, gamma, mean, var, dout, *, eps=1e-5, scratch):
    _sums(dgamma, dbeta, x, dout, mean, var, eps, scratch)
    _dx("batchnorm_inference_dx", dx, dout, gamma, var, eps=eps)


def instancenorm(out, mean, var, x, gamma, beta, *, eps=1e-5, scratch):
    c = cut(x.shape, by_image=True)
    sums, rest = _carve(scratch, c)
    rest, n = rest.view(np.float32), c.images * c.columns
    low = rest[:n]
    if mean is None:
        mean, var = rest[n : 2 * n], rest[2 * n : 3 * n]
    _moments(mean, var, None, low, sums, x, c, eps)
    _apply(out, x, gamma, beta, mean, low, var, eps, by_image=True)


def instancenorm_grad(dx, dgamma, dbeta, x, gamma, mean, var, dout, *, eps=1e-5, scratch):
    totals = _sums(None, None, x, dout, mean, var, eps, scratch, by_image=True)
    _dx("batchnorm_dx", dx, x, dout, gamma, mean, var, totals, None, None, eps=eps, by_image=True)
    columns = x.shape[-1]
    SOURCE.kernel("instancenorm_affine", WIDTH=1)(
        -(-columns // THREADS), THREADS, dgamma, dbeta, totals, x.shape[0], columns
    )


def update_running(running, batch, *, momentum, correction=1.0):
    n = running.size
    blocks = min(-(-n // THREADS), target().multiprocessors)
    SOURCE.kernel("update_running", WIDTH=1)(
        blocks, THREADS, running, batch, n, float(1 - momentum), float(momentum * correction)
    )
