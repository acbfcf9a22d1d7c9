"""Pairs of our layers and PyTorch's with equal weights.

The layouts are permuted here and nowhere else: NHWC ↔ NCHW, OHWI ↔ OIHW.
"""

import numpy as np


def to_torch(array, torch):
    """NHWC → NCHW, NTC → NCT; two axes or fewer stay."""
    order = {4: (0, 3, 1, 2), 3: (0, 2, 1)}.get(array.ndim)
    return torch.tensor(np.ascontiguousarray(array if order is None else array.transpose(order)))


def from_torch(tensor):
    """The reverse."""
    array = tensor.detach().numpy()
    order = {4: (0, 2, 3, 1), 3: (0, 2, 1)}.get(array.ndim)
    return array if order is None else array.transpose(order)


def copy_weights(ours, theirs, torch):
    """Gives PyTorch's module our parameters, which must come in the same order; the pairs."""
    pairs = list(zip(ours.named_parameters().values(), theirs.parameters(), strict=True))
    with torch.no_grad():
        for mine, other in pairs:
            other.copy_(to_torch(mine.data, torch))
    return pairs
