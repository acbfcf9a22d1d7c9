"""The arguments of a launch in the emulator: checked, and copied far apart from each other."""

from __future__ import annotations

import ctypes
import sys
from typing import Any

import numpy as np

from ..raw import Call, TensorMap
from . import tensor_map
from .records import Buffer, EmulationError, Entry, Param

SIGNED, UNSIGNED, FLOATING, POINTER, CONST_POINTER, OTHER = range(6)
KINDS = {"i": SIGNED, "u": UNSIGNED, "f": FLOATING, "b": UNSIGNED}
APART = 64  # bytes: where the next argument begins


class Arena:
    """The arguments of a launch, checked against the parameters of its kernel."""

    def __init__(self, call: Call, entry: Entry, on: ctypes.CDLL) -> None:
        if len(call.args) != entry.count:
            raise EmulationError(
                f"{name_of(call)} has {entry.count} parameters, "
                f"{len(call.args)} arguments were given"
            )
        self.on = on
        self.arrays: list[tuple[int, np.ndarray, np.ndarray, bool]] = []  # index, given, copy
        values = [
            self._value(i, arg, entry.params[i], f"{name_of(call)}: argument {i + 1}")
            for i, arg in enumerate(call.args)
        ]
        self._refuse_aliases(call, entry)
        starts = np.cumsum([0, *(-(-len(v) // APART) * APART for v in values)]).tolist()
        self._room = (ctypes.c_ubyte * (starts[-1] + APART))()
        self.begin = -(-ctypes.addressof(self._room) // APART) * APART
        self.end = self.begin + starts[-1]
        for start, value in zip(starts, values, strict=False):
            ctypes.memmove(self.begin + start, value, len(value))
        self.pointers = (ctypes.c_void_p * len(starts))(*(self.begin + s for s in starts))
        self.buffers = (Buffer * len(self.arrays))(
            *(
                Buffer(
                    begin=copy.ctypes.data,
                    end=copy.ctypes.data + copy.nbytes,
                    argument=i,
                    writable=any(w for *_, c, w in self.arrays if c is copy),
                    grain=min(copy.itemsize, 4),
                )
                for i, _, copy, _ in self.arrays
            )
        )

    def _value(self, index: int, arg: Any, param: Param, where: str) -> bytes:
        pointer = param.kind in (POINTER, CONST_POINTER)
        if arg is None:
            if not pointer:
                raise EmulationError(f"{where} is None, the parameter is no pointer")
            return bytes(8)
        if isinstance(arg, np.ndarray):
            if not pointer:
                raise EmulationError(f"{where} is an array, the parameter is no pointer")
            kind = KINDS.get(arg.dtype.kind, OTHER)
            same = param.to_size == arg.itemsize and param.to_kind in (OTHER, kind)
            if param.to_size and not same and not _reinterpreted(arg, param):
                raise EmulationError(f"{where} is {arg.dtype}, which the pointer is not to")
            return self._copy(index, arg, param.kind == POINTER, where).to_bytes(8, sys.byteorder)
        if isinstance(arg, TensorMap):
            if param.kind != OTHER or param.size != tensor_map.BYTES:
                raise EmulationError(f"{where} is a tensor map, the parameter is none")
            try:
                return tensor_map.encode(arg, self._copy(index, arg.array, False, where))
            except ValueError as error:
                raise EmulationError(f"{where}: {error}") from error
        scalar = _scalar(arg, where)
        kind = KINDS.get(scalar.dtype.kind, OTHER)  # a struct is a void scalar
        if pointer or scalar.itemsize != param.size or kind != param.kind:
            raise EmulationError(f"{where} is a {scalar.dtype}, the parameter is of another type")
        return scalar.tobytes()

    def _copy(self, index: int, array: np.ndarray, writable: bool, where: str) -> int:
        if not array.flags.c_contiguous:
            raise EmulationError(f"{where} is not contiguous")
        for _, other, copy, _ in self.arrays:
            if other.ctypes.data == array.ctypes.data and other.nbytes == array.nbytes:
                if array.nbytes:
                    self.arrays.append((index, array, copy, writable))
                    return copy.ctypes.data
            elif np.may_share_memory(other, array):
                raise EmulationError(f"{where} overlaps another argument")
        copy = self._place(index, array)
        copy[...] = array
        self.arrays.append((index, array, copy, writable))
        return copy.ctypes.data

    def _place(self, slot: int, array: np.ndarray) -> np.ndarray:
        """Room for an array, further from other arguments than an index of 32 bits reaches."""
        off = array.ctypes.data % 16
        self.on.dlcli_place.restype = ctypes.c_void_p
        start = self.on.dlcli_place(slot, ctypes.c_size_t(array.nbytes + off))
        if not start:
            raise MemoryError(f"{array.nbytes} bytes for an argument of a kernel")
        room = (ctypes.c_ubyte * array.nbytes).from_address(start + off)
        return np.frombuffer(room, array.dtype, array.size).reshape(array.shape)

    def _refuse_aliases(self, call: Call, entry: Entry) -> None:
        """__restrict__ promises that what one pointer writes is read through no other."""
        promised = (entry.restricted or b"").decode()
        for i, _, copy, _ in self.arrays:
            same = [(j, writable) for j, _, other, writable in self.arrays if other is copy]
            if len(same) > 1 and any(w for _, w in same) and promised[i : i + 1] == "1":
                others = " and ".join(str(j + 1) for j, _ in same)
                raise EmulationError(
                    f"{name_of(call)}: arguments {others} are one array, which is written to; "
                    f"argument {i + 1} is declared __restrict__"
                )

    def copy_back(self) -> None:
        """What the kernel wrote, in the arrays that were given."""
        for _, array, copy, writable in self.arrays:
            if writable:
                array[...] = copy


def _reinterpreted(array: np.ndarray, param: Param) -> bool:
    """Whether a kernel may take the array by another type.

    16-bit floats as bits, raw bytes as anything, several elements as one vector.
    """
    if param.to_kind == OTHER and param.to_size % array.itemsize == 0:
        return array.nbytes % param.to_size == 0
    return array.itemsize == param.to_size and (
        array.dtype.kind == "V" or (array.itemsize == 2 and array.dtype.kind not in "iu")
    )


def _scalar(arg: Any, where: str) -> np.generic:
    if isinstance(arg, bool) or not isinstance(arg, int | float | np.generic):
        raise EmulationError(f"{where}: {type(arg).__name__} cannot be passed to a kernel")
    if isinstance(arg, np.generic):
        return arg
    if isinstance(arg, float):
        return np.float32(arg)
    return np.int32(arg)  # OverflowError where it does not fit


def name_of(call: Call) -> str:
    """The kernel of a launch as messages name it."""
    return f"{call.kernel.source.name}: {call.kernel.name}"
