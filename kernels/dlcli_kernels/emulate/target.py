"""The emulator as a target of launches: arrays are NumPy's, a launch is one call of the runtime."""

from __future__ import annotations

import ctypes
import functools
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..raw import Call, Kernel, LaunchError, TensorMap
from ..spec import Spec
from . import build
from .locate import places

ORDERS = ("forward", "reverse", "shuffled")  # of the threads of a block, and of the blocks
GAP = 1 << 16  # bytes between arrays: what misses one does not land in the next
ALIGNMENT = 512  # of an array, as CuPy allocates it
BUDGET = 4_000_000_000  # accesses of one launch
SIGNED, UNSIGNED, FLOATING, POINTER, CONST_POINTER, OTHER = range(6)
KINDS = {"i": SIGNED, "u": UNSIGNED, "f": FLOATING, "b": UNSIGNED}


class EmulationError(LaunchError):
    """What a kernel did wrong. `places`: "matmul/x.cu:57" of the fault, then of what it clashed with."""

    def __init__(self, message: str, places: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.places = places


class _Index(ctypes.Structure):
    _fields_ = (("x", ctypes.c_uint), ("y", ctypes.c_uint), ("z", ctypes.c_uint))

    def __str__(self) -> str:
        return f"({self.x},{self.y},{self.z})"

    @property
    def known(self) -> bool:
        return self.x != 0xFFFFFFFF


class _Param(ctypes.Structure):
    _fields_ = (
        ("kind", ctypes.c_int),
        ("size", ctypes.c_int),
        ("to_kind", ctypes.c_int),
        ("to_size", ctypes.c_int),
    )


class _Entry(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("call", ctypes.c_void_p),
        ("params", ctypes.POINTER(_Param)),
        ("count", ctypes.c_int),
    )


class _Buffer(ctypes.Structure):
    _fields_ = (
        ("begin", ctypes.c_void_p),
        ("end", ctypes.c_void_p),
        ("argument", ctypes.c_int),
        ("writable", ctypes.c_int),
        ("grain", ctypes.c_int),
    )


class _Launch(ctypes.Structure):
    _fields_ = (
        ("entry", ctypes.POINTER(_Entry)),
        ("args", ctypes.POINTER(ctypes.c_void_p)),
        ("values_begin", ctypes.c_void_p),
        ("values_end", ctypes.c_void_p),
        ("grid", _Index),
        ("block", _Index),
        ("dynamic_bytes", ctypes.c_size_t),
        ("static_begin", ctypes.c_void_p),
        ("static_end", ctypes.c_void_p),
        ("image_begin", ctypes.c_void_p),
        ("image_end", ctypes.c_void_p),
        ("buffers", ctypes.POINTER(_Buffer)),
        ("buffer_count", ctypes.c_int),
        ("cooperative", ctypes.c_int),
        ("order", ctypes.c_int),
        ("seed", ctypes.c_uint),
        ("budget", ctypes.c_ulonglong),
    )


class _Report(ctypes.Structure):
    _fields_ = (
        ("what", ctypes.c_char * 256),
        ("pc", ctypes.c_void_p * 2),
        ("thread", _Index * 2),
        ("block", _Index * 2),
        ("count", ctypes.c_int),
        ("offset", ctypes.c_longlong),
        ("argument", ctypes.c_int),
    )


class _Value(ctypes.Structure):
    """Room for one argument; the array of them is addressed by _Launch.args."""

    _fields_ = (("bytes", ctypes.c_longlong * 32),)


class _Library:
    """A compiled source: its kernels by name, its static shared memory, its place in memory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        loaded = ctypes.CDLL(str(path))
        pointer = functools.partial(ctypes.c_void_p.in_dll, loaded)
        self.shared = pointer("dlcli_shared_begin").value, pointer("dlcli_shared_end").value
        self.image = pointer("dlcli_image_begin").value, pointer("dlcli_image_end").value
        self.entries: dict[str, _Entry] = {}
        first = ctypes.addressof(_Entry.in_dll(loaded, "dlcli_entries"))
        for i in range(1 << 10):
            entry = _Entry.from_address(first + i * ctypes.sizeof(_Entry))
            if not entry.name:
                break
            self.entries[entry.name.decode()] = entry


@functools.cache
def _load(path: Path) -> _Library:
    return _Library(path)


@functools.lru_cache(maxsize=4096)
def _library(kernel: Kernel) -> _Library:
    return _load(build.library(kernel))


class Emulator:
    """A raw.Target that runs kernels on the CPU, in the order of threads `order`.

    launches: how many it has carried out.
    """

    arch = "sm_90"
    multiprocessors = 8  # few: work is cut into few pieces
    orders = ORDERS

    def __init__(self, order: str = "forward", seed: int = 1, budget: int = BUDGET) -> None:
        self.order, self.seed, self.budget, self.launches = order, seed, budget, 0

    def empty(self, spec: Spec) -> np.ndarray:
        """An uninitialised array on a boundary of 512 bytes, as a GPU's allocator gives."""
        return _aligned(spec.shape, spec.dtype)

    def put(self, array: np.ndarray) -> np.ndarray:
        """A copy."""
        out = _aligned(array.shape, array.dtype)
        out[...] = array
        return out

    def get(self, array: np.ndarray) -> np.ndarray:
        """A copy."""
        return np.array(array)

    @contextmanager
    def ordered(self, order: str) -> Iterator[None]:
        """Launches run the threads in this order inside."""
        before, self.order = self.order, order or self.order
        try:
            yield
        finally:
            self.order = before

    def launch(self, call: Call) -> None:
        """Runs a kernel to its end. EmulationError if it does what a kernel may not do."""
        library = _library(call.kernel)
        entry = library.entries.get(call.kernel.name)
        if entry is None:
            raise EmulationError(
                f'{call.kernel.source.name} has no extern "C" kernel {call.kernel.name}: '
                f"it has {', '.join(library.entries) or 'none'}"
            )
        threads = call.block[0] * call.block[1] * call.block[2]
        if not 0 < threads <= 1024:
            raise EmulationError(f"{_name(call)}: a block of {threads} threads; 1 to 1024 can be")
        arena = _Arena(call, entry)
        launch = _Launch(
            entry=ctypes.pointer(entry),
            args=arena.pointers,
            values_begin=ctypes.addressof(arena.values),
            values_end=ctypes.addressof(arena.values) + ctypes.sizeof(arena.values),
            grid=_Index(*call.grid),
            block=_Index(*call.block),
            dynamic_bytes=call.shared,
            static_begin=library.shared[0],
            static_end=library.shared[1],
            image_begin=library.image[0],
            image_end=library.image[1],
            buffers=arena.buffers,
            buffer_count=len(arena.buffers),
            cooperative=call.cooperative,
            order=ORDERS.index(self.order),
            seed=self.seed,
            budget=self.budget,
        )
        self.launches += 1
        runtime = build.runtime()
        if runtime.dlcli_launch(ctypes.byref(launch)):
            runtime.dlcli_report.restype = ctypes.POINTER(_Report)
            raise _error(call, library, arena, runtime.dlcli_report().contents)
        arena.copy_back()


class _Arena:
    """The arguments of a launch: checked against the parameters, arrays copied apart from each other."""

    def __init__(self, call: Call, entry: _Entry) -> None:
        if len(call.args) != entry.count:
            raise EmulationError(
                f"{_name(call)} has {entry.count} parameters, {len(call.args)} arguments were given"
            )
        self.arrays: list[tuple[int, np.ndarray, np.ndarray, bool]] = []
        self.values = (_Value * max(entry.count, 1))()
        for i, arg in enumerate(call.args):
            where = f"{_name(call)}: argument {i + 1}"
            value = self._value(i, arg, entry.params[i], where)
            ctypes.memmove(ctypes.byref(self.values[i]), value, len(value))
        self.pointers = (ctypes.c_void_p * len(self.values))(*map(ctypes.addressof, self.values))
        self.buffers = (_Buffer * len(self.arrays))(
            *(
                _Buffer(
                    begin=copy.ctypes.data,
                    end=copy.ctypes.data + copy.nbytes,
                    argument=i,
                    writable=writable,
                    grain=min(copy.itemsize, 4),
                )
                for i, _, copy, writable in self.arrays
            )
        )

    def _value(self, index: int, arg: Any, param: _Param, where: str) -> bytes:
        pointer = param.kind in (POINTER, CONST_POINTER)
        if arg is None:
            if not pointer:
                raise EmulationError(f"{where} is None, the parameter is no pointer")
            return bytes(8)
        if isinstance(arg, np.ndarray):
            if not pointer:
                raise EmulationError(f"{where} is an array, the parameter is no pointer")
            kind = KINDS.get(arg.dtype.kind, OTHER)
            if param.to_size and (param.to_size != arg.itemsize or OTHER != param.to_kind != kind):
                if not _reinterpreted(arg, param):
                    raise EmulationError(f"{where} is {arg.dtype}, which the pointer is not to")
            return self._copy(index, arg, param.kind == POINTER, where).to_bytes(8, sys.byteorder)
        if isinstance(arg, TensorMap):
            raise EmulationError(f"{where} is a tensor map: bulk copies are not emulated")
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
        copy = _aligned(array.shape, array.dtype, array.ctypes.data % 16)
        copy[...] = array
        self.arrays.append((index, array, copy, writable))
        return copy.ctypes.data

    def copy_back(self) -> None:
        """What the kernel wrote, in the arrays that were given."""
        for _, array, copy, writable in self.arrays:
            if writable:
                array[...] = copy


def _reinterpreted(array: np.ndarray, param: _Param) -> bool:
    """Whether a kernel may take the array by another type: 16-bit floats as bits, raw bytes."""
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


def _aligned(shape: tuple[int, ...], dtype: np.dtype, off: int = 0) -> np.ndarray:
    """An uninitialised array `off` bytes past a boundary, far from others."""
    size = Spec(shape, np.dtype(dtype)).nbytes
    raw = np.empty(size + 2 * GAP, np.uint8)
    start = GAP + (-(raw.ctypes.data + GAP) % ALIGNMENT) + off
    return raw[start : start + size].view(dtype).reshape(shape)


def _name(call: Call) -> str:
    return f"{call.kernel.source.name}: {call.kernel.name}"


def _error(call: Call, library: _Library, arena: _Arena, report: _Report) -> EmulationError:
    pcs = [report.pc[i] - library.image[0] for i in range(report.count)]
    lines = places(library.path, pcs)
    message = f"{lines[0]}: {report.what.decode()}"
    if report.argument >= 0:
        array = next(a for i, a, _, _ in arena.arrays if i == report.argument)
        message += (
            f" (the nearest is argument {report.argument + 1} of {call.kernel.name}, {array.shape} "
            f"{array.dtype}: at byte {report.offset} of {array.nbytes})"
        )
    message += f"; thread {report.thread[0]} of block {report.block[0]}"
    if report.count == 2:
        message += f"; the other at {lines[1]}"
        if report.thread[1].known:
            message += f", thread {report.thread[1]}"
        if report.block[1].known and str(report.block[1]) != str(report.block[0]):
            message += f", block {report.block[1]}"
    return EmulationError(f"{message} [{call.kernel.label()}]", tuple(lines))
