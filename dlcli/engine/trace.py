"""What a function does on the device, written down while it does it: kernels and their memory.

A `Tracer` is the executor in use meanwhile. Every array is something made on the way, something
given, of which only the values change from call to call, or something kept, such as a parameter.
Two traces are the same where the same kernels ran on the same memory.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from dlcli_kernels.launch import Launch, address
from dlcli_kernels.registry import Variant
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
    """make(*ins) ran on the host and gave the values of array `number` of those that are hosted.

    make: `as_it_is` where the values of the host were brought to the device.
    """

    make: Callable[..., np.ndarray]
    ins: tuple[Place | None, ...]
    number: int
    spec: Spec

    outs = ()


class Made(NamedTuple):
    """An array that was made, by its number and address."""

    number: int
    begin: int
    spec: Spec

    @property
    def about(self) -> tuple[tuple[int, ...], np.dtype]:
        """For a view of it."""
        return self.spec.shape, self.spec.dtype


class Trace:
    """calls: what ran. sizes: bytes of what was made, in order. alive: what of it is still in use
    at the end, by its number. hosted: of the device, what the host has made. kept: by their ids, so
    that nothing else takes those.
    """

    def __init__(self) -> None:
        self.calls: list[Call | HostCall] = []
        self.sizes: list[int] = []
        self.alive: dict[int, Any] = {}
        self.hosted: list[Any] = []
        self.kept: dict[int, Any] = {}
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
        self._living: dict[int, tuple[Made, Any]] = {}  # by the id of what owns the memory

    def finish(self) -> Trace:
        """The trace; what is still alive of what was made is known from now on."""
        for made, reference in self._living.values():
            if (owner := reference()) is not None:
                offset = made.begin - address(owner)
                self.trace.alive[made.number] = self.inner.view(owner, offset, *made.about)
        return self.trace

    def refuse(self, why: str) -> None:
        """Notes why this cannot be repeated, unless it is known already."""
        self.trace.refusal = self.trace.refusal or why

    def empty(self, spec: Spec) -> Any:
        array = self.inner.empty(spec)
        owner = _owner(array)
        own, made = id(owner), Made(len(self.trace.sizes), address(array), spec)
        self._living[own] = made, weakref.ref(owner, lambda _: self._living.pop(own, None))
        self.trace.sizes.append(array.nbytes)
        return array

    def zeros(self, spec: Spec) -> Any:
        made = self.empty(spec)
        self.run(find_op("fill"), [made], {"value": 0.0}, False)
        return made

    def put(self, values: np.ndarray) -> Any:
        made = self.inner.put(values)
        return made if made is values else self._hosted(as_it_is, [values], Spec.of(values), made)

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
        with using(self.inner):  # what it reads and writes there, it will read and write again
            values = np.array(self.inner.on_host(make, operands))
        return self._hosted(make, operands, Spec.of(values), self.inner.put(values))

    def has_kernel(self, op: Op) -> bool:
        return self.inner.has_kernel(op)

    def resolve(self, op: Op, specs: Sequence[Spec | None], attrs: dict[str, Any]) -> Variant:
        return self.inner.resolve(op, specs, attrs)

    def _hosted(self, make: Any, operands: Sequence[Any], spec: Spec, made: Any) -> Any:
        places = tuple(self._place(a) for a in operands)
        self.trace.calls.append(HostCall(make, places, len(self.trace.hosted), spec))
        self.trace.hosted.append(made)
        return made

    def _place(self, array: Any) -> Place | None:
        if array is None:
            return None
        if not hasattr(array, "base") or isinstance(array, np.generic):
            self.refuse("an operand is no array")
            return None
        about = array.shape, array.dtype, array.strides
        owner, begin = _owner(array), address(array)
        if id(owner) in self._living:
            made, _ = self._living[id(owner)]
            return Place(MADE, made.number, begin - made.begin, *about)
        for k, hosted in enumerate(self.trace.hosted):
            if _owner(hosted) is owner:
                return Place(HOSTED, k, begin - address(hosted), *about)
        for k, given in enumerate(self.given):
            if 0 <= begin - address(given) < given.nbytes:
                return Place(GIVEN, k, begin - address(given), *about)
        self.trace.kept[id(owner)] = owner
        return Place(KEPT, id(owner), begin - address(owner), *about, array)


def _owner(array: Any) -> Any:
    """The array whose memory it is a part of; that may lie in something that is no array."""
    while hasattr(array.base, "base"):
        array = array.base
    return array


def as_it_is(values: np.ndarray) -> np.ndarray:
    """The values."""
    return values
