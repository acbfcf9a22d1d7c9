"""A pool of threads that meet after every op.

What is only kernels, a `Program`, they run without Python (`cpu_team.py`). Any other function runs
as Python on ranges that they draw from one counter. Either way a slow core takes fewer ranges, and
which thread runs a range never changes a result.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Any

import numpy as np

from .cpu import available_threads, keep_memory, single_threaded_blas
from .cpu_native import await_finish, flush_to_zero, pauses_per_microsecond, restore
from .cpu_program import SCRATCH, Program
from .cpu_record import ALIGNMENT
from .cpu_team import (
    ASLEEP,
    BASES,
    BOARD,
    FINISHED,
    OWN_BASES,
    POSTED,
    THREAD,
    perform,
    perform_all,
    serve,
)
from .cpu_trampoline import NotNative
from .launch import Launch

SPIN = 500.0  # µs that a thread spins before it sleeps: as long as Python takes from op to op
HEAD_START = 4.0  # µs that the caller needs to enter its own kernel and let go of the GIL
STAGGER = 8.0  # µs that each further worker needs the GIL for, to enter its kernel
RECORDED_AT = 3  # the run of a launch at which it is written down, which takes as long as ten

_local = threading.local()


def write_down(launch: Launch) -> None:
    """Makes the launch's program, unless there is one or it was found that there is none."""
    if launch.program is not None or launch.not_native:
        return
    try:
        launch.program = Program(launch)
    except NotNative as reason:
        launch.not_native = str(reason)
    except MemoryError:  # writing down needs room for the operands once more
        launch.not_native = "there was no memory for it"


