"""Numba: the decorator of every compiled kernel, its settings, its cache, and who is told of it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numba
from numba.core import event

FASTMATH = {"contract", "reassoc", "nsz", "arcp"}  # never nnan or ninf: a NaN must survive


@cache
def cache_folder() -> Path | None:
    """Where compiled kernels are kept: `$DLCLI_CACHE` or the user's cache folder.

    A folder per state of our sources, since Numba does not see edits in helpers of other files.
    None where it cannot be written: kernels are then compiled anew in each process.
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
        return plain(function)
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(folder)  # read once, when caching is enabled for the function
    try:
        return numba.njit(cache=True, **settings)(function)
    except RuntimeError:  # a function that stands in no file cannot be cached
        return plain(function)
    finally:
        numba.config.CACHE_DIR = before


class _OnCompile(event.Listener):
    def __init__(self, tell: Callable[[str], None]) -> None:
        self.tell, self.depth = tell, 0

    def on_start(self, event: Any) -> None:
        self.depth += 1
        if self.depth == 1:  # what a kernel calls is compiled within it
            module = event.data["dispatcher"].py_func.__module__
            self.tell(module.removeprefix("dlcli_kernels.").replace(".", "/"))

    def on_end(self, event: Any) -> None:
        self.depth -= 1


def on_compile(tell: Callable[[str], None]) -> None:
    """Calls `tell("conv/cpu_direct")`, the file, when a kernel of it is compiled, not cached."""
    event.register("numba:compile", _OnCompile(tell))
