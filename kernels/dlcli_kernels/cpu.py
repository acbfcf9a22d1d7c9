"""The CPU as a device: a pool of threads, flush-to-zero, Numba's settings and cache, one-threaded BLAS.

Kernels are serial functions that release the GIL; the pool runs them on ranges. Threads take ranges from one counter, so that a slow core
takes fewer; which thread runs a range never changes a result.
"""

from __future__ import annotations

import ctypes
import hashlib
import itertools
import os
import threading
from collections.abc import Callable
from functools import cache
from importlib import resources
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, event, types
from numba.extending import intrinsic

from .spec import Spec

FASTMATH = {"contract", "reassoc", "nsz", "arcp"}  # never nnan or ninf: a NaN must survive


# --- Numba ------------------------------------------------------------------------------------------------------------------------------


@cache
def cache_folder() -> Path | None:
    """Where compiled kernels are kept: a folder per state of our sources, since Numba does not see edits in helpers of other files.

    `$DLCLI_CACHE` or the user's cache folder; None where it cannot be written (kernels are then compiled anew in each process).
    """
    from platformdirs import user_cache_path

    digest = hashlib.sha256(numba.__version__.encode())
    root = resources.files("dlcli_kernels")
    for path in sorted(Path(str(root)).rglob("*.py")):
        digest.update(path.read_bytes())
    base = os.environ.get("DLCLI_CACHE")
    folder = (Path(base) if base else user_cache_path("dlcli")) / "numba" / digest.hexdigest()[:16]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError:
        return None
    return folder


def kernel(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """`@kernel`: Numba, serial, without the GIL, cached on disk, with fast-math that keeps NaN and infinity."""
    if function is None:
        return lambda f: kernel(f, **options)
    folder = cache_folder()
    settings: dict[str, Any] = {
        "nogil": True,
        "fastmath": FASTMATH,
        "error_model": "numpy",
        **options,
    }
    if folder is None:
        return numba.njit(**settings)(function)
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(folder)  # read once, when caching is enabled for the function
    try:
        return numba.njit(cache=True, **settings)(function)
    finally:
        numba.config.CACHE_DIR = before


class _OnCompile(event.Listener):
    def __init__(self, tell: Callable[[str], None]) -> None:
        self.tell = tell

    def on_start(self, event: Any) -> None:
        self.tell(event.data["dispatcher"].py_func.__name__)

    def on_end(self, event: Any) -> None:
        pass


def on_compile(tell: Callable[[str], None]) -> None:
    """Calls `tell(name)` whenever a kernel is compiled rather than taken from the cache."""
    event.register("numba:compile", _OnCompile(tell))


# --- flush-to-zero ----------------------------------------------------------------------------------------------------------------------

FTZ_DAZ = 0x8040  # MXCSR: flush results to zero, treat denormal operands as zero


def _mxcsr(builder: Any, name: str, pointer: Any) -> None:
    byte = ir.IntType(8).as_pointer()
    function = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(ir.VoidType(), [byte]), name
    )
    builder.call(function, [builder.bitcast(pointer, byte)])


@intrinsic
def _read(typingctx: Any) -> Any:
    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        slot = cgutils.alloca_once(builder, ir.IntType(32))
        _mxcsr(builder, "llvm.x86.sse.stmxcsr", slot)
        return builder.load(slot)

    return types.uint32(), codegen


@intrinsic
def _write(typingctx: Any, value: Any) -> Any:
    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        slot = cgutils.alloca_once_value(builder, args[0])
        _mxcsr(builder, "llvm.x86.sse.ldmxcsr", slot)
        return context.get_dummy_value()

    return types.void(types.uint32), codegen


@kernel
def _swap(value):  # type: ignore[no-untyped-def]
    before = _read()
    _write(np.uint32(value))
    return before


HAS_MXCSR = os.uname().machine in ("x86_64", "AMD64") if hasattr(os, "uname") else True


def flush_to_zero() -> int:
    """Sets flush-to-zero in this thread and returns the state before, for `restore`. Does nothing where there is no MXCSR."""
    if not HAS_MXCSR:
        return 0
    before = int(_swap(np.uint32(0x1F80 | FTZ_DAZ)))
    return before


def restore(state: int) -> None:
    """Gives this thread back the floating-point state that `flush_to_zero` returned."""
    if HAS_MXCSR:
        _swap(np.uint32(state))


# --- memory -----------------------------------------------------------------------------------------------------------------------------

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
    """Asks the C library to keep freed memory: returning it costs a page fault per 4 KiB at the next step, up to half of a step."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return  # not glibc
    mallopt(-3, 1 << 30)  # M_MMAP_THRESHOLD
    mallopt(-1, (1 << 31) - 1)  # M_TRIM_THRESHOLD


@cache
def single_threaded_blas() -> None:
    """Holds BLAS to one thread, for good: our own threads call it on ranges, and two pools would fight for the cores."""
    import scipy.linalg.cython_blas  # noqa: F401  (so that it is there to be limited)
    from threadpoolctl import threadpool_limits

    threadpool_limits(limits=1, user_api="blas")


# --- threads ----------------------------------------------------------------------------------------------------------------------------


class _Job:
    """Ranges being worked on: threads draw indices from one counter (atomic under the GIL)."""

    def __init__(self, task: Callable[[int], None], count: int, helpers: int) -> None:
        self.task, self.count, self.indices = task, count, itertools.count()
        self.left, self.error = helpers, None  # type: int, BaseException | None
        self.done = threading.Lock()
        self.done.acquire()
        self.lock = threading.Lock()

    def work(self) -> None:
        try:
            while (i := next(self.indices)) < self.count and self.error is None:
                self.task(i)
        except BaseException as error:  # carried to the caller, which raises it
            self.error = error

    def help(self) -> None:
        self.work()
        with self.lock:
            self.left -= 1
            last = self.left == 0
        if last:
            self.done.release()


class Pool:
    """`threads` workers, the caller being one of them. `run` returns when every range is done, and raises what a range raised."""

    def __init__(self, threads: int) -> None:
        single_threaded_blas()
        keep_memory()
        self.threads = max(1, threads)
        self.queues: list[SimpleQueue[_Job | None]] = [
            SimpleQueue() for _ in range(self.threads - 1)
        ]
        for queue in self.queues:
            threading.Thread(
                target=self._loop, args=(queue,), name="dlcli-kernel", daemon=True
            ).start()

    @staticmethod
    def _loop(queue: SimpleQueue[_Job | None]) -> None:
        flush_to_zero()
        while (job := queue.get()) is not None:
            job.help()
            del job

    def run(self, task: Callable[[int], None], count: int) -> None:
        """task(0) … task(count-1), in any order, on all threads, with flush-to-zero set."""
        helpers = min(self.threads, count) - 1
        state = flush_to_zero()
        try:
            if helpers < 1:
                for i in range(count):
                    task(i)
                return
            job = _Job(task, count, helpers)
            for queue in self.queues[:helpers]:
                queue.put(job)
            job.work()
            job.done.acquire()
            if job.error is not None:
                raise job.error
        finally:
            restore(state)

    def close(self) -> None:
        """Ends the workers."""
        for queue in self.queues:
            queue.put(None)


def available_threads() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
