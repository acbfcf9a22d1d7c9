"""Which devices there are, and why not: the one place that asks whether CUDA works here."""

from __future__ import annotations

import importlib.util
import platform
from functools import cache
from typing import Any

from ..errors import DeviceError

INSTALL = "pip install 'dlcli[cuda12]' (or [cuda13], after the version that nvidia-smi shows)"
PRECISIONS = ("float32", "tf32")
TENSOR_CORES = 80  # sm_80 is the first architecture with TF32


def has_cupy() -> bool:
    """Whether CuPy, which CUDA kernels run through, is installed; it is not imported."""
    return importlib.util.find_spec("cupy") is not None


@cache
def cuda_problem() -> str:
    """Why CUDA cannot be used here, in one line; nothing where it can.

    The first call compiles and runs a kernel, which takes a second or two.
    """
    if not has_cupy():
        return "CuPy is not installed"
    from dlcli_kernels.cuda import problem

    return problem()


def choose(device: str) -> tuple[str, str]:
    """The device that "auto", "cpu" or "cuda" means here, and what there is to say about it.

    "auto" is CUDA where a kernel was compiled, ran and was right. Where CuPy is installed and that
    did not work, the note says why not in one line. DeviceError if "cuda" is not to be had.
    """
    if device == "cpu":
        return "cpu", ""
    if device not in ("auto", "cuda"):
        raise DeviceError(f"unknown device {device!r}", hint="use auto, cpu or cuda")
    why = cuda_problem()
    if not why:
        return "cuda", ""
    if device == "auto":
        return "cpu", f"on the CPU, because CUDA cannot be used: {why}" if has_cupy() else ""
    hint = "check it with dlcli doctor, or use --device cpu" if has_cupy() else INSTALL
    raise DeviceError("--device cuda cannot be used", why=why, hint=hint)


def check_precision(precision: str, device: str) -> None:
    """DeviceError if `device` does not compute in that precision."""
    if precision not in PRECISIONS:
        raise DeviceError(f"unknown precision {precision!r}", hint=f"use {' or '.join(PRECISIONS)}")
    if precision == "float32":
        return
    hint = "use --precision float32"
    if device != "cuda":
        why = "it is a format of the tensor cores of a GPU"
        raise DeviceError(f"the CPU does not compute in {precision}", why=why, hint=hint)
    from dlcli_kernels.raw import target

    arch = target().arch
    if int("".join(c for c in arch if c.isdigit())) < TENSOR_CORES:
        why = f"it is an {arch}, tf32 came with sm_{TENSOR_CORES}"
        raise DeviceError(f"this GPU does not compute in {precision}", why=why, hint=hint)


def facts() -> dict[str, Any]:
    """What `doctor` shows of the devices: the processor, its cores, and the state of CUDA."""
    from dlcli_kernels.cpu import available_threads

    cuda: dict[str, Any] = {"available": False, "why": cuda_problem()}
    if not cuda["why"]:
        from dlcli_kernels.cuda import gpu

        cuda = {"available": True, **gpu().facts()}
    return {
        "cpu": {"machine": platform.machine(), "threads": available_threads()},
        "cuda": cuda,
    }
