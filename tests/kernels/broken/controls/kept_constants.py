"""Keeps constants in its module, which is allowed: they never change."""

import numpy as np

ONE = {name: np.ones(1, name) for name in ("float32", "float64")}


def add(out, x, y):
    np.multiply(y, ONE[out.dtype.name][0], out=out)
    np.add(out, x, out=out)
