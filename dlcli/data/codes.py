"""The random codes of samples that a generator makes."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from dlcli_kernels.philox import Generator


def codes(seed: int, numbers: Iterable[int], dims: int) -> np.ndarray:
    """The codes of samples by their numbers, (n, dims) float32 of N(0, 1): each is the same however
    many there are.
    """
    rows = [Generator(seed, "sample", number).normal(dims) for number in numbers]
    return np.stack(rows).astype(np.float32)
