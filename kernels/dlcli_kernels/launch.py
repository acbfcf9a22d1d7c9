"""A call made ready: the variant that runs, its outputs, and the ranges that the work is cut into.

The ranges depend on the operands alone, never on the number of threads, and partial results are
added in the order of the ranges: the same bits for any number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .registry import Variant
from .spec import Op, Spec

RANGE_BYTES = 1 << 17  # what one range touches: fits a core's L2 with room to spare
MOST_RANGES = 16  # enough to balance threads; each costs a few microseconds of call overhead
MOST_PARTIALS = 8  # each partial result is a whole copy of the output
PLAIN = 0x101  # NumPy's flags of an array that is C-contiguous and aligned
ALIGNMENT = 16  # bytes: the widest access of a kernel that runs on the whole range


def _is_plain(array: Any) -> bool:
    """Whether it is an array, and not a scalar of NumPy's, that variants take as it is."""
    return type(array) is np.ndarray and array.flags.num & PLAIN == PLAIN and array.dtype.isnative


Runner = Callable[[Callable[[int], None], int], None]


def serial(task: Callable[[int], None], count: int) -> None:
    """Runs the ranges one after the other."""
    for i in range(count):
        task(i)


def _assign(out: Any, array: Any) -> None:
    out[...] = array


def address(array: Any) -> int:
    """Where an array of NumPy's or CuPy's form begins in its memory."""
    return array.ctypes.data if isinstance(array, np.ndarray) else array.data.ptr


def view(
    memory: np.ndarray,
    offset: int,
    shape: tuple[int, ...],
    dtype: np.dtype,
    strides: tuple[int, ...] | None = None,
) -> np.ndarray:
    """An array in the memory of a contiguous one of NumPy, `offset` bytes after its beginning."""
    return np.ndarray(shape, dtype, memory.reshape(-1).view(np.uint8), offset, strides)


