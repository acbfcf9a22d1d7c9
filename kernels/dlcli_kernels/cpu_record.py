"""Kernels that can be written down instead of run.

While a variant's function is recorded, it is given operands that have a shape and a place but no
values, and its kernels only note the calls. Whatever else touches an operand (a ufunc of NumPy, an
assignment, a branch on a value) raises NotNative: then the function has to run as it stands.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np
from numba.core.registry import CPUDispatcher

from .cpu_trampoline import NotNative, trampoline, words_of
from .spec import Spec

ALIGNMENT = 64  # bytes: scratch begins on a cache line, in a recording as in a thread
CONSTANT = 0  # the operand's number of what no call changes: tables, an absent bias
VIEWS = {
    np.array_split,
    np.expand_dims,
    np.moveaxis,
    np.ndim,
    np.reshape,
    np.shape,
    np.size,
    np.split,
    np.swapaxes,
    np.transpose,
}


class Operand(np.ndarray):
    """An array without values: it can be cut, reshaped and asked for its shape."""

    def __array_ufunc__(self, ufunc: Any, *args: Any, **kwargs: Any) -> NoReturn:
        raise NotNative(f"np.{ufunc.__name__} on an operand")

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if func not in VIEWS:
            raise NotNative(f"np.{func.__name__} on an operand")
        return super().__array_function__(func, types, args, kwargs)

    def __getitem__(self, key: Any) -> Any:
        found = super().__getitem__(key)
        if not isinstance(found, Operand):
            raise NotNative("a value of an operand")
        return found


def _refuse(self: Operand, *args: Any, **kwargs: Any) -> NoReturn:
    raise NotNative("values of an operand")


for _name in (
    *("__setitem__", "__iter__", "__float__", "__int__", "__bool__", "__complex__"),
    *("fill", "item", "tolist", "tobytes", "sort", "put", "copy", "astype", "dot"),
):
    setattr(Operand, _name, _refuse)


def operand(spec: Spec) -> Operand:
    """Uninitialised, from a cache line on, with a line to itself behind it."""
    nbytes = int(np.prod(spec.shape)) * np.dtype(spec.dtype).itemsize
    raw = np.empty(nbytes + 2 * ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + nbytes].view(spec.dtype).reshape(spec.shape).view(Operand)


def mark(array: Operand, byte: int) -> None:
    """Puts something into the first page of an operand."""
    array.view(np.ndarray).reshape(-1).view(np.uint8)[:4096] = byte


class Recording:
    """Calls written down, one after the other. operands: by their numbers."""

    def __init__(self, operands: dict[int, Operand]) -> None:
        self.thread = threading.get_ident()
        self.places = [
            (a.ctypes.data, a.ctypes.data + a.nbytes, number) for number, a in operands.items()
        ]
        self.calls: list[tuple[int, np.ndarray]] = []  # trampoline, words
        self.kept: list[Any] = []  # what the words point at

    def note(self, kernel: Kernel, arguments: Sequence[Any]) -> None:
        """Writes down a call. NotNative for arguments that cannot be."""
        plain = [a.view(np.ndarray) if isinstance(a, Operand) else a for a in arguments]
        compiled = kernel.compiled(plain)
        words = [compiled.library.get_pointer_to_function(compiled.fndesc.llvm_cfunc_wrapper_name)]
        for kind, value in zip(compiled.signature.args, arguments, strict=True):
            words += words_of(kind, value, self._place)
        jump = trampoline(compiled.signature.args, compiled.signature.return_type)
        self.calls.append((jump, np.array(words, np.int64)))

    def _place(self, array: np.ndarray) -> tuple[int, int]:
        if not array.size:
            return CONSTANT, 0
        begin = array.ctypes.data
        for lowest, end, number in self.places:
            if lowest <= begin < end:
                return number, begin - lowest
        if isinstance(array, Operand):
            raise NotNative("a copy of an operand")
        self.kept.append(array)
        return CONSTANT, begin


_recording: Recording | None = None
_lock = threading.Lock()


class Kernel(CPUDispatcher):  # type: ignore[misc]
    """A function compiled by Numba: a call runs it, or is written down where a thread records."""

    def __call__(self, *arguments: Any) -> Any:
        recording = _recording
        if recording is None or recording.thread != threading.get_ident():
            return super().__call__(*arguments)
        return recording.note(self, arguments)

    def compiled(self, arguments: Sequence[Any]) -> Any:
        """Numba's result of compiling it for these arguments; compiled now if need be."""
        kinds = tuple(self.typeof_pyval(a) for a in arguments)
        if kinds not in self.overloads:
            self.compile(kinds)
        return self.overloads[kinds]


def recordable(dispatcher: CPUDispatcher) -> Kernel:
    """The same, as a kernel."""
    dispatcher.__class__ = Kernel
    return dispatcher


def check_same(first: Recording, second: Recording) -> None:
    """NotNative unless both wrote down the very same calls.

    A copy of an operand has another place each time, and a value read from one changes with it:
    subclasses of arrays cannot be followed through every function of NumPy's.
    """
    pairs = list(zip(first.calls, second.calls, strict=False))
    same = len(first.calls) == len(second.calls)
    if not same or not all(a == b and np.array_equal(v, w) for (a, v), (b, w) in pairs):
        raise NotNative("an array that is made, or a value that is read, in each call")


def record(function: Callable[[], None], operands: dict[int, Operand]) -> Recording:
    """What kernels function() would run. NotNative where it does anything else with operands."""
    global _recording
    with _lock:
        _recording = Recording(operands)
        try:
            function()
            return _recording
        finally:
            _recording = None
