"""Plans on the CPU: native programs, repeated without Python where there is nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np
from dlcli_kernels.cpu_pool import write_down
from dlcli_kernels.spec import Spec

from .plan import Plan, is_plain
from .trace import GIVEN, HOSTED, KEPT, Call, HostCall, Place, Trace

if TYPE_CHECKING:
    from .executor import CpuExecutor


class Native:
    """Programs one after the other: `how_many` from the word `first` of the plan's on."""

    def __init__(self, first: int, how_many: int = 0, scratch: int = 0) -> None:
        self.first, self.how_many, self.scratch = first, how_many, scratch

    def run(self, plan: CpuPlan, given: Sequence[np.ndarray]) -> None:
        plan.pool.perform_all(plan.address + 8 * self.first, self.how_many, self.scratch)


class Python:
    """A kernel that is no program, or is given an array that has to be copied first."""

    def __init__(self, call: Call) -> None:
        self.call = call

    def run(self, plan: CpuPlan, given: Sequence[np.ndarray]) -> None:
        outs, ins = (
            [plan.array(p, given) for p in some] for some in (self.call.outs, self.call.ins)
        )
        plan.pool.run_launch(self.call.launch, outs, ins)


class Host:
    """A function of the host."""

    def __init__(self, call: HostCall) -> None:
        self.call = call

    def run(self, plan: CpuPlan, given: Sequence[np.ndarray]) -> None:
        plan.make_on_host(self.call, given)


class CpuPlan(Plan):
    """steps: runs of programs, and what is not one. words: the programs with their operands."""

    def __init__(self, trace: Trace, device: CpuExecutor) -> None:
        self.pool = device.pool
        for call in trace.calls:
            if isinstance(call, Call):
                write_down(call.launch)
        super().__init__(trace, device, trace.calls, _sums)
        self._words: list[int] = []
        self._in_arena: list[tuple[int, int]] = []  # word, offset
        self._in_given: dict[int, list[tuple[int, int]]] = {}
        self.steps: list[Native | Python | Host] = []
        self._alone: list[Native | Python | Host] = []  # each call by itself
        for i, call in enumerate(self.calls):
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

    def run(self, given: Sequence[np.ndarray]) -> None:
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

    def _append(self, i: int, call: Call | HostCall) -> None:
        if isinstance(call, HostCall):
            self._alone.append(Host(call))
            self.steps.append(self._alone[-1])
            return
        launch = call.launch
        if launch.program is None or not all(p is None or is_plain(p) for p in call.ins):
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
        sums: Sequence[Spec | None] = launch.program.sums
        for k, spec in enumerate(sums):
            if spec is not None:
                self._in_arena.append((len(self._words), self.offsets[i, k]))
            self._words.append(0)

    def _operand(self, place: Place | None) -> None:
        word, address = len(self._words), 0
        if place is None:
            pass
        elif place.kind == GIVEN:
            self._in_given.setdefault(place.number, []).append((word, place.offset))
        elif place.kind == KEPT:
            address = place.array.ctypes.data
        elif self.in_arena(place):
            self._in_arena.append((word, self.offsets[place.number] + place.offset))
        else:
            owner = self.trace.hosted if place.kind == HOSTED else self.trace.alive
            address = owner[place.number].ctypes.data + place.offset
        self._words.append(address)


def _sums(call: Call) -> dict[int, int]:
    """Bytes of the partial results of a call, by its outputs."""
    program = call.launch.program
    sums: Sequence[Spec | None] = () if program is None else program.sums
    return {k: spec.nbytes for k, spec in enumerate(sums) if spec is not None}
