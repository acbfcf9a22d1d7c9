"""Where everything lies for `cpu_tiled.py`: the places where patches begin and those of their
elements, made once per signature. NumPy only, no kernel.

A patch that reaches beyond its image reads a frame of zeros, or is left out there: pixels whose
patches are cut in the same way are a part of their own, which sums over what is left. So no product
is made with padding, at 3×3 on 4×4 images a third of them, and images are read where they are. With
few channels what is left of a row is too short a sum: then there are frames.
"""

from functools import lru_cache
from itertools import product
from math import prod

import numpy as np

from .geometry import LARGE_FILTERS, extents

MOST_READ = 1 << 16  # elements of a block of images, so that they stay in the cache
ROWS = 256  # pixels of a block where filters are large, since each reads all of them
KEPT = 256  # layouts
FEW = 32  # channels; with fewer there are frames

# What a kernel is told of a layout: elements of an image, of its result, of the frames, of the
# panels; columns of a panel, numbers of a vector, images of a block, whether there are no frames,
# step in w from column to column; rows of an image and their elements, where its frame begins to
# hold it, elements of a row of the frame and of a frame; (P, Q) of the result.
IMAGE, OUT, FRAME, PANELS, COLUMNS, VECTOR, MANY, DIRECT, STEP = range(9)
Y, RUN, AT, LINE, EACH, OUT_Y, OUT_X = range(9, 16)
# A phase has panels of its own: rows of the tables `walk` and `source`, how many, the panels.
PHASE = ("first tap", "taps", "panels")
# Pixels with the same sums: rows of the tables `of` and `to`, how many for an image, the phase;
# from which tap on, of how many, how many times, how far apart.
PART = ("first row", "rows", "phase", "first", "run", "runs", "step")


def reached(count, step, taps, size):
    """Groups of `count` pixels along an axis whose patches reach the same taps in range(size):
    (pixels, first tap, end).

    taps: ascending or descending places where the first pixel's patch has its elements.
    """
    groups = {}
    for i in range(count):
        inside = [n for n, place in enumerate(taps) if 0 <= place + i * step < size]
        ends = (inside[0], inside[-1] + 1) if inside else (0, 0)
        groups.setdefault(ends, []).append(i)
    return [(np.array(pixels), *ends) for ends, pixels in groups.items()]


