"""Pictures moved, stretched and mirrored, in another light, or with a part of another one,
otherwise each time: more of them than there are.
"""

from __future__ import annotations

import numpy as np

from dlcli import nn

MARGIN = 8  # one in so many pixels is as far as a picture is continued by its mirror image
LEAST = 0.25  # of a side, for what is pasted
STRETCH = 0.2  # at most: longer or shorter, in each direction by itself


class Jitter(nn.Stream):
    """(N, …, H, W, C) on the host: of each sample, with all pictures that belong to it, a random
    window of its mirrored continuation, resampled to its size, and every other one turned left to
    right.

    Isola et al. 2017 cut windows of 256 pixels out of 286; so do these, and stretch them besides.
    """

    def forward(self, *inputs: np.ndarray) -> np.ndarray:
        (x,) = inputs
        height, width = x.shape[-3:-1]
        draws = self.next().uniform(len(x), 5)
        margin = min(height, width) // MARGIN
        beyond = [(0, 0)] * (x.ndim - 3) + [(margin, margin), (margin, margin), (0, 0)]
        wide = np.pad(x, beyond, mode="reflect")
        out = np.empty_like(x)
        for i, (tall, broad, top, left, turned) in enumerate(draws):
            cut = _line(wide[i], -3, height, tall, top)
            cut = _line(cut, -2, width, broad, left)
            out[i] = cut[..., ::-1, :] if turned < 0.5 else cut
        return out


class Tint(nn.Stream):
    """(N, H, W, C) in [−1, 1] on the host: each picture in another light, every channel times
    1 ± up to `by` and plus up to ± `by`; what it shows stays.
    """

    def __init__(self, by: float) -> None:
        super().__init__()
        self.by = by

    def forward(self, *inputs: np.ndarray) -> np.ndarray:
        (x,) = inputs
        n, c = len(x), x.shape[-1]
        gain, shift = (self.by * (2 * self.next().uniform(2 * n, c) - 1)).reshape(2, n, 1, 1, c)
        lit: np.ndarray = np.clip(x * (1 + gain) + shift, -1, 1).astype(x.dtype)
        return lit


class Paste(nn.Stream):
    """(N, …, H, W, C) on the host: a share of the samples get, at its own place, a rectangle of the
    next one, with all pictures that belong to it; of a quarter to all of either side (after CutMix,
    Yun et al. 2019).
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, *inputs: np.ndarray) -> np.ndarray:
        (x,) = inputs
        height, width = x.shape[-3:-1]
        out = x.copy()
        for i, (whether, *sides, top, left) in enumerate(self.next().uniform(len(x), 5)):
            if whether >= self.share:
                continue
            h, w = (
                int(size * (LEAST + (1 - LEAST) * side))
                for size, side in zip((height, width), sides, strict=True)
            )
            y, z = int(top * (height - h + 1)), int(left * (width - w + 1))
            part = (i, ..., slice(y, y + h), slice(z, z + w), slice(None))
            out[part] = x[((i + 1) % len(x), *part[1:])]
        return out


def _line(x: np.ndarray, axis: int, n: int, stretch: float, place: float) -> np.ndarray:
    """n points along an axis of x, between its own in proportion. stretch, place: in [0, 1), how
    far apart they are and where they begin.
    """
    size = x.shape[axis]
    step = 1 + STRETCH * (2 * stretch - 1)
    room = size - 1 - (n - 1) * step
    at = max(room, 0.0) * place + np.arange(n) * min(step, (size - 1) / max(n - 1, 1))
    low = np.clip(at.astype(np.int64), 0, size - 2)
    share = (at - low).astype(x.dtype).reshape(n, *(1,) * (-axis - 1))
    found: np.ndarray = np.take(x, low, axis) * (1 - share) + np.take(x, low + 1, axis) * share
    return found
