"""The CPU as a device: its cores, scratch memory, and BLAS held to one thread.

Kernels are serial functions that release the GIL. `cpu_compile.py` is how they are compiled,
`cpu_pool.py` runs them on ranges, `cpu_native.py` is how a thread's floating-point state is set.
"""

from __future__ import annotations

import ctypes
import math
import os
import threading
from functools import cache
from pathlib import Path

import numpy as np

from .cpu_compile import FASTMATH, cache_folder, kernel, on_compile
from .cpu_native import flush_to_zero, restore
from .spec import Spec

__all__ = [
    "FASTMATH",
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
    from threadpoolctl import threadpool_limits

    threadpool_limits(limits=1, user_api="blas")


# --- cores ---------------------------------------------------------------------------------------


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
