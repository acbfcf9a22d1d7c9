"""A plan: a list of calls on fixed memory, repeated without Python where they are only kernels.

It is made of a trace. What is made on the way lies in an arena, what is still in use at the end has
its own memory, and is overwritten when the plan runs again.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from typing import Any

import numpy as np
from dlcli_kernels.cpu_pool import Pool, write_down

from .arena import Arena, Block, lay_out
from .trace import GIVEN, HOSTED, KEPT, MADE, Call, HostCall, Place, Trace


class Native:
    """Programs one after the other: `how_many` from the word `first` of the plan's on."""

    def __init__(self, first: int, how_many: int = 0, scratch: int = 0) -> None:
        self.first, self.how_many, self.scratch = first, how_many, scratch

    def run(self, plan: Plan, given: Sequence[np.ndarray]) -> None:
        plan.pool.perform_all(plan.address + 8 * self.first, self.how_many, self.scratch)


class Python:
    """A kernel that is no program, or is given an array that has to be copied first."""

    def __init__(self, call: Call) -> None:
        self.call = call

    def run(self, plan: Plan, given: Sequence[np.ndarray]) -> None:
        outs, ins = (
            [plan.array(p, given) for p in some] for some in (self.call.outs, self.call.ins)
        )
        plan.pool.run_launch(self.call.launch, outs, ins)


class Host:
    """A function of the host."""

    def __init__(self, call: HostCall) -> None:
        self.call = call

    def run(self, plan: Plan, given: Sequence[np.ndarray]) -> None:
        made = self.call.make(*[plan.array(place, given) for place in self.call.ins])
        if made.shape != self.call.spec.shape or made.dtype != self.call.spec.dtype:
            raise ValueError(f"a plan is for {self.call.spec}, not {made.shape} {made.dtype}")
        np.copyto(plan.trace.hosted[self.call.number], made)


