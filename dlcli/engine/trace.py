"""What a function does on the device, written down while it does it: kernels and their memory.

A `Tracer` is the executor in use meanwhile. Every array is something made on the way, something
given, of which only the values change from call to call, or something kept, such as a parameter.
Two traces are the same where the same kernels ran on the same memory.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from dlcli_kernels.launch import Launch
from dlcli_kernels.registry import op as find_op
from dlcli_kernels.spec import Op, Spec

from .executor import Executor, using

MADE, GIVEN, HOSTED, KEPT = "made", "given", "hosted", "kept"


@dataclass(frozen=True)
class Place:
    """Where an array lies: `offset` bytes into the memory `number` of a kind. array: the very same,
    where it is kept.
    """

    kind: str
    number: int
    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype
    strides: tuple[int, ...]
    array: Any = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Call:
    """A kernel that ran."""

    launch: Launch
    outs: tuple[Place | None, ...]
    ins: tuple[Place | None, ...]


@dataclass(frozen=True)
class HostCall:
    """make(*ins) ran on the host and gave the values of array `number` of those that are hosted."""

    make: Callable[..., np.ndarray]
    ins: tuple[Place | None, ...]
    number: int
    spec: Spec

    outs = ()


class Trace:
    """calls: what ran. sizes: bytes of what was made, in order. alive: what of it is still in use
    at the end, by its number. hosted: what the host has made. kept: by their ids, so that nothing
    else takes those.
    """

    def __init__(self) -> None:
        self.calls: list[Call | HostCall] = []
        self.sizes: list[int] = []
        self.alive: dict[int, np.ndarray] = {}
        self.hosted: list[np.ndarray] = []
        self.kept: dict[int, np.ndarray] = {}
        self.refusal = ""

    def same(self, other: Trace) -> bool:
        """Whether both are one list of calls."""
        return self.calls == other.calls and self.sizes == other.sizes


class Tracer(Executor):
    """Passes everything on to `inner`, and writes down the kernels.

    given: arrays whose values change from call to call. What cannot be repeated, as the reading of
    a value, makes a refusal; everything goes on as usual.
    """

    def __init__(self, inner: Executor, given: Sequence[np.ndarray]) -> None:
        self.inner, self.launches = inner, inner.launches
        self.device, self.precision, self.threads = inner.device, inner.precision, inner.threads
        self.trace = Trace()
        self.given = list(given)
        self._living: dict[int, tuple[int, Any]] = {}  # id -> number, and a weak reference

    def finish(self) -> Trace:
        """The trace; what is still alive of what was made is known from now on."""
        for number, reference in self._living.values():
            if (array := reference()) is not None:
                self.trace.alive[number] = array
        return self.trace

    def refuse(self, why: str) -> None:
        """Notes why this cannot be repeated, unless it is known already."""
        self.trace.refusal = self.trace.refusal or why

    def empty(self, spec: Spec) -> Any:
        made = self.inner.empty(spec)
        own, number = id(made), len(self.trace.sizes)
        self._living[own] = number, weakref.ref(made, lambda _: self._living.pop(own, None))
        self.trace.sizes.append(made.nbytes)
        return made

    def zeros(self, spec: Spec) -> Any:
        made = self.empty(spec)
        self.run(find_op("fill"), [made], {"value": 0.0}, False)
        return made

    def put(self, values: np.ndarray) -> Any:
        return self.inner.put(values)

    def get(self, array: Any) -> np.ndarray:
        self.refuse("a value is read in the midst of it")
        return self.inner.get(array)

    def write(self, array: Any, values: Any) -> None:
        self.refuse("a value is written in the midst of it")
        self.inner.write(array, values)

    def copy(self, array: Any) -> Any:
        self.refuse("an array is copied in the midst of it")
        return self.inner.copy(array)

    def call(self, launch: Launch, outs: Sequence[Any], arrays: Sequence[Any]) -> None:
        places = [tuple(self._place(a) for a in some) for some in (outs, arrays)]
        self.inner.call(launch, outs, arrays)
        self.trace.calls.append(Call(launch, *places))

    def made_on_host(self, make: Callable[..., np.ndarray], *operands: Any) -> Any:
        places = tuple(self._place(a) for a in operands)
        with using(self.inner):  # what it reads and writes there, it will read and write again
            made = np.array(make(*operands), order="C")
        self.trace.calls.append(HostCall(make, places, len(self.trace.hosted), Spec.of(made)))
        self.trace.hosted.append(made)
        return made

    def has_kernel(self, op: Op) -> bool:
        return self.inner.has_kernel(op)

    def _place(self, array: Any) -> Place | None:
        if array is None:
            return None
        if not isinstance(array, np.ndarray):
            self.refuse("an operand is no array")
            return None
        about = array.shape, array.dtype, array.strides
        root, begin = array, array.ctypes.data
        while isinstance(root.base, np.ndarray):
            root = root.base
        if id(root) in self._living:
            return Place(MADE, self._living[id(root)][0], begin - root.ctypes.data, *about)
        for k, hosted in enumerate(self.trace.hosted):
            if hosted is root:
                return Place(HOSTED, k, begin - root.ctypes.data, *about)
        for k, given in enumerate(self.given):
            if 0 <= begin - given.ctypes.data < given.nbytes:
                return Place(GIVEN, k, begin - given.ctypes.data, *about)
        self.trace.kept[id(root)] = root
        return Place(KEPT, id(root), begin - root.ctypes.data, *about, array)
