"""Makes plans of what is called again and again.

What comes up with the same key is left to the caller twice, so that its kernels are compiled, then
called twice under a tracer. If both traces are the same, a plan takes over.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from dlcli_kernels.launch import address

from . import executor
from .executor import Executor
from .plan import Plan
from .tensor import Tensor
from .trace import Trace, Tracer

WARM = 2  # calls before the first that is traced
MOST_TRACES = 5  # of a key, before it is given up
MOST_PLANS = 64  # keys that are remembered


class _Entry:
    def __init__(self) -> None:
        self.calls, self.traces = 0, 0
        self.trace: Trace | None = None
        self.plan: Plan | None = None
        self.result: Any = None
        self.passed_on: list[tuple[Tensor, int]] = []  # tensors of it that are what is given
        self.refusal = ""


class Planner:
    """enabled: without it there are none."""

    def __init__(self, *, enabled: bool) -> None:
        self.enabled = enabled
        self.entries: OrderedDict[Hashable, _Entry] = OrderedDict()

    def run(
        self,
        key: Hashable,
        watched: Iterable[Tensor],
        given: Sequence[np.ndarray],
        function: Callable[[], Any],
        tensors: Callable[[Any], Iterable[Tensor]],
    ) -> Any:
        """What function() gives, whose calls depend on the key and on the values of `given` alone,
        by its plan or under a tracer. None: neither, the function was not called.

        Where a plan makes it, it is the very same object as the last time. watched: tensors whose
        memory a plan relies on; where one is elsewhere there is a new plan. tensors(result): those
        in it that will be read. What the function raises is raised.
        """
        device = executor.current()
        if not self.enabled or not device.plans:
            return None
        original, given = given, [np.asarray(array, order="C") for array in given]
        places = tuple([id(t.data) for t in watched])
        whole = (key, device, places, *[(a.shape, a.dtype) for a in given])
        entry = self.entries.setdefault(whole, _Entry())
        self.entries.move_to_end(whole)
        while len(self.entries) > MOST_PLANS:
            self.entries.popitem(last=False)
        entry.calls += 1
        if entry.plan is not None:
            entry.plan.run(given)
            for tensor, number in entry.passed_on:
                tensor.data = given[number]
            return entry.result
        if entry.calls <= WARM or entry.refusal or not _told_apart(original):
            return None
        result = self._trace(entry, device, given, function)
        if entry.plan is not None:
            entry.result = result
            for tensor in tensors(result):
                self._pass_on(entry, tensor, given)
        return result

    def _pass_on(self, entry: _Entry, tensor: Tensor, given: Sequence[np.ndarray]) -> None:
        """Notes that a tensor of the result is what is given; without a plan if it is a part."""
        for k, array in enumerate(given):
            if tensor.data is array:
                entry.passed_on.append((tensor, k))
            elif 0 <= address(tensor.data) - address(array) < array.nbytes:
                entry.plan, entry.refusal = None, "a result is a part of what is given"

    def _trace(
        self,
        entry: _Entry,
        device: Executor,
        given: Sequence[np.ndarray],
        function: Callable[[], Any],
    ) -> Any:
        tracer = Tracer(device, given)
        with executor.using(tracer):
            result = function()
        before, entry.trace = entry.trace, tracer.finish()
        entry.traces += 1
        if entry.trace.refusal:
            entry.refusal, entry.trace = entry.trace.refusal, None
        elif before is not None and before.same(entry.trace):
            try:
                entry.plan = device.plan(entry.trace)
            except MemoryError:
                entry.refusal = "there was no memory for it"
            entry.trace = None
        elif entry.traces >= MOST_TRACES:
            entry.refusal, entry.trace = "it is another list of calls each time", None
        return result


def _told_apart(given: Sequence[np.ndarray]) -> bool:
    """Whether each array's memory says which it is: a trace goes by that. What is not contiguous is
    given as a copy, where the function has the array itself.
    """
    if not all(array.flags.c_contiguous for array in given):
        return False
    return not any(np.may_share_memory(a, b) for a, b in combinations(given, 2))
