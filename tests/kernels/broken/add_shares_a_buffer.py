"""Two threads use the same temporary array."""

import numpy as np


class Buffers:
    def __init__(self):
        self.kept = {}

    def like(self, x):
        return self.kept.setdefault((x.shape, x.dtype), np.empty_like(x))


BUFFERS = Buffers()


def add(out, x, y):
    sums = BUFFERS.like(x)
    np.copyto(sums, x)
    np.add(sums, y, out=sums)
    np.copyto(out, sums)
