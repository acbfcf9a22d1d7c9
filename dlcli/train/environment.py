"""With what a run ran: versions, system and processor, for env.json and bug reports."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import dlcli

LIBRARIES = (
    "numpy",
    "numba",
    "llvmlite",
    "safetensors",
    "pillow",
    "rich",
    "click",
)


def processor() -> str:
    """The processor's name as the system gives it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass  # not Linux
    return platform.processor() or platform.machine()


def _version(library: str) -> str | None:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return None


def libraries() -> dict[str, str | None]:
    """The version of each library that we stand on; None where it is not installed."""
    return {name: _version(name) for name in LIBRARIES}


def describe(**more: Any) -> dict[str, Any]:
    """Versions of what we compute with, platform and processor, and `more`."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "dlcli": dlcli.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpu": processor(),
        "cores": cores,
        "libraries": libraries(),
        **more,
    }
