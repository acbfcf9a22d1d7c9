"""numba-cuda's simulator as a target for verification: NumPy arrays, and one thread at a time.

The simulator runs each thread of a block as a thread of Python, all at once, and an error that
depends on their order shows or does not. Here they take turns: one runs to the next barrier or to
its end, then the next one, in a chosen order. A missing barrier then shows, mostly, in one of the
orders: what a thread reads too soon is NaN, with which shared and local memory is filled first. A
barrier that only part of a block reaches is reported, and an index outside an array, each with its
line. Python must have been started with NUMBA_ENABLE_CUDASIM=1.
"""

from __future__ import annotations

import inspect
import os
import random
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numba.cuda.np import numpy_support
from numba.cuda.simulator import kernel, kernelapi

from .check_data import guard_value
from .cuda_numba import SIMULATED
from .raw import Call, LaunchError
from .spec import Spec

ORDERS = ("forward", "reverse", "shuffled")  # of the threads of a block
SIMULATOR = os.path.dirname(kernel.__file__)
LINE = 128  # bytes: no array ends where another begins


class Simulator:
    """A raw.Target for kernels in Numba; it launches no others. RuntimeError without the simulator.

    There is one, since the simulator is one: making it replaces how blocks are run.
    """

    arch = "sm_90"
    multiprocessors = 8
    orders = ORDERS

    def __init__(self) -> None:
        if not SIMULATED:
            raise RuntimeError("Python was not started with NUMBA_ENABLE_CUDASIM=1")
        _Block.order = ORDERS[0]
        simulator: Any = kernel
        simulator.BlockManager = _Block
        memory: Any = kernelapi
        memory.FakeCUDAShared.array, memory.FakeCUDALocal.array = _shared_array, _local_array

    @contextmanager
    def ordered(self, order: str) -> Iterator[None]:
        """Threads take turns in this order inside."""
        before, _Block.order = _Block.order, order or _Block.order
        try:
            yield
        finally:
            _Block.order = before

    def launch(self, call: Call) -> None:
        """LaunchError: kernels in CUDA C++ are for a GPU or the emulator."""
        raise LaunchError(f"{call.kernel.source.name}: Numba's simulator runs no CUDA C++")

    def empty(self, spec: Spec) -> np.ndarray:
        """An uninitialised array."""
        raw = np.empty(spec.nbytes + LINE, np.uint8)
        skip = -raw.ctypes.data % LINE
        return raw[skip : skip + spec.nbytes].view(spec.dtype).reshape(spec.shape)

    def put(self, array: np.ndarray) -> np.ndarray:
        """A copy."""
        out = self.empty(Spec.of(array))
        out[...] = array
        return out

    def get(self, array: np.ndarray) -> np.ndarray:
        """A copy."""
        return np.array(array)


# --- memory of a block ----------------------------------------------------------------------------


def _poisoned(shape: Any, dtype: Any) -> np.ndarray:
    plain = np.dtype(dtype) if isinstance(dtype, type) else numpy_support.as_dtype(dtype)
    return np.full(shape, guard_value(plain), plain)


def _local_array(self: Any, shape: Any, dtype: Any, alignment: int | None = None) -> np.ndarray:
    return _poisoned(shape, dtype)


def _shared_array(self: Any, shape: Any, dtype: Any, alignment: int | None = None) -> np.ndarray:
    """One array for each line of source that asks for one, as in the simulator itself."""
    line = sys._getframe(1).f_lineno
    if line not in self._allocations:
        self._allocations[line] = _poisoned(shape, dtype)
    return self._allocations[line]


# --- threads that take turns ----------------------------------------------------------------------


class _Thread(kernel.BlockThread):
    """A thread of a block that runs while it has its turn."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.go, self.stopped = threading.Semaphore(0), threading.Semaphore(0)
        self.ended, self.barrier = False, ""

    def run(self) -> None:
        self.go.acquire()
        with np.errstate(all="ignore"):
            super().run()
        self.ended = True
        self.stopped.release()

    def take_turn(self) -> None:
        """Runs it to its next barrier, or to its end."""
        self.go.release()
        self.stopped.acquire()

    def syncthreads(self) -> None:
        frame = sys._getframe(2)  # of the kernel: one further is the module that forwards
        self.barrier = f"{frame.f_code.co_filename}:{frame.f_lineno}"
        self.stopped.release()
        self.go.acquire()
        if self.abort:
            raise SystemExit


class _Block(kernel.BlockManager):
    """Runs the threads of a block in turns, from barrier to barrier."""

    order = ORDERS[0]

    def run(self, grid_point: Any, *args: Any) -> None:
        """LaunchError if a thread fails, or does not reach a barrier that others wait at."""
        places = list(np.ndindex(*self._block_dim))
        if self.order == "reverse":
            places.reverse()
        elif self.order == "shuffled":
            random.Random(len(places)).shuffle(places)
        if not _may_wait(self._f):
            _run_through(self._f, args, grid_point, places)
            return
        threads = [
            _Thread(lambda: self._f(*args), self, grid_point, place, self._debug)
            for place in places
        ]
        for thread in threads:
            thread.start()
        try:
            while threads:
                for thread in threads:
                    thread.take_turn()
                    if thread.exception is not None:
                        raise _failure(*thread.exception)
                _check_barrier(threads)
                threads = [t for t in threads if not t.ended]
        finally:
            for thread in threads:
                thread.abort = True
                thread.go.release()


def _may_wait(function: Any) -> bool:
    """Whether a kernel has a barrier, or calls a jitted function, which may have one."""
    inner = inspect.getclosurevars(function)
    called = (*inner.nonlocals.values(), *inner.globals.values())
    jitted = any(isinstance(value, kernel.FakeCUDAKernel) for value in called)
    return jitted or "syncthreads" in function.__code__.co_names


def _run_through(function: Any, args: Any, block: Any, places: list[Any]) -> None:
    """Runs threads that never wait one after the other, without making a thread of Python."""
    this: Any = threading.current_thread()
    this.blockIdx = kernelapi.Dim3(*block)
    with np.errstate(all="ignore"):
        for place in places:
            this.threadIdx = kernelapi.Dim3(*place)
            try:
                function(*args)
            except (ArithmeticError, LookupError, TypeError, ValueError) as error:
                raise _failure(error, error.__traceback__) from error


def _check_barrier(threads: list[_Thread]) -> None:
    """Raises LaunchError unless all threads have ended, or all wait at one barrier."""
    waiting = [t for t in threads if not t.ended]
    lines = sorted({t.barrier for t in waiting})
    if waiting and (len(waiting) < len(threads) or len(lines) > 1):
        share = f"{len(waiting)} of {len(threads)} threads"
        raise LaunchError(f"{share} wait at {' and '.join(lines)}: a divergent barrier")


def _failure(error: BaseException, tb: Any) -> LaunchError:
    """What went wrong in a thread, with its last line that is neither the simulator's nor here."""
    where = list(traceback.extract_tb(tb))
    theirs = (__file__, threading.__file__)
    own = [f for f in where if f.filename not in theirs and SIMULATOR not in f.filename] or where
    made = LaunchError(f"{own[-1].filename}:{own[-1].lineno}: {type(error).__name__}: {error}")
    made.__cause__ = error
    return made
