"""On what a benchmark ran: what must be equal for a comparison, and what explains a spread.

The identity of the hardware is apart from its state: clocks, load, temperature, throttling.
"""

from __future__ import annotations

import math
import os
import platform
import shutil
import subprocess
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

LIBRARIES = ("numpy", "numba", "numba-cuda", "cupy-cuda12x", "cupy-cuda13x", "torch")
GPU_IDENTITY = ("name", "driver_version", "memory.total", "clocks.max.sm", "clocks.max.mem")
GPU_STATE = (
    "clocks.sm",
    "clocks.mem",
    "temperature.gpu",
    "power.draw",
    "power.limit",
    "utilization.gpu",
    "clocks_throttle_reasons.active",
)
IDLE = 0x1  # a throttle reason that is none: nothing runs
HARDWARE = ("device", "name", "threads")  # what must be equal for figures to be compared


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's name as the system gives it."""
    for value in _cpuinfo("model name", cpuinfo):
        return value
    return platform.processor() or platform.machine()


def _cpuinfo(key: str, cpuinfo: Path = Path("/proc/cpuinfo")) -> list[str]:
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        return []  # not Linux
    return [line.partition(":")[2].strip() for line in lines if line.startswith(key)]


def identity(device: str, threads: int) -> dict[str, Any]:
    """The hardware and the versions."""
    facts: dict[str, Any] = {"device": device, "name": processor(), "threads": threads}
    if device == "cuda":
        facts |= {"name": "unknown GPU", **_nvidia_smi(GPU_IDENTITY)}
    return {
        **facts,
        "cpu": processor(),
        "cores": os.cpu_count(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "libraries": {name: v for name in LIBRARIES if (v := _version(name))},
    }


def state(device: str) -> dict[str, Any]:
    """Clocks, load and throttling now; what the system does not say is left out."""
    found: dict[str, Any] = {}
    clocks = [float(v) for v in _cpuinfo("cpu MHz")]
    if clocks:
        found["cpu_mhz"] = [round(min(clocks)), round(max(clocks))]
    if hasattr(os, "getloadavg"):
        found["load"] = round(os.getloadavg()[0], 2)
    if device == "cuda":
        found |= _nvidia_smi(GPU_STATE)
    return found


def remarks(before: Mapping[str, Any], after: Mapping[str, Any], cores: int) -> list[str]:
    """What in the states before and after a run makes its times doubtful, in words."""
    said = []
    if before.get("load", 0.0) > 0.5 * cores:
        said.append(
            f"other processes ran (a load of {before['load']} on {cores} cores): threads that wait "
            "for each other stall, ours or the vendor's; --threads 1 is disturbed least"
        )
    reasons = _reasons(after.get("clocks_throttle_reasons.active", ""))
    if reasons & ~IDLE:
        said.append(
            f"the GPU was throttled (reasons {reasons:#x}): see nvidia-smi -q -d PERFORMANCE"
        )
    if "clocks.sm" in before and "clocks.sm" in after:
        low, high = sorted(_megahertz(s["clocks.sm"]) for s in (before, after))
        if 0 < low < 0.8 * high:
            said.append(f"the GPU's clock went between {low:.0f} and {high:.0f} MHz")
    return said


def free_memory(meminfo: Path = Path("/proc/meminfo")) -> float:
    """Bytes that can be had without swapping; infinity where the system does not say."""
    try:
        lines = meminfo.read_text().splitlines()
    except OSError:
        return math.inf
    for line in lines:
        if line.startswith("MemAvailable:"):
            return 1024.0 * int(line.split()[1])
    return math.inf


def _reasons(text: str) -> int:
    try:
        return int(text, 16)
    except ValueError:
        return 0  # "[N/A]"


def _megahertz(text: str) -> float:
    number = text.split()[0] if text.split() else ""
    return float(number) if number.replace(".", "", 1).isdigit() else 0.0


def _nvidia_smi(fields: tuple[str, ...]) -> dict[str, str]:
    """What nvidia-smi says of the first GPU that is visible; nothing where it is not there."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return {}
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0] or "0"
    query = [program, f"--query-gpu={','.join(fields)}", "--format=csv,noheader", f"--id={visible}"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return {}
    values = done.stdout.strip().splitlines()[:1]
    found = [value.strip() for value in values[0].split(",")] if values else []
    return dict(zip(fields, found, strict=False))


def _version(library: str) -> str | None:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return None
