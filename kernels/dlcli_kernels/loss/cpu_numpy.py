"""Squared and absolute errors by NumPy in place: no temporary, on ranges that fit the cache."""

import numpy as np


def squared_error(out, x, y):
    np.subtract(x, y, out=out)
    np.multiply(out, out, out=out)


def squared_error_grad(out, x, y, dout):
    np.subtract(x, y, out=out)
    np.multiply(out, dout, out=out)
    np.add(out, out, out=out)


def absolute_error(out, x, y):
    np.subtract(x, y, out=out)
    np.abs(out, out=out)
