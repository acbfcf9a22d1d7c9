"""Which devices there are, and why not: the one place that looks for CuPy."""

from __future__ import annotations

import platform
from typing import Any

from ..errors import DeviceError

INSTALL = "pip install 'dlcli[cuda12]' (or [cuda13], after the version that nvidia-smi shows)"


def cuda_problem() -> tuple[str, str]:
    """Why CUDA cannot be used here and what to do about it."""
    try:
        import cupy
    except ImportError:
        return "CuPy is not installed", INSTALL
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        return (
            f"CUDA does not answer: {error}",
            "check the driver with nvidia-smi, or use --device cpu",
        )
    if not count:
        return "there is no CUDA device", "use --device cpu"
    return "this version has no CUDA kernels", "use --device cpu"


def choose(device: str) -> str:
    """The device that "auto", "cpu" or "cuda" means here; DeviceError if it is not to be had."""
    if device in ("auto", "cpu"):
        return "cpu"
    if device == "cuda":
        why, hint = cuda_problem()
        raise DeviceError("--device cuda cannot be used", why=why, hint=hint)
    raise DeviceError(f"unknown device {device!r}", hint="use auto, cpu or cuda")


def facts() -> dict[str, Any]:
    """What `doctor` shows of the devices: the processor, its cores, and the state of CUDA."""
    from dlcli_kernels.cpu import available_threads

    return {
        "cpu": {"machine": platform.machine(), "threads": available_threads()},
        "cuda": {"available": False, "why": cuda_problem()[0]},
    }
