"""Parameters of an optimiser group in one flat buffer, with their gradients in another of the same
layout.

An optimiser step, a clip or a checkpoint is then one run over one array. Each parameter starts on
a multiple of 16 elements; the gaps hold zeros and stay zero under every optimiser.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .tensor import Tensor

ALIGN = 16  # elements: 64 bytes of float32


class FlatParameters:
    """`data` and `grad` are (n,) tensors;

    each parameter's `data` and `grad` become views of them, values kept.

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
        """Starts a new accumulation:

        the next gradient of each parameter overwrites what is there.
        """
        for p in self.parameters.values():
            p.grad_is_stale = True

    def settle(self) -> None:
        """Zeroes the gradients of parameters that received none since `zero_grad`:

        before an optimiser reads the buffer.
        """
        for name, p in self.parameters.items():
            if p.grad_is_stale:
                self.grad.data[self.slices[name]] = 0
                p.grad_is_stale = False
