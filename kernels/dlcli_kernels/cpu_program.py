"""A launch written down: stages of tasks that threads draw from, each a list of native calls.

Made once per signature, it serves any arrays of that signature: `words_of_operands` names them, the
calls say which operand they mean. The tasks of a stage may run in any order, a stage begins when
the one before has ended.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from .cpu_compile import kernel
from .cpu_record import Operand, Recording, check_same, mark, operand, record
from .cpu_trampoline import NotNative
from .launch import MOST_RANGES, RANGE_BYTES, Launch
from .spec import Spec

SCRATCH = 1  # the number of the thread's own scratch; 0 is what no call changes
FIRST = 2  # of the outputs, the inputs and the partial results, in this order
MOST_OPERANDS = 48


@kernel(fastmath=False)
def add_up(out, partials, lo, hi):  # type: ignore[no-untyped-def]
    """out[lo:hi] is the sum of the partial results, in their order."""
    for i in range(lo, hi):
        out[i] = partials[0, i]
    for r in range(1, partials.shape[0]):
        for i in range(lo, hi):
            out[i] += partials[r, i]


class Program:
    """The calls of a launch. NotNative where its variant does more than to call kernels.

    stages: (n, 2) int64, the first task and how many. tasks: the first call of each, and the end of
    the last. calls: (n, 2) int64, the trampolines and the words. sums: of the partial results.
    scratch: its bytes in each thread.
    """

    first = FIRST

    def __init__(self, launch: Launch) -> None:
        self.sums = [
            Spec((len(launch.ranges), *spec.shape), spec.dtype)
            if is_sum and spec is not None and len(launch.ranges) > 1
            else None
            for spec, is_sum in zip(launch.outputs, launch.partial, strict=True)
        ]
        specs = (*launch.outputs, *launch.specs, *self.sums)
        operands = [None if spec is None else operand(spec) for spec in specs]
        self.count = FIRST + len(operands)
        if self.count > MOST_OPERANDS:
            raise NotNative(f"{self.count} operands")
        numbered = {FIRST + i: a for i, a in enumerate(operands) if a is not None}
        scratch = None if launch.scratch is None else operand(launch.scratch)
        if scratch is not None:
            numbered[SCRATCH] = scratch
        self.scratch = 0 if scratch is None else scratch.nbytes
        outs, ins, sums = (
            operands[: len(launch.outputs)],
            operands[len(launch.outputs) : len(launch.outputs) + len(launch.specs)],
            operands[len(launch.outputs) + len(launch.specs) :],
        )
        self.recordings = [_ranges(launch, outs, ins, sums, scratch, numbered)]
        added = [
            record(lambda o=o, s=s, lo=lo, hi=hi: add_up(o, s, lo, hi), numbered)
            for out, partials in zip(outs, sums, strict=True)
            if out is not None and partials is not None
            for o, s in [(out.reshape(-1), partials.reshape(len(partials), -1))]
            for lo, hi in _pieces(out.size, partials.nbytes)
        ]
        if added:
            self.recordings.append(added)
        self._lay_out()
        self.pack = struct.Struct(f"{len(operands)}q").pack_into

    def _lay_out(self) -> None:
        stages, tasks, calls = [], [0], []
        for recordings in self.recordings:
            stages.append((len(tasks) - 1, len(recordings)))
            for recording in recordings:
                calls += [(jump, words.ctypes.data) for jump, words in recording.calls]
                tasks.append(len(calls))
        self.stages = np.array(stages, np.int64)
        self.tasks = np.array(tasks, np.int64)
        self.calls = np.array(calls, np.int64).reshape(-1, 2)
        places = (self.stages.ctypes.data, len(stages), self.tasks.ctypes.data)
        self.words = np.array([*places, self.calls.ctypes.data, self.count], np.int64)
        self.address = self.words.ctypes.data
        self.alone = all(count == 1 for _, count in stages)  # nothing to share

    def operands(self, outs: Sequence[Any], ins: Sequence[Any]) -> list[np.ndarray | None]:
        """The arrays by their numbers from FIRST on; partial results are made."""
        sums = [None if s is None else np.empty(s.shape, s.dtype) for s in self.sums]
        return [*outs, *ins, *sums]


def _ranges(
    launch: Launch,
    outs: Sequence[Any],
    ins: Sequence[Any],
    sums: Sequence[Any],
    scratch: Any,
    numbered: dict[int, Operand],
) -> list[Recording]:
    """What each range runs, written down twice, with other values in the operands."""
    twice = []
    for byte in (0, 0x3F):
        for array in numbered.values():
            mark(array, byte)
        twice.append(
            [
                record(lambda i=i: launch.run_range(i, outs, ins, sums, scratch), numbered)
                for i in range(len(launch.ranges))
            ]
        )
    for first, second in zip(*twice, strict=True):
        check_same(first, second)
    return twice[0]


def _pieces(size: int, nbytes: int) -> list[tuple[int, int]]:
    """Ranges of the elements of a sum, of which `nbytes` are read."""
    count = max(1, min(MOST_RANGES, nbytes // RANGE_BYTES, size))
    step = max(1, math.ceil(size / count))
    return [(lo, min(lo + step, size)) for lo in range(0, size, step)]
