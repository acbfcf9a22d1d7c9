"""The CPU as a device: a pool of threads, scratch memory, and BLAS held to one thread.

Kernels are serial functions that release the GIL; the pool runs them on ranges. Threads take
ranges from one counter, so that a slow core takes fewer; which thread runs a range never changes a
result. `cpu_compile.py` is how kernels are compiled, `cpu_native.py` how a thread's floating-point
state is set and how threads wait for each other.
"""

from __future__ import annotations

import ctypes
import itertools
import math
import os
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from queue import SimpleQueue

import numpy as np

from .cpu_compile import FASTMATH, cache_folder, kernel, on_compile
from .cpu_native import (
    await_finish,
    await_ticket,
    flush_to_zero,
    pauses_per_microsecond,
    restore,
)
from .spec import Spec

__all__ = [
    "FASTMATH",
    "Pool",
    "available_threads",
    "cache_folder",
    "flush_to_zero",
    "keep_memory",
    "kernel",
    "on_compile",
    "restore",
    "scratch",
    "single_threaded_blas",
]

SPIN = 100.0  # µs that a thread spins before it sleeps: as long as Python takes from op to op
HEAD_START = 4.0  # µs that the caller needs to enter its own kernel and let go of the GIL
STAGGER = 8.0  # µs that each further worker needs the GIL for, to enter its kernel

# --- memory ---------------------------------------------------------------------------------------

_local = threading.local()


def scratch(spec: Spec) -> np.ndarray:
    """An uninitialised array that this thread keeps and uses again: a kernel's workspace."""
    kept: dict[Spec, np.ndarray] = _local.__dict__.setdefault("scratch", {})
    array = kept.get(spec)
    if array is None:
        array = kept[spec] = np.empty(spec.shape, spec.dtype)
    return array


@cache
def keep_memory() -> None:
    """Asks the C library to keep freed memory.

    Returning it costs a page fault per 4 KiB at the next step, up to half of a step.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return  # not glibc
    mallopt(-3, 1 << 30)  # M_MMAP_THRESHOLD
    mallopt(-1, (1 << 31) - 1)  # M_TRIM_THRESHOLD


@cache
def single_threaded_blas() -> None:
    """Holds BLAS to one thread, for good.

    Our own threads call it on ranges, and two pools would fight for the cores.
    """
    import scipy.linalg.cython_blas  # noqa: F401  (so that it is there to be limited)
    from threadpoolctl import threadpool_limits

    threadpool_limits(limits=1, user_api="blas")


# --- threads --------------------------------------------------------------------------------------


class _Job:
    """Ranges being worked on: threads draw indices from one counter (atomic under the GIL).

    It is closed when the caller finds no range left. A worker that comes later has nothing to do,
    and nobody waits for it: a small job never costs more than running it alone.
    """

    def __init__(self, task: Callable[[int], None], count: int) -> None:
        self.task, self.count, self.indices = task, count, itertools.count()
        self.error: BaseException | None = None
        self.lock, self.idle = threading.Lock(), threading.Lock()
        self.idle.acquire()  # released by the last of the workers that came before the end
        self.working: list[tuple[int, int]] = []  # (worker, its ticket)
        self.finished, self.closed = 0, False

    def work(self) -> None:
        """Runs ranges until none is left."""
        try:
            while (i := next(self.indices)) < self.count and self.error is None:
                self.task(i)
        except BaseException as error:  # carried to the caller, which raises it
            self.error = error

    def help(self, worker: int, ticket: int) -> None:
        """A worker's part."""
        with self.lock:
            if self.closed:
                return
            self.working.append((worker, ticket))
        self.work()
        with self.lock:
            self.finished += 1
            if self.closed and self.finished == len(self.working):
                self.idle.release()

    def close(self) -> list[tuple[int, int]]:
        """Lets no further worker begin; those that are still at it."""
        with self.lock:
            self.closed = True
            return self.working if self.finished < len(self.working) else []


