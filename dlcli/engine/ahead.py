"""Kernels compiled by a second process while the first begins to train.

Where nothing is compiled yet, a first step is half a minute of Numba at work on one core. A fork of
the process goes through that step without computing anything, so that it knows what will run, and
compiles it from the last kernel backwards, into the cache that both share. They meet in the middle.
"""

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NoReturn

import numpy as np
from dlcli_kernels.launch import Launch
from dlcli_kernels.spec import Spec

from . import executor
from .executor import CpuExecutor, Executor

MOST_SECONDS = 120  # of the second process
LET_DIE = 1  # prctl's PR_SET_PDEATHSIG


class Rehearsal(Executor):
    """A CPU on which nothing is computed: every result is zeros. runs: what would have run."""

    device = "cpu"

    def __init__(self) -> None:
        super().__init__()
        self.runs: dict[Launch, None] = {}

    def empty(self, spec: Spec) -> Any:
        return np.zeros(spec.shape, spec.dtype)

    def put(self, values: np.ndarray) -> Any:
        return values

    def get(self, array: Any) -> np.ndarray:
        return array

    def call(self, launch: Launch, outs: Sequence[Any], arrays: Sequence[Any]) -> None:
        self.runs[launch] = None


class Ahead:
    """The second process, of which there is at most one."""

    def __init__(self) -> None:
        self.begun, self.pid = False, 0

    def begin(self, step: Callable[[], Any]) -> None:
        """Starts it the first time, where it is of use: for what `step` runs, by a cold cache, with
        a core of its own. Without it where there is no room for another process.
        """
        first, self.begun = not self.begun, True
        if not (first and sys.platform == "linux" and _of_use(executor.current())):
            return
        try:
            pid = _fork()
        except OSError:
            return
        if not pid:
            _second(step)
        self.pid = pid

    def end(self) -> None:
        """Ends it."""
        if self.pid:
            with suppress(ProcessLookupError, ChildProcessError):
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
            self.pid = 0


def _fork() -> int:
    from dlcli_kernels import cpu_compile

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it touches nothing of other threads
        return cpu_compile.fork()


def _of_use(device: Executor) -> bool:
    from dlcli_kernels.cpu import cache_folder
    from dlcli_kernels.cpu_native import first_on_this_machine

    return (
        isinstance(device, CpuExecutor)
        and device.threads > 1
        and cache_folder() is not None
        and first_on_this_machine()
    )


def _second(step: Callable[[], Any]) -> NoReturn:
    """The second process from its beginning to its end; it says nothing and leaves nothing open."""
    try:
        _detach()
        compile_for(step)
    finally:
        os._exit(0)


def _detach() -> None:
    import ctypes

    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(LET_DIE, signal.SIGKILL)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)
    signal.alarm(MOST_SECONDS)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(nowhere, stream)
    os.closerange(3, 1 << 12)  # the lock of the run among them


def compile_for(step: Callable[[], Any]) -> None:
    """Compiles the kernels that step() runs, from the last to the first."""
    from dlcli_kernels.cpu_pool import write_down

    rehearsal = Rehearsal()
    with executor.using(rehearsal), np.errstate(all="ignore"):
        step()
    for launch in reversed(rehearsal.runs):
        write_down(launch)
