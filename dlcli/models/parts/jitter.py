"""Pictures moved by a few pixels and mirrored, others each time: more of them than there are."""

from __future__ import annotations

import numpy as np

from dlcli import nn

SHARE = 8  # of the shorter side is as far as a picture is moved, so that few are seen twice


class Jitter(nn.Stream):
    """(N, …, H, W, C) on the host: each sample, with all pictures that belong to it, cut out of its
    mirrored continuation at a random place, and every other one turned left to right.
    """

    def forward(self, *inputs: np.ndarray) -> np.ndarray:
        (x,) = inputs
        height, width = x.shape[-3:-1]
        most = min(height, width) // SHARE
        generator = self.next()
        places = generator.integers(2 * most + 1, len(x), 2)
        turned = generator.integers(2, len(x))
        beyond = [(0, 0)] * (x.ndim - 3) + [(most, most), (most, most), (0, 0)]
        wide = np.pad(x, beyond, mode="reflect")
        out = np.empty_like(x)
        for i, (top, left) in enumerate(places):
            cut = wide[i, ..., top : top + height, left : left + width, :]
            out[i] = cut[..., ::-1, :] if turned[i] else cut
        return out
