"""Numba: the decorator of every compiled kernel, its settings, its cache, and who is told of it."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import numba
from numba.core import event
from numba.core.compiler_lock import global_compiler_lock

from . import cache
from .cpu_record import recordable

FASTMATH = {"contract", "reassoc", "nsz", "arcp"}  # never nnan or ninf: a NaN must survive


# Files that hold no compiled code, nor a constant of one: an edit there costs no compilation.
OTHERS = (
    "cuda",
    "cpu_pool",
    "cpu_program",
    "cpu_record",
    "cpu_trampoline",
    "launch",
    "check",
    "bench",
    "cache",
    "raw",
    "registry",
    "user",
    "tuned",
    "lockstep",
    "timing",
)


@functools.cache
def cache_folder() -> Path | None:
    """Where compiled kernels are kept, or None: they are then compiled anew in each process.

    A folder per state of our sources, since Numba does not see edits in helpers of other files.
    """
    digest = hashlib.sha256(numba.__version__.encode())
    root = Path(str(resources.files("dlcli_kernels")))
    for path in sorted(root.rglob("*.py")):
        if not path.name.startswith(OTHERS) and path.parent != root / "emulate":
            digest.update(path.read_bytes())
    return cache.folder(f"numba/{digest.hexdigest()[:16]}")


def kernel(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """`@kernel`: serial, without the GIL, cached on disk, with fast-math that keeps NaN and ∞."""
    if function is None:
        return lambda f: kernel(f, **options)
    folder = cache_folder()
    settings: dict[str, Any] = {
        "nogil": True,
        "fastmath": FASTMATH,
        "error_model": "numpy",
        **options,
    }
    plain = numba.njit(**settings)
    if folder is None:
        return recordable(plain(function))
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(folder)  # read once, when caching is enabled for the function
    try:
        return recordable(numba.njit(cache=True, **settings)(function))
    except RuntimeError:  # a function that stands in no file cannot be cached
        return recordable(plain(function))
    finally:
        numba.config.CACHE_DIR = before


def fork() -> int:
    """os.fork() at a moment when no thread compiles, whose locks the child would find taken."""
    with global_compiler_lock:
        return os.fork()


class _OnCompile(event.Listener):
    def __init__(self, tell: Callable[[str], None]) -> None:
        self.tell, self.depth = tell, 0

    def on_start(self, event: Any) -> None:
        self.depth += 1
        if self.depth == 1:  # what a kernel calls is compiled within it
            module = event.data["dispatcher"].py_func.__module__ or "a function"  # of no file
            self.tell(module.removeprefix("dlcli_kernels.").replace(".", "/"))

    def on_end(self, event: Any) -> None:
        self.depth -= 1


def on_compile(tell: Callable[[str], None]) -> None:
    """Calls `tell("conv/cpu_direct")`, the file, when a kernel of it is compiled, not cached."""
    event.register("numba:compile", _OnCompile(tell))
