"""Two threads use the same array of the module, within one line."""

import numpy as np

SUMS = {dtype: np.zeros(8192, dtype) for dtype in ("float32", "float64")}


def add(out, x, y):
    out[...] = np.add(x, y, out=SUMS[out.dtype.name][: x.size].reshape(x.shape))
