"""Slices assigned: NumPy copies rows as fast as memory allows, so that there is nothing to add."""


def concat(out, x, y):
    split = x.shape[-1]
    out[..., :split] = x
    out[..., split:] = y


def columns(out, x, *, start, stop):
    out[...] = x[..., start:stop]


def columns_grad(out, x, *, start, size):
    stop = start + x.shape[-1]
    out[..., :start] = 0
    out[..., start:stop] = x
    out[..., stop:] = 0
