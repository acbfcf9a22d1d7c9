"""Sums what is not NaN."""

import numpy as np


def sum(out, x, *, axes, keepdims=False):
    out[...] = np.nansum(x, axis=tuple(axes), keepdims=keepdims)
