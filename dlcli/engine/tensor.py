"""A tensor: an array of the device, whether its gradient is wanted, and the gradient.

Values of the host become tensors by `on_device` and `zeros`, and come back by `item` and `numpy`.
What lies on the device already may be named by `Rows` instead.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from dlcli_kernels.spec import SparseGradient, Spec

from . import executor


class Tensor:
    """`data` is an array of the device.

    `grad` is filled by `tape.backward` for leaves that require it.

    leaf: made by hand (a parameter, an input) rather than by an op. sparse: what is to be added to
    `grad` and stands in a list of its own, where an optimiser wants it so; None where nobody does.
    """

    __slots__ = ("data", "grad", "grad_is_stale", "leaf", "requires_grad", "sparse")

    def __init__(self, data: Any, requires_grad: bool = False, *, leaf: bool = True) -> None:
        self.data = data
        self.grad: Tensor | None = None
        self.grad_is_stale = True  # what `grad` holds is of an earlier step: overwrite, do not add
        self.sparse: list[SparseGradient] | None = None
        self.requires_grad = requires_grad
        self.leaf = leaf

    @property
    def shape(self) -> tuple[int, ...]:
        return self.data.shape

    @property
    def dtype(self) -> np.dtype:
        return self.data.dtype

    @property
    def size(self) -> int:
        """The number of elements."""
        n = 1
        for extent in self.data.shape:
            n *= extent
        return n

    def item(self) -> float:
        """The value of a tensor of one element, on the host. Waits for the device."""
        return executor.current().get(self.data).item()

    def numpy(self) -> np.ndarray:
        """A copy on the host. Waits for the device."""
        return np.array(executor.current().get(self.data))

    def write(self, values: Any) -> None:
        """Copies values of the host (an array, or numbers that fill one) into place."""
        executor.current().write(self.data, values)

    def reshape(self, *shape: int) -> Tensor:
        """A view of the same elements in another shape; one extent may be -1."""
        from .tape import reshape

        return reshape(self, shape)

    def __repr__(self) -> str:
        kind = type(self).__name__
        return f"{kind}(shape={self.shape}, dtype={self.dtype}, grad={self.requires_grad})"


@dataclass(frozen=True)
class Rows:
    """Stands for an array (B, …) of the host whose values are rows of a table of the device.

    table: (n, F). ids: (B,) int64, of the host. sample: the shape of what a row is, of F elements.
    """

    table: Tensor
    ids: np.ndarray
    sample: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return len(self.ids), *self.sample

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, some: slice) -> Rows:
        return replace(self, ids=self.ids[some])

    def gathered(self) -> Tensor:
        """A tensor of their values; the host gives their ids and no more."""
        from .tape import apply

        return apply("embedding", self.table, on_device(self.ids)).reshape(*self.shape)


def on_device(values: np.ndarray | Rows, requires_grad: bool = False) -> Tensor:
    """A tensor of the device in use with these values; on the CPU it shares their memory."""
    data = values.gathered().data if isinstance(values, Rows) else executor.current().put(values)
    return Tensor(data, requires_grad)


def made_on_host(make: Callable[..., np.ndarray], *operands: np.ndarray | Rows | Tensor) -> Tensor:
    """A tensor of the device with the values make(*operands), tensors being given as arrays of the
    host. Where a plan repeats what is done, `make` is called in each step: it has to be a function
    or a method with a name, the same each time, that keeps and changes none of its operands.
    """
    there = [x.gathered() if isinstance(x, Rows) else x for x in operands]
    arrays = [x.data if isinstance(x, Tensor) else x for x in there]
    return Tensor(executor.current().made_on_host(make, *arrays))


def empty(shape: tuple[int, ...], dtype: Any = np.float32) -> Tensor:
    """A tensor on the device in use that nobody has written yet."""
    return Tensor(executor.current().empty(Spec(shape, np.dtype(dtype))))


def zeros(shape: tuple[int, ...], dtype: Any = np.float32) -> Tensor:
    """A tensor of zeros on the device in use."""
    return Tensor(executor.current().zeros(Spec(shape, np.dtype(dtype))))