class Pool:
    """`threads` workers, the caller being one of them.

    `run` returns when every range is done, and raises what a range raised. Several threads may
    call it at once; called from inside a range, it runs serially.
    """

    def __init__(self, threads: int) -> None:
        single_threaded_blas()
        keep_memory()
        self.threads, self.closed = max(1, threads), False
        helpers = self.threads - 1
        # Spinning needs a core for each thread: without one it would keep the others from theirs.
        spin = SPIN if self.threads <= available_threads() else 0.0
        self.pauses = int(spin * pauses_per_microsecond()) if helpers else 0
        self.words = np.zeros((helpers, 2, 8), np.int64)  # posted, finished: a cache line each
        self.addresses = [
            (self.words[w, 0].ctypes.data, self.words[w, 1].ctypes.data) for w in range(helpers)
        ]
        self.tickets = [0] * helpers
        self.posting = threading.Lock()
        self.queues: list[SimpleQueue[_Job | None]] = [SimpleQueue() for _ in range(helpers)]
        if helpers:
            await_finish(
                self.addresses[0][1], 0, 1
            )  # compiled now, not in the midst of the first job
        for w in range(helpers):
            threading.Thread(target=self._loop, args=(w,), name="dlcli-kernel", daemon=True).start()

    def _loop(self, w: int) -> None:
        flush_to_zero()
        np.seterr(all="ignore")  # a thread's own; the flag of the training step finds a NaN
        _local.in_range = True
        queue, (posted, finished), ticket = self.queues[w], self.addresses[w], 0
        delay = int((HEAD_START + STAGGER * w) * pauses_per_microsecond())
        while True:
            await_ticket(posted, finished, ticket, self.pauses, delay)
            job = queue.get()
            if job is None:
                return
            ticket += 1
            job.help(w, ticket)
            del job  # and with it the arrays of its ranges

    def run(self, task: Callable[[int], None], count: int) -> None:
        """task(0) … task(count-1), in any order, on all threads, with flush-to-zero set.

        RuntimeError if the pool is closed.
        """
        if self.closed:
            raise RuntimeError("the pool of threads is closed")
        helpers = min(self.threads, count) - 1
        nested = getattr(_local, "in_range", False)
        state = flush_to_zero()
        _local.in_range = True
        try:
            if helpers < 1 or nested:
                for i in range(count):
                    task(i)
            else:
                self._share(task, count, helpers)
        finally:
            _local.in_range = nested
            restore(state)

    def _share(self, task: Callable[[int], None], count: int, helpers: int) -> None:
        job = _Job(task, count)
        with self.posting:  # a worker's tickets are numbered as its jobs are queued
            for w in range(helpers):
                self.tickets[w] += 1
                self.queues[w].put(job)
                self.words[w, 0, 0] = self.tickets[w]
        job.work()
        working = job.close()
        if not all(await_finish(self.addresses[w][1], t, self.pauses) for w, t in working):
            _acquire(job)
        if job.error is not None:
            raise job.error

    def close(self) -> None:
        """Ends the workers."""
        self.closed = True
        for queue in self.queues:
            queue.put(None)


def _acquire(job: _Job) -> None:
    """Waits for the workers; an interrupt is raised after them, since they write to the arrays."""
    while True:
        try:
            job.idle.acquire()
            return
        except KeyboardInterrupt as interrupt:
            job.error = interrupt


def _quota(path: str = "/sys/fs/cgroup/cpu.max") -> float:
    """How many cores' worth of time a Linux control group grants, e.g. in a container."""
    try:
        quota, period = Path(path).read_text().split()
    except (OSError, ValueError):
        return math.inf
    return math.inf if quota == "max" else int(quota) / int(period)


def available_threads() -> int:
    """The cores that this process may use: its affinity, and no more than its quota of time."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return max(1, math.ceil(min(cores, _quota())))
