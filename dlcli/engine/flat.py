"""The parameters of an optimiser group in one flat buffer, their gradients in another like it.

An optimiser step, a clip or a checkpoint is then one run over one array. Each parameter starts on
a multiple of 16 elements; the gaps hold zeros and stay zero under every optimiser.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .tape import apply
from .tensor import Tensor

ALIGN = 16  # elements: 64 bytes of float32


class FlatParameters:
    """`data` and `grad` are (n,) tensors; each parameter's become views of them, values kept.

    parameters: by name, all of one dtype. ValueError if they are not, or if one appears twice.
    """

    def __init__(self, parameters: Mapping[str, Tensor]) -> None:
        self.parameters = dict(parameters)
        dtypes = {p.dtype for p in self.parameters.values()}
        if len(dtypes) > 1:
            raise ValueError(f"one flat buffer needs one dtype, not {sorted(map(str, dtypes))}")
        if len({id(p) for p in self.parameters.values()}) < len(self.parameters):
            raise ValueError("a parameter appears twice in the group")
        dtype = dtypes.pop() if dtypes else np.dtype(np.float32)
        self.slices: dict[str, slice] = {}
        end = 0
        for name, p in self.parameters.items():
            self.slices[name] = slice(end, end + p.data.size)
            end += -(-p.data.size // ALIGN) * ALIGN
        self.data = Tensor(np.zeros(end, dtype))
        self.grad = Tensor(np.zeros(end, dtype))
        for name, p in self.parameters.items():
            part, shape = self.slices[name], p.shape
            self.data.data[part] = p.data.reshape(-1)
            p.data = self.data.data[part].reshape(shape)
            p.grad = Tensor(self.grad.data[part].reshape(shape))
            p.grad_is_stale = True

    def zero_grad(self) -> None:
        """Starts anew: the next gradient of each parameter overwrites what is there."""
        for p in self.parameters.values():
            p.grad_is_stale = True

    def settle(self) -> None:
        """Zeroes the gradients of the parameters that received none since `zero_grad`.

        For whoever is about to read the buffer.
        """
        for p in self.parameters.values():
            if p.grad_is_stale:
                apply("fill", p.grad, value=0.0)
                p.grad_is_stale = False
