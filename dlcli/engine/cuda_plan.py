"""Plans on CUDA: the kernels between what the host does are captured, and launched as one graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
from dlcli_kernels.launch import ALIGNMENT
from dlcli_kernels.raw import LaunchError
from dlcli_kernels.spec import Spec

from .cuda_executor import failed
from .plan import Plan, is_plain
from .trace import GIVEN, Call, HostCall, Trace, as_it_is

if TYPE_CHECKING:
    from .cuda_executor import CudaExecutor


class CudaPlan(Plan):
    """What is given is copied to the device first; then graphs and functions of the host take
    turns. A graph holds addresses: where the arena has moved, all of them are captured anew.

    steps: functions that do it, from the first run on.
    """

    def __init__(self, trace: Trace, device: CudaExecutor) -> None:
        self.target = device.target
        in_order = sorted(trace.calls, key=lambda call: not _is_upload(call))
        super().__init__(trace, device, in_order, _beside)
        self.steps: list[Callable[[], None]] = []
        self._given: Sequence[np.ndarray] = ()
        self._begin = -1

    def run(self, given: Sequence[np.ndarray]) -> None:
        if self._begin != self.arena.begin:
            self.steps = self._captured()
            self._begin = self.arena.begin
        self._given = given
        try:
            for step in self.steps:
                step()
        except LaunchError as error:
            raise failed("the GPU refuses a part of a plan", error) from error

    def _captured(self) -> list[Callable[[], None]]:
        steps: list[Callable[[], None]] = []
        for kind, some in groupby(enumerate(self.calls), lambda numbered: type(numbered[1])):
            functions = [self._function(i, call) for i, call in some]
            steps += functions if kind is HostCall else self._graphs(functions)
        return steps

    def _graphs(self, launches: list[Callable[[], None]]) -> list[Callable[[], None]]:
        """One graph of all; by halves where there is one that cannot be captured, which is then
        launched by itself each time.
        """
        try:
            return [self.target.capture(lambda: _each(launches))]
        except LaunchError:
            if len(launches) == 1:
                return launches
            half = len(launches) // 2
            return [*self._graphs(launches[:half]), *self._graphs(launches[half:])]

    def _function(self, i: int, call: Call | HostCall) -> Callable[[], None]:
        """What does a call, on arrays that are where they will be."""
        if isinstance(call, HostCall):
            return lambda: self.make_on_host(call, self._given)
        outs, ins = ([self.array(place) for place in some] for some in (call.outs, call.ins))
        beside = [
            self.target.view(self.arena.memory, self.offsets[i, k], spec.shape, spec.dtype)
            for k, spec in enumerate(_extra(call))
        ]

        def launch() -> None:
            unused = iter(beside)
            call.launch.run_whole(outs, ins, lambda spec: next(unused), self.target.assign)

        return launch


def _is_upload(call: Call | HostCall) -> bool:
    """Whether it does nothing but bring to the device what the plan is given."""
    return (
        isinstance(call, HostCall)
        and call.make is as_it_is
        and all(place is not None and place.kind == GIVEN for place in call.ins)
    )


def _extra(call: Call) -> list[Spec]:
    """What a call asks memory for, in its order: see `Launch.run_whole`."""
    found = [
        Spec(place.shape, place.dtype)
        for place in call.ins
        if place is not None and not (is_plain(place) and place.offset % ALIGNMENT == 0)
    ]
    return found if call.launch.scratch is None else [*found, call.launch.scratch]


def _beside(call: Call) -> dict[int, int]:
    return {k: spec.nbytes for k, spec in enumerate(_extra(call))}


def _each(functions: Sequence[Callable[[], None]]) -> None:
    for function in functions:
        function()