class Plan:
    """`run` repeats the calls of a trace on the arrays that it is given.

    steps: runs of programs, and what is not one. bytes: of the arena that it takes. MemoryError.
    """

    def __init__(self, trace: Trace, pool: Pool, arena: Arena) -> None:
        self.trace, self.pool, self.arena = trace, pool, arena
        for call in trace.calls:
            if isinstance(call, Call):
                write_down(call.launch)
        self._offsets, self.bytes = self._lay_out()
        self._words: list[int] = []
        self._in_arena: list[tuple[int, int]] = []  # word, offset
        self._in_given: dict[int, list[tuple[int, int]]] = {}
        self.steps: list[Native | Python | Host] = []
        self._alone: list[Native | Python | Host] = []  # each call by itself
        for i, call in enumerate(trace.calls):
            self._append(i, call)
        self.words = np.array(self._words, np.int64)
        self.address = self.words.ctypes.data
        arena_words = np.array(self._in_arena, np.int64).reshape(-1, 2)
        self._arena_words, self._arena_offsets = arena_words[:, 0], arena_words[:, 1]
        self._given_words = {
            k: (np.array([w for w, _ in pairs]), np.array([o for _, o in pairs]))
            for k, pairs in self._in_given.items()
        }
        self._begin = -1
        arena.hold(self.bytes)

    def run(self, given: Sequence[np.ndarray]) -> None:
        """Repeats the calls. given: C-contiguous arrays of the shapes and types of the traced."""
        if self._begin != self.arena.begin:  # it has moved, for a larger plan
            self._begin = self.arena.begin
            self.words[self._arena_words] = self._begin + self._arena_offsets
        for k, (words, offsets) in self._given_words.items():
            self.words[words] = given[k].ctypes.data + offsets
        for step in self.steps:
            step.run(self, given)

    def timed(self, given: Sequence[np.ndarray], repeats: int) -> list[float]:
        """Median seconds of each call by itself, all of them in their order `repeats` times. A call
        from Python, about two microseconds, is a part of it.
        """
        times = np.empty((repeats, len(self._alone)))
        self.run(given)
        for row in times:
            for i, call in enumerate(self._alone):
                begun = perf_counter()
                call.run(self, given)
                row[i] = perf_counter() - begun
        return list(np.median(times, axis=0))

    def where(self, place: Place | None) -> str:
        """Where something lies, in words: its KiB of the arena, or what else it is."""
        if place is None or place.kind == KEPT:
            return "" if place is None else "kept"
        if place.kind == MADE and place.number not in self.trace.alive:
            return f"{(self._offsets[place.number] + place.offset) / 1024:,.0f}"
        return {GIVEN: "batch", HOSTED: "host"}.get(place.kind, "result")

    def array(self, place: Place | None, given: Sequence[np.ndarray]) -> np.ndarray | None:
        """The array at a place."""
        if place is None or place.kind == KEPT:
            return None if place is None else place.array
        offset: int = place.offset
        if place.kind == GIVEN:
            memory: Any = given[place.number]
        elif place.kind == HOSTED:
            memory = self.trace.hosted[place.number]
        elif place.number in self.trace.alive:
            memory = self.trace.alive[place.number]
        else:
            memory, offset = self.arena.memory, offset + self._offsets[place.number]
        flat = memory.reshape(-1).view(np.uint8)
        return np.ndarray(place.shape, place.dtype, flat, offset, place.strides)

    # --- laying out

    def _lay_out(self) -> tuple[dict[Any, int], int]:
        """Where in the arena everything begins that is made and gone again: by its number, and
        partial results by call and output.
        """
        uses: dict[Any, list[int]] = {}
        sizes: dict[Any, int] = {}
        for i, call in enumerate(self.trace.calls):
            for place in (*call.outs, *call.ins):
                if place is not None and place.kind == MADE:
                    uses.setdefault(place.number, []).append(i)
                    sizes[place.number] = self.trace.sizes[place.number]
            for k, spec in enumerate(_sums(call)):
                if spec is not None:
                    uses[i, k], sizes[i, k] = [i], spec.nbytes
        keys = [key for key in uses if key not in self.trace.alive]
        offsets, end = lay_out([Block(sizes[k], uses[k][0], uses[k][-1]) for k in keys])
        return dict(zip(keys, offsets, strict=True)), end

    def _append(self, i: int, call: Call | HostCall) -> None:
        if isinstance(call, HostCall):
            self._alone.append(Host(call))
            self.steps.append(self._alone[-1])
            return
        launch = call.launch
        if launch.program is None or not all(p is None or _is_plain(p) for p in call.ins):
            self._alone.append(Python(call))
            self.steps.append(self._alone[-1])
            return
        if not self.steps or not isinstance(self.steps[-1], Native):
            self.steps.append(Native(len(self._words)))
        native = self.steps[-1]
        assert isinstance(native, Native)
        native.how_many += 1
        native.scratch = max(native.scratch, launch.program.scratch)
        self._alone.append(Native(len(self._words), 1, launch.program.scratch))
        self._words.append(launch.program.address)
        for place in (*call.outs, *call.ins):
            self._operand(place)
        for k, spec in enumerate(_sums(call)):
            if spec is not None:
                self._in_arena.append((len(self._words), self._offsets[i, k]))
            self._words.append(0)

    def _operand(self, place: Place | None) -> None:
        word, address = len(self._words), 0
        if place is None:
            pass
        elif place.kind == GIVEN:
            self._in_given.setdefault(place.number, []).append((word, place.offset))
        elif place.kind == KEPT:
            address = place.array.ctypes.data
        elif place.kind == HOSTED:
            address = self.trace.hosted[place.number].ctypes.data + place.offset
        elif place.number in self.trace.alive:
            address = self.trace.alive[place.number].ctypes.data + place.offset
        else:
            self._in_arena.append((word, self._offsets[place.number] + place.offset))
        self._words.append(address)


def _sums(call: Call | HostCall) -> Sequence[Any]:
    """The partial results of a call: specs, or None where an output is no sum."""
    program = call.launch.program if isinstance(call, Call) else None
    return () if program is None else program.sums


def _is_plain(place: Place) -> bool:
    """Whether a program takes it as it is: C-contiguous, and of the machine's own byte order."""
    step = place.dtype.itemsize
    for extent, stride in zip(reversed(place.shape), reversed(place.strides), strict=True):
        if extent > 1 and stride != step:
            return False
        step *= extent
    return place.dtype.isnative and place.offset % place.dtype.itemsize == 0
