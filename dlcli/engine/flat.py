"""The parameters of an optimiser group in one flat buffer, their gradients in another like it.

An optimiser step, a clip or a checkpoint is then one run over one array. Each parameter starts on
a multiple of 64 elements; the gaps hold zeros and stay zero under every optimiser. The gradient of
a table of which few rows were read may be kept as these rows: its part of the gradients' buffer is
then left alone, and the runs go over what lies beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from dlcli_kernels.spec import SparseGradient

from .tape import accumulate, apply
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


@dataclass(frozen=True)
class Rows:
    """The gradient of the table at `part` of the flat buffers, `rows` of it: values (C, D) of the
    rows index (C,), which ascend, each once; places that are left over have index `rows` and zeros.
    """

    part: slice
    rows: int
    index: Tensor
    values: Tensor

    def of(self, flat: Tensor) -> Tensor:
        """The table's own part of a flat buffer."""
        return Tensor(flat.data[self.part].reshape(self.rows, self.values.shape[1]))


class FlatParameters:
    """`data` and `grad` are (n,) tensors; each parameter's become views of them, values kept.

    parameters: by name, all of one dtype. ValueError if they are not, or if one appears twice.
    keep_rows: whether gradients of few rows are kept so.
    """

    def __init__(self, parameters: Mapping[str, Tensor], *, keep_rows: bool = False) -> None:
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
            p.sparse = [] if keep_rows else None

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
            if p.sparse is not None:
                p.sparse = []

    def settle(self) -> tuple[list[slice], list[Rows]]:
        """Makes the gradients ready to be read: the spans of the buffer that hold them, and those
        that are rows beside it.

        A parameter that received none since `zero_grad` has zeros; one that received both, as a
        table that is read and multiplied with, has their sum in the buffer.
        """
        spans, rows, begin = [], [], 0
        for name, p in self.parameters.items():
            if p.sparse and p.grad_is_stale:
                part = self.slices[name]
                rows.append(self._rows(part, p.shape[0], p.sparse))
                spans.append(slice(begin, part.start))
                begin = part.start + -(-p.size // ALIGN) * ALIGN
                continue
            for sparse in p.sparse or ():
                accumulate(p, sparse.dense(apply))
            if p.grad_is_stale:
                apply("fill", p.grad, value=0.0)
                p.grad_is_stale = False
        spans.append(slice(begin, self.data.size))
        return [s for s in spans if s.stop > s.start or not rows], rows

    def _rows(self, part: slice, count: int, gradients: list[SparseGradient]) -> Rows:
        """The sum of the sparse gradients of a table of `count` rows."""
        index, values = gradients[0].rows(apply)
        for gradient in gradients[1:]:
            index, values = apply("merge_rows", index, values, *gradient.rows(apply), rows=count)
        return Rows(part, count, index, values)
