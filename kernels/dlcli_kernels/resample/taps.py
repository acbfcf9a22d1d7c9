"""Which elements of an axis make each element of the resampled one, and with what weights.

Taps are (indices, weights), each (outputs, T): out[p] = Σₜ weights[p, t] · x[indices[p, t]]. A map
of images is one for the rows after one for the columns.
"""

import numpy as np


def nearest(extent, factor):
    """Each element `factor` times."""
    index = np.repeat(np.arange(extent), factor)[:, None]
    return index, np.ones(index.shape)


def bilinear(extent, factor):
    """Between the centres of the two neighbours; beyond the outermost centres the outermost.

    The centre of output p lies at (p + ½) / factor − ½, as in PyTorch without align_corners.
    """
    above = np.maximum(2 * np.arange(extent * factor) + 1 - factor, 0)  # in steps of 1 / (2 factor)
    lower, rest = np.divmod(above, 2 * factor)
    upper = np.where(rest > 0, np.minimum(lower + 1, extent - 1), lower)
    share = rest / (2 * factor)
    return np.stack([lower, upper], 1), np.stack([1 - share, share], 1)


def reflect(extent, before, after):
    """The axis mirrored at its ends, which are not repeated."""
    at = np.abs(np.arange(-before, extent + after))
    index = np.where(at < extent, at, 2 * (extent - 1) - at)[:, None]
    return index, np.ones(index.shape)


def apply(x, axis, indices, weights):
    """x resampled along an axis: the reference."""
    shape = [1] * x.ndim
    shape[axis] = len(indices)
    out = 0
    for t in range(indices.shape[1]):
        factors = weights[:, t].astype(x.dtype).reshape(shape)
        out = out + np.take(x, indices[:, t], axis) * factors
    return out


def transpose(y, axis, extent, indices, weights):
    """The transpose of `apply`: what each element of an axis of `extent` was used for, summed."""
    moved = np.moveaxis(y, axis, 0)
    out = np.zeros((extent, *moved.shape[1:]), y.dtype)
    for t in range(indices.shape[1]):
        factors = weights[:, t].astype(y.dtype).reshape(-1, *[1] * (y.ndim - 1))
        np.add.at(out, indices[:, t], moved * factors)
    return np.moveaxis(out, 0, axis)
