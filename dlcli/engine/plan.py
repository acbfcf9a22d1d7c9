"""A plan: a list of calls on fixed memory. What all devices' plans share.

It is made of a trace. What is made on the way lies in an arena, what is still in use at the end has
its own memory, and is overwritten when the plan runs again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from dlcli_kernels.launch import view

from .arena import Block, lay_out
from .executor import Executor
from .trace import GIVEN, HOSTED, KEPT, MADE, Call, HostCall, Place, Trace


class Plan:
    """`run` repeats the calls of a trace on the arrays that it is given.

    calls: those of the trace, in the order in which they run. beside(call): bytes, by names of its
    own, that a call needs for itself. bytes: of the arena that the plan takes. MemoryError.
    """

    def __init__(
        self,
        trace: Trace,
        device: Executor,
        calls: Sequence[Call | HostCall],
        beside: Callable[[Call], dict[Any, int]],
    ) -> None:
        self.trace, self.device, self.calls = trace, device, calls
        self.arena = device.arena
        uses: dict[Any, list[int]] = {}
        sizes: dict[Any, int] = {}
        for i, call in enumerate(calls):
            for place in (*call.outs, *call.ins):
                if place is not None and self.in_arena(place):
                    uses.setdefault(place.number, []).append(i)
                    sizes[place.number] = trace.sizes[place.number]
            for name, nbytes in (beside(call) if isinstance(call, Call) else {}).items():
                uses[i, name], sizes[i, name] = [i], nbytes
        blocks = [Block(sizes[key], used[0], used[-1]) for key, used in uses.items()]
        offsets, self.bytes = lay_out(blocks, self.arena.alignment)
        self.offsets: dict[Any, int] = dict(zip(uses, offsets, strict=True))
        self.arena.hold(self.bytes)

    def run(self, given: Sequence[np.ndarray]) -> None:
        """Repeats the calls. given: C-contiguous arrays of the shapes and types of the traced."""
        raise NotImplementedError

    def in_arena(self, place: Place) -> bool:
        """Whether it is made on the way and gone at the end."""
        return place.kind == MADE and place.number not in self.trace.alive

    def where(self, place: Place | None) -> str:
        """Where something lies, in words: its KiB of the arena, or what else it is."""
        if place is None or place.kind == KEPT:
            return "" if place is None else "kept"
        if self.in_arena(place):
            return f"{(self.offsets[place.number] + place.offset) / 1024:,.0f}"
        return {GIVEN: "batch", HOSTED: "host"}.get(place.kind, "result")

    def array(self, place: Place | None, given: Sequence[np.ndarray] = ()) -> Any:
        """The array at a place: of the device, or of the host where it is given."""
        if place is None or place.kind == KEPT:
            return None if place is None else place.array
        about = place.shape, place.dtype, place.strides
        if place.kind == GIVEN:
            return view(given[place.number], place.offset, *about)
        if self.in_arena(place):
            offset = self.offsets[place.number] + place.offset
            return self.device.view(self.arena.memory, offset, *about)
        owner = self.trace.hosted if place.kind == HOSTED else self.trace.alive
        return self.device.view(owner[place.number], place.offset, *about)

    def make_on_host(self, call: HostCall, given: Sequence[np.ndarray]) -> None:
        """Calls the function of the host. ValueError if it makes another shape or type."""
        made = self.device.on_host(call.make, [self.array(place, given) for place in call.ins])
        if made.shape != call.spec.shape or made.dtype != call.spec.dtype:
            raise ValueError(f"a plan is for {call.spec}, not {made.shape} {made.dtype}")
        self.device.write(self.trace.hosted[call.number], made)


def is_plain(place: Place) -> bool:
    """Whether it is C-contiguous, aligned, and of the machine's own byte order."""
    step = place.dtype.itemsize
    for extent, stride in zip(reversed(place.shape), reversed(place.strides), strict=True):
        if extent > 1 and stride != step:
            return False
        step *= extent
    return place.dtype.isnative and place.offset % place.dtype.itemsize == 0
