"""A pool of pictures that a generator made earlier (Shrivastava et al. 2017): a discriminator that
sees some of them does not forget what it has learned from them.
"""

from __future__ import annotations

import numpy as np

from dlcli import nn


class History(nn.Stream):
    """size: pictures that are kept; 0 for none. They are a buffer, so that they travel with a
    checkpoint. shape: (H, W, C).
    """

    def __init__(self, size: int, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.size = size
        self.pictures = nn.Buffer(np.zeros((size, *shape), np.float32))
        self.count = nn.Buffer(np.zeros(1, np.int64))

    def mix(self, made: np.ndarray) -> np.ndarray:
        """As many pictures as are given, (N, H, W, C). While the pool is not full they are the new
        ones, which it keeps; then for every other one, by chance, one of the pool, whose place the
        new one takes.
        """
        if not self.size:
            return made
        generator, out = self.next(), made.copy()
        swaps, places = generator.integers(2, len(made)), generator.integers(self.size, len(made))
        kept, count = self.pictures.numpy(), int(self.count.numpy()[0])
        for i, picture in enumerate(made):
            if count < self.size:
                kept[count] = picture
                count += 1
            elif swaps[i]:
                out[i] = kept[places[i]]
                kept[places[i]] = picture
        self.pictures.write(kept)
        self.count.write(np.array([count]))
        return out
