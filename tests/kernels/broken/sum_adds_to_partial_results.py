"""Adds to partial results that nobody has set to zero."""

import numpy as np


def sum(out, x, *, axes, keepdims=False):
    out += np.sum(x, axis=tuple(axes), keepdims=keepdims)