class Places:
    """Tables and sizes of one signature."""

    def __init__(self, image, channels, phases, out, columns, filters, vector, pool, framed=False):
        """image: (rows, columns) that are read, of so many channels; out: those of the result.

        phases: per phase and per axis, (pixels of the result, step of their patches in the image,
        [(row of a filter, its place in the image for the first pixel)]). filters: elements of w.
        framed: frames in any case.
        """
        cut = channels >= FEW and not framed
        spans = [_span(size, [p[axis] for p in phases], cut) for axis, size in enumerate(image)]
        (low, high), (left, right) = spans
        wide, line = right - left + 1, (right - left + 1) * channels
        each, result = (high - low + 1) * line, prod(out) * columns
        direct = (high - low + 1, wide) == image
        pixels = sum(len(vertical[0]) * len(across[0]) for vertical, across in phases)
        fit = MOST_READ // max(each, result if pool else 1, 1)
        images = max(1, fit, -(-ROWS // max(pixels, 1)) if filters >= LARGE_FILTERS else 1)
        self.frame = 0 if direct else -(-images * each // 16) * 16
        self.map = images * result if pool else 0
        self.of, self.to, walk, self.phases, self.parts = [], [], [], [], []
        taps = panels = 0
        for number, (vertical, across) in enumerate(phases):
            place = [(p - low) * wide + q - left for (_, p) in vertical[2] for (_, q) in across[2]]
            walk.append(
                (np.array(place, int)[:, None] * channels + np.arange(channels)).reshape(-1)
            )
            self.phases.append([taps, len(walk[-1]), panels])
            taps, panels = taps + len(walk[-1]), panels + len(walk[-1]) * columns
            groups = [
                reached(len(a[0]), a[1], [p for _, p in a[2]], size)
                if cut
                else [(np.arange(len(a[0])), 0, len(a[2]))]
                for a, size in zip((vertical, across), image, strict=True)
            ]
            for rows, cols in product(*groups):
                begins = rows[0][:, None] * vertical[1] * wide + cols[0] * across[1]
                ends = np.array(vertical[0])[rows[0], None] * out[1] + np.array(across[0])[cols[0]]
                part = _sums(rows[1:], cols[1:], len(across[2]) * channels, channels)
                self.parts.append([sum(map(len, self.of)), begins.size, number, *part])
                for table, at, step in (
                    (self.of, begins * channels, each),
                    (self.to, ends * columns, result),
                ):
                    table.append((at.reshape(-1) + np.arange(images)[:, None] * step).reshape(-1))
        size, at = prod(image) * channels, -low * line - left * channels
        g = [size, result, self.frame, panels, columns, vector, images, direct, 0]
        self.g = np.array([*g, image[0], image[1] * channels, at, line, each, *out], np.int64)
        self.panels, self.walk = panels, walk

    def filled(self, source, step):
        """With the place in w of each row of the panels and the step from column to column."""
        self.g[STEP], self.source = step, np.asarray(source, np.int64)
        self.of, self.to, self.walk = (
            np.concatenate([np.empty(0), *parts]).astype(np.int64)
            for parts in (self.of, self.to, self.walk)
        )
        self.phases = np.array(self.phases, np.int64).reshape(-1, len(PHASE))
        self.parts = np.array(self.parts, np.int64).reshape(-1, len(PART))
        tables = (self.phases, self.parts, self.of, self.to, self.walk, self.source)
        self.tables = (self.g, *tables)
        return self


def _span(size, axes, cut):
    """(lowest, highest) place along an axis that a frame must have."""
    low, high = 0, size - 1
    for pixels, step, taps in axes if not cut else ():
        for _, place in taps:
            low, high = min(low, place), max(high, place + (len(pixels) - 1) * step)
    return low, high


def _sums(rows, cols, line, channels):
    """The last four of PART for taps rows × cols of lines of so many numbers."""
    (top, bottom), (left, right) = rows, cols
    if top == bottom or left == right:
        return [0, 0, 0, 0]
    if (right - left) * channels == line:
        return [top * line, (bottom - top) * line, 1, 0]
    return [top * line + left * channels, (right - left) * channels, bottom - top, line]


@lru_cache(KEPT)
def forward(size, channels, w, pool, vector, stride, padding, dilation, framed=False):
    """The places of a convolution of images `size` (H, W) with filters w (K, R, S, C)."""
    out = extents(size, w[1:3], stride, padding, dilation)
    if pool:
        out = (out[0] // pool[0] * pool[0], out[1] // pool[1] * pool[1])
    axes = [
        (range(o), st, [(r, r * d - before) for r in range(count)])
        for o, st, count, d, (before, _) in zip(out, stride, w[1:3], dilation, padding, strict=True)
    ]
    found = Places(size, channels, [axes], out, w[0], prod(w), vector, pool, framed)
    return found.filled(np.arange(prod(w[1:])), prod(w[1:]))


def axis_backward(size, filters, stride, before, dilation):
    """One axis of the gradient for x: for each place within the stride its pixels and taps."""
    for at in range(min(stride, size)):
        shift = (at + before) % stride
        first = (at + before) // stride  # of dout, for a tap at `shift`
        taps = [r for r in range(filters) if (r * dilation - shift) % stride == 0]
        seen = [(r, first + (shift - r * dilation) // stride) for r in taps]
        yield range(at, size, stride), 1, seen


@lru_cache(KEPT)
def backward(size, channels, w, pool, vector, stride, padding, dilation):
    """The places of the gradient for images `size` (H, W) of a convolution with w (K, R, S, C)."""
    k, r, s, c = w
    out = extents(size, (r, s), stride, padding, dilation)
    axes = [
        list(axis_backward(n, f, st, before, d))
        for n, f, st, (before, _), d in zip(size, (r, s), stride, padding, dilation, strict=True)
    ]
    phases = list(product(*axes))
    found = Places(out, k, phases, size, c, prod(w), vector, pool)
    taps = [i * s + j for up, across in phases for (i, _), (j, _) in product(up[2], across[2])]
    source = np.array(taps, int)[:, None] * c + np.arange(k) * (r * s * c)
    return found.filled(source.reshape(-1), 1)