class Launch:
    """One op, one variant, one signature.

    `run` and `run_whole` may be called any number of times, on arrays of that signature.
    """

    def __init__(
        self,
        op: Op,
        variant: Variant,
        ins: Sequence[Spec | None],
        attrs: Mapping[str, Any],
        *,
        optional: bool = True,
        rows: int | None = None,
    ) -> None:
        self.op, self.variant, self.attrs = op, variant, dict(attrs)
        specs = op.outputs(ins, attrs)
        self.specs = tuple(ins)
        self.names = tuple(specs)
        self.outputs: tuple[Spec | None, ...] = tuple(
            spec if optional or name not in op.optional else None for name, spec in specs.items()
        )
        self.scratch = variant.workspace(ins, attrs)
        self.runs, self.program, self.not_native = 0, None, ""  # `cpu_pool.py` writes it down
        self.kernel = variant.run
        axes = dict(op.cut_axes(ins, attrs) or {})
        operands = (*self.outputs, *ins)
        names = (*self.names, *op.inputs)
        self.axes = tuple(
            axes.get(name) if spec else None for name, spec in zip(names, operands, strict=True)
        )
        self.partial = tuple(
            name in op.partial and name not in axes for name in self.names
        )  # a sum over the ranges, unless this call cuts it too
        self.ranges = self._cut(operands, ins, rows)

    def _cut(
        self, operands: Sequence[Spec | None], ins: Sequence[Spec | None], rows: int | None
    ) -> list[tuple[int, int]]:
        extents = {
            s.shape[a]
            for s, a in zip(operands, self.axes, strict=True)
            if s is not None and a is not None
        }
        if not extents:
            return [(0, -1)]
        if len(extents) > 1:
            raise ValueError(
                f"{self.op.name}: operands cut along one axis differ in length: {sorted(extents)}"
            )
        n = extents.pop()
        most = MOST_PARTIALS if any(self.partial) else MOST_RANGES
        if rows is None and self.op.grain is not None:
            rows = self.op.grain(*ins, **self.attrs)
            if rows is not None and any(self.partial):
                rows = max(rows, -(-n // most))
        if rows is None:
            touched = sum(
                s.nbytes for s, a in zip(operands, self.axes, strict=True) if s and a is not None
            )
            rows = max(-(-n // most), RANGE_BYTES * n // max(touched, 1))
        rows = max(rows, 1)
        return [(lo, min(lo + rows, n)) for lo in range(0, n, rows)] or [(0, 0)]

    def allocate(self, empty: Callable[[Spec], Any]) -> list[Any]:
        """The outputs, made by `empty`; None for those not wanted."""
        return [None if spec is None else empty(spec) for spec in self.outputs]

    def run(self, outs: Sequence[Any], ins: Sequence[Any], runner: Runner = serial) -> None:
        """Fills `outs` from `ins` (and updates inout operands). CPU arrays.

        ValueError if an inout operand is not contiguous: a copy of it would be updated instead.
        """
        ins = self.plain(ins)
        several = len(self.ranges) > 1
        sums = [
            np.empty((len(self.ranges), *out.shape), out.dtype)
            if is_sum and several and out is not None
            else None
            for out, is_sum in zip(outs, self.partial, strict=True)
        ]
        if not several:
            self.run_range(0, outs, ins, sums, self._own_scratch())
            return
        runner(lambda i: self.run_range(i, outs, ins, sums, self._own_scratch()), len(self.ranges))
        for out, partials in zip(outs, sums, strict=True):
            if partials is not None:
                np.add.reduce(partials, axis=0, out=out)

    def run_range(
        self, i: int, outs: Sequence[Any], ins: Sequence[Any], sums: Sequence[Any], scratch: Any
    ) -> None:
        """Range i of a run. sums: of each output that is one, the partial results, one per range;
        None where there is one range.
        """
        lo, hi = self.ranges[i]
        arrays = [*[o if s is None else s[i, ...] for o, s in zip(outs, sums, strict=True)], *ins]
        if len(self.ranges) > 1:
            arrays = [
                a if axis is None or a is None else a[(slice(None),) * axis + (slice(lo, hi),)]
                for a, axis in zip(arrays, self.axes, strict=True)
            ]
        extra: dict[str, Any] = {"start": lo} if self.op.offset else {}
        if scratch is not None:
            extra["scratch"] = scratch
        self.kernel(*arrays, **self.attrs, **extra)

    def plain(self, ins: Sequence[Any]) -> list[Any]:
        """The inputs as `run` takes them: what is not contiguous is copied.

        ValueError if an inout operand is not contiguous: a copy of it would be updated instead.
        """
        return [
            a if a is None or _is_plain(a) else self._plain(name, a)
            for name, a in zip(self.op.inputs, ins, strict=True)
        ]

    def _own_scratch(self) -> np.ndarray | None:
        if self.scratch is None:
            return None
        from .cpu import scratch

        return scratch(self.scratch)

    def run_whole(
        self,
        outs: Sequence[Any],
        ins: Sequence[Any],
        empty: Callable[[Spec], Any],
        assign: Callable[[Any, Any], None] = _assign,
    ) -> None:
        """Fills `outs` from `ins` in one call: for a device that shares the work out itself.

        No partial sums: the kernel makes the whole result. empty: makes an array of the device, in
        the order of the inputs for the copy of each that is not contiguous and on a boundary of 16
        bytes (ValueError if it is inout), then for the scratch. assign: how such a copy is made.
        """
        arrays = [
            a if a is None else self._dense(name, a, empty, assign)
            for name, a in zip(self.op.inputs, ins, strict=True)
        ]
        extra: dict[str, Any] = {"start": 0} if self.op.offset else {}
        if self.scratch is not None:
            extra["scratch"] = empty(self.scratch)
        self.kernel(*outs, *arrays, **self.attrs, **extra)

    def _dense(self, name: str, array: Any, empty: Any, assign: Any) -> Any:
        if array.flags.c_contiguous and address(array) % ALIGNMENT == 0:
            return array
        if name in self.op.inout:
            raise ValueError(
                f"{self.op.name}: {name} is updated in place and must be contiguous"
                f" and on a boundary of {ALIGNMENT} bytes"
            )
        copy = empty(Spec.of(array))
        assign(copy, array)
        return copy

    def _plain(self, name: str, array: Any) -> Any:
        """A C-contiguous, aligned, native copy: what every variant may rely on."""
        if name in self.op.inout:
            raise ValueError(f"{self.op.name}: {name} is updated in place and must be contiguous")
        return np.array(array, dtype=array.dtype.newbyteorder("="), order="C")
