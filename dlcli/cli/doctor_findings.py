"""What `dlcli doctor` finds wrong, and the one command that mends it.

An "error" stops training or loses what comes of it, and becomes the exit code; a "warning" makes
it slower. Each check takes what was found (the document of `dlcli doctor --json`).
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlcli.errors import DeviceError, DlcliError, OutputError, UsageError

LEAST_FREE = 1 << 29  # bytes: checkpoints, plots and compiled kernels of some runs
RUNS = Path("runs")
PIP = f"{sys.executable} -m pip install"


@dataclass(frozen=True)
class Problem:
    """what is wrong, why it matters, and a command that mends it. kind: of the exit code; None of
    a warning.
    """

    what: str
    why: str
    mend: str
    kind: type[DlcliError] | None = None

    def to_json(self) -> dict[str, str]:
        """Plain values."""
        level = "warning" if self.kind is None else "error"
        return {"level": level, "what": self.what, "why": self.why, "mend": self.mend}


def place(folder: Path | None) -> dict[str, Any]:
    """Whether files can be written in a folder, or where it would be made, and the free bytes."""
    if folder is None:
        return {"folder": None, "writable": False, "free_bytes": None}
    there = folder.absolute()
    while not there.exists() and there != there.parent:
        there = there.parent
    try:
        with tempfile.TemporaryFile(dir=there):
            writable = True
    except OSError:
        writable = False
    try:
        free = shutil.disk_usage(there).free
    except OSError:
        free = None
    return {"folder": folder.absolute(), "writable": writable, "free_bytes": free}


def problems(found: dict[str, Any]) -> list[Problem]:
    """All that is wrong, the worst first."""
    checks = (_kernel, _libraries, _blas, _runs, _cache, _data, _cuda)
    return sorted((p for check in checks for p in check(found)), key=lambda p: p.kind is None)


def _kernel(found: dict[str, Any]) -> Iterator[Problem]:
    kernel, folder = found["kernel"], found["kernel_cache"]["folder"]
    if not kernel["ok"]:
        mend = f"rm -r '{folder}'" if folder else f"{PIP} --force-reinstall numba"
        what = f"the kernel {kernel['name']} does not work"
        yield Problem(what, kernel["reason"], mend, DeviceError)


def _libraries(found: dict[str, Any]) -> Iterator[Problem]:
    for name, version in found["libraries"].items():
        if version is None:
            yield Problem(
                f"{name} is not installed", "dlcli needs it", f"{PIP} {name}", DeviceError
            )


def _blas(found: dict[str, Any]) -> Iterator[Problem]:
    if not found["blas"]:
        why = "products of matrices have no library"
        yield Problem("there is no BLAS", why, f"{PIP} --force-reinstall numpy", DeviceError)


def _runs(found: dict[str, Any]) -> Iterator[Problem]:
    runs = found["runs"]
    if not runs["writable"]:
        held = runs["folder"] if runs["folder"].exists() else runs["folder"].parent
        mend = f"chmod u+w '{held}'" if _ours(held) else f"cd '{_writable_place()}'"
        what = f"runs cannot be written in {runs['folder']}"
        yield Problem(
            what, "training writes a folder there unless --out names another", mend, OutputError
        )
    elif runs["free_bytes"] is not None and runs["free_bytes"] < LEAST_FREE:
        what = f"little room for runs in {runs['folder']}"
        why = f"{runs['free_bytes'] / 1e6:,.0f} MB are free, some runs need {LEAST_FREE / 1e6:,.0f}"
        yield Problem(what, why, "dlcli runs prune --older-than 168h --yes", OutputError)


def _cache(found: dict[str, Any]) -> Iterator[Problem]:
    cache = found["kernel_cache"]
    if not cache["writable"]:
        folder = _writable_place() / ".dlcli-cache"
        why = "kernels are compiled anew by each process, which takes seconds"
        yield Problem("compiled kernels cannot be kept", why, f"export DLCLI_CACHE='{folder}'")
    elif cache["free_bytes"] is not None and cache["free_bytes"] < LEAST_FREE // 10:
        why = f"{cache['free_bytes'] / 1e6:,.0f} MB are free in {cache['folder']}"
        mend = f"export DLCLI_CACHE='{_writable_place() / '.dlcli-cache'}'"
        yield Problem("little room for compiled kernels", why, mend)


def _data(found: dict[str, Any]) -> Iterator[Problem]:
    folder = found["data"]["environment"]
    if folder and not os.path.isdir(folder):
        why = f"{folder} is no folder, so that no dataset is found there"
        yield Problem("DLCLI_DATA is wrong", why, "unset DLCLI_DATA", UsageError)


def _cuda(found: dict[str, Any]) -> Iterator[Problem]:
    from dlcli.engine import device

    cuda = found["devices"]["cuda"]
    if cuda["available"]:
        return
    if device.has_cupy():
        why = f"everything is computed on the CPU: {cuda['why']}"
        yield Problem("CuPy is installed, and CUDA does not work", why, "nvidia-smi")
    elif os.path.exists("/dev/nvidia0"):
        why = "it is not used: CuPy is not installed"
        yield Problem("there is a GPU", why, f"{PIP} 'dlcli[cuda12]'")


def _ours(path: Path) -> bool:
    """Whether its permissions are the user's to change."""
    try:
        return hasattr(os, "getuid") and path.stat().st_uid == os.getuid()
    except OSError:
        return False


def _writable_place() -> Path:
    """The user's home, or where temporary files are."""
    home = Path(os.path.expanduser("~"))
    return home if place(home)["writable"] else Path(tempfile.gettempdir())
