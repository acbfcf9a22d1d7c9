"""Rows copied into slices: as fast as memory allows, so that there is nothing to add."""

from ..cpu_copy import assign, fill


def concat(out, x, y):
    split = x.shape[-1]
    assign(out[..., :split], x)
    assign(out[..., split:], y)


def columns(out, x, *, start, stop):
    assign(out, x[..., start:stop])


def columns_grad(out, x, *, start, size):
    stop = start + x.shape[-1]
    fill(out[..., :start], 0)
    assign(out[..., start:stop], x)
    fill(out[..., stop:], 0)