class _Thread:
    """The words of a thread, and the scratch that its kernels use."""

    def __init__(self) -> None:
        raw = np.zeros(THREAD + 8, np.int64)
        self.words = raw[-raw.ctypes.data % 64 // 8 :]  # from a cache line on
        self.address = self.words.ctypes.data
        self.room = 0

    def make_room(self, nbytes: int) -> None:
        """Scratch of at least so many bytes."""
        if nbytes > self.room:
            self.memory = np.empty(nbytes + ALIGNMENT, np.uint8)
            begin = self.memory.ctypes.data
            self.words[OWN_BASES // 8 + SCRATCH] = begin + -begin % ALIGNMENT
            self.room = nbytes


class _Board:
    """Where a caller writes a job down."""

    def __init__(self) -> None:
        raw = np.zeros(BOARD + 8, np.int64)
        self.words = raw[-raw.ctypes.data % 64 // 8 :]
        self.address = self.words.ctypes.data


class _Job:
    """Ranges being worked on in Python: threads draw indices from one counter (atomic under the
    GIL).

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


_END, _WAKE = object(), object()  # what a worker finds in its queue, besides jobs


class Pool:
    """`threads` workers, the caller being one of them.

    Several threads may call it at once; called from inside a range, it runs serially.
    """

    def __init__(self, threads: int) -> None:
        single_threaded_blas()
        keep_memory()
        self.threads, self.closed = max(1, threads), False
        helpers = self.threads - 1
        # Spinning needs a core for each thread: without one it would keep the others from theirs.
        spin = SPIN if self.threads <= available_threads() else 0.0
        self.pauses = int(spin * pauses_per_microsecond()) if helpers else 0
        self.board, self.own = _Board(), _Thread()
        self.workers = [_Thread() for _ in range(helpers)]
        self.tickets = [0] * helpers
        self.posting = threading.Lock()
        self.queues: list[SimpleQueue[Any]] = [SimpleQueue() for _ in range(helpers)]
        if helpers:  # compiled now, not in the midst of the first job
            await_finish(self.workers[0].address + FINISHED, 0, 1)
        for w in range(helpers):
            threading.Thread(target=self._loop, args=(w,), name="dlcli-kernel", daemon=True).start()

    def _loop(self, w: int) -> None:
        flush_to_zero()
        np.seterr(all="ignore")  # a thread's own; the flag of the training step finds a NaN
        _local.in_range = True
        queue, own, ticket = self.queues[w], self.workers[w].address, 0
        delay = int((HEAD_START + STAGGER * w) * pauses_per_microsecond())
        while True:
            serve(self.board.address, own, ticket, self.pauses, delay)
            job = queue.get()
            if job is _END:
                return
            if job is not _WAKE:
                ticket += 1
                job.help(w, ticket)
            del job  # and with it the arrays of its ranges

    # --- programs ---

    def carry_out(self, launch: Launch, outs: Sequence[Any], ins: Sequence[Any]) -> None:
        """Fills `outs` from `ins`, and updates the inout ones of these, with flush-to-zero set.

        ValueError if an inout operand is not contiguous. RuntimeError if the pool is closed.
        """
        launch.runs += 1
        if launch.runs >= RECORDED_AT:
            write_down(launch)
        if launch.program is None:
            self.run_launch(launch, outs, ins)
        else:
            self.perform(launch.program, launch.program.operands(outs, launch.plain(ins)))

    def run_launch(self, launch: Launch, outs: Sequence[Any], ins: Sequence[Any]) -> None:
        """The same as Python says it, without a program."""
        state = flush_to_zero()
        try:
            with np.errstate(all="ignore"):
                launch.run(outs, ins, self.run)
        finally:
            restore(state)

    def perform(self, program: Program, operands: Sequence[Any]) -> None:
        """Runs a program on its operands (`Program.operands`), the arrays' values in place.

        RuntimeError if the pool is closed.
        """
        addresses = [0 if a is None else id(a) for a in operands]
        board, own, shared = self._begin(program.scratch, not program.alone)
        try:
            program.pack(board.words, BASES + 8 * program.first, *addresses)
            perform(board.address, own.address, program.address, shared, self.pauses)
        finally:
            self._end(board)

    def perform_all(self, items: int, how_many: int, scratch: int) -> None:
        """Runs a list of programs with the places of their operands (`cpu_team.perform_all`), none
        of which needs more scratch.

        RuntimeError if the pool is closed.
        """
        board, own, shared = self._begin(scratch, True)
        try:
            perform_all(board.address, own.address, items, how_many, shared, self.pauses)
        finally:
            self._end(board)

    def _begin(self, scratch: int, shared: bool) -> tuple[_Board, _Thread, bool]:
        """The board and the words to run with, and whether the others, awake, may share in it: not
        where a job is under way, and not within one.
        """
        if self.closed:
            raise RuntimeError("the pool of threads is closed")
        if getattr(_local, "in_range", False) or not self.posting.acquire(blocking=False):
            if not hasattr(_local, "board"):
                _local.board, _local.own = _Board(), _Thread()
            _local.own.make_room(scratch)
            return _local.board, _local.own, False
        shared = shared and self.threads > 1
        for thread in (self.own, *self.workers) if shared else (self.own,):
            if scratch > thread.room:
                thread.make_room(scratch)
        if shared:
            for worker, queue in zip(self.workers, self.queues, strict=True):
                if worker.words[ASLEEP // 8]:
                    worker.words[ASLEEP // 8] = 0
                    queue.put(_WAKE)
        return self.board, self.own, shared

    def _end(self, board: _Board) -> None:
        if board is self.board:
            self.posting.release()

    # --- functions ---

    def run(self, task: Callable[[int], None], count: int) -> None:
        """task(0) … task(count-1), in any order, on all threads, with flush-to-zero set; raises
        what a task raised. RuntimeError if the pool is closed.
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
                self.workers[w].words[POSTED // 8] = self.tickets[w]
        job.work()
        working = job.close()
        finished = [(self.workers[w].address + FINISHED, t) for w, t in working]
        if not all(await_finish(address, t, self.pauses) for address, t in finished):
            _acquire(job)
        if job.error is not None:
            raise job.error

    def close(self) -> None:
        """Ends the workers."""
        self.closed = True
        for thread, queue in zip(self.workers, self.queues, strict=True):
            queue.put(_END)
            thread.words[POSTED // 8] = -1


def _acquire(job: _Job) -> None:
    """Waits for the workers; an interrupt is raised after them, since they write to the arrays."""
    while True:
        try:
            job.idle.acquire()
            return
        except KeyboardInterrupt as interrupt:
            job.error = interrupt
