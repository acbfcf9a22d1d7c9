"""The parameters of an optimiser group in one flat buffer, their gradients in another like it.

An optimiser step, a clip or a checkpoint is then one run over one array. Each parameter starts on
a multiple of 64 elements; the gaps hold zeros and stay zero under every optimiser.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .tape import apply
from .tensor import Tensor, zeros

ALIGN = 64  # elements: 256 bytes of float32, a boundary for every access of a GPU
STORED = 16  # elements: the same in a file, where it does not follow the memory's


def _layout(parameters: Mapping[str, Tensor], align: int) -> tuple[dict[str, slice], int]:
    """Where each parameter lies if each starts on a multiple of `align`; the length of all."""
    slices, end = {}, 0
    for name, p in parameters.items():
        slices[name] = slice(end, end + p.size)
        end += -(-p.size // align) * align
    return slices, end


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
        self.slices, n = _layout(self.parameters, ALIGN)
        self.data, self.grad = zeros((n,), dtype), zeros((n,), dtype)
        for name, p in self.parameters.items():
            part, shape = self.slices[name], p.shape
            self.data.data[part] = p.data.reshape(-1)
            p.data = self.data.data[part].reshape(shape)
            p.grad = Tensor(self.grad.data[part].reshape(shape))
            p.grad_is_stale = True

    def pack(self, flat: np.ndarray) -> np.ndarray:
        """Values laid out as `data`, on the host, as a file keeps them: whatever ALIGN is."""
        stored, n = _layout(self.parameters, STORED)
        packed = np.zeros(n, flat.dtype)
        for name, part in self.slices.items():
            packed[stored[name]] = flat[part]
        return packed

    def unpack(self, packed: np.ndarray) -> np.ndarray:
        """What `pack` was given."""
        stored, _ = _layout(self.parameters, STORED)
        flat = np.zeros(self.data.shape, packed.dtype)
        for name, part in self.slices.items():
            flat[part] = packed[stored[name]]
        return flat

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
