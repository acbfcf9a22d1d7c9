"""A tensor: an array, whether its gradient is wanted, and the gradient."""

from __future__ import annotations

from typing import Any

import numpy as np


class Tensor:
    """`data` is an array of the device.

    `grad` is filled by `tape.backward` for leaves that require it.

    leaf: made by hand (a parameter, an input) rather than by an op.
    """

    __slots__ = ("data", "grad", "grad_is_stale", "leaf", "requires_grad")

    def __init__(self, data: Any, requires_grad: bool = False, *, leaf: bool = True) -> None:
        self.data = data
        self.grad: Tensor | None = None
        self.grad_is_stale = True  # what `grad` holds is of an earlier step: overwrite, do not add
        self.requires_grad = requires_grad
        self.leaf = leaf

    @property
    def shape(self) -> tuple[int, ...]:
        return self.data.shape

    @property
    def dtype(self) -> np.dtype:
        return self.data.dtype

    def item(self) -> float:
        """The value of a tensor of one element, on the host."""
        return self.data.item()

    def numpy(self) -> np.ndarray:
        """A copy on the host."""
        return np.array(self.data)

    def reshape(self, *shape: int) -> Tensor:
        """A view of the same elements in another shape; one extent may be -1."""
        from .tape import reshape

        return reshape(self, shape)

    def __repr__(self) -> str:
        kind = type(self).__name__
        return f"{kind}(shape={self.shape}, dtype={self.dtype}, grad={self.requires_grad})"
