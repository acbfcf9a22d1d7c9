"""NVRTC: CUDA C++ to machine code (a cubin), and what each kernel of it uses. Needs no GPU.

float32 means float32: never fast-math, never flush-to-zero, division and square root rounded
correctly; multiply and add are contracted. Line information stays in, so that a profiler and a
memory checker name lines of the source.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

INSTALL = "pip install 'dlcli[cuda13]'"
OPTIONS = ("--std=c++17", "-lineinfo", "--ptxas-options=-v")
MOST_MESSAGES = 3  # of the compiler's: what follows the first is mostly its consequence
PACKAGES = {12: ("cuda_runtime", "cuda_nvcc", "cuda_cccl")}  # from CUDA 13 on, all in one folder

ENTRY = re.compile(r"Compiling entry function '(\w+)'")
SPILLS = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
USED = re.compile(r"Used (\d+) registers(?:, used (\d+) barriers)?")
SHARED = re.compile(r"(\d+) bytes smem")
STACK = re.compile(r"(\d+) bytes cumulative stack size")
ADVICE = re.compile(r"ptxas\s+warning|Potential Performance Loss")
PLACE = re.compile(r"^(\S+)\((\d+)\): ")


class CompileError(RuntimeError):
    """NVRTC refused a source: its first messages, each with file and line."""


class CompilerMissing(RuntimeError):
    """NVRTC is not installed, or cannot be loaded."""


@dataclass(frozen=True)
class Resources:
    """What one thread (registers, stack, spills) and one block (shared, barriers) of a kernel use.

    In bytes but for registers and barriers. shared: the static part. stack: local arrays that are
    indexed at run time, and spilled registers.
    """

    registers: int
    stack: int = 0
    spill_stores: int = 0
    spill_loads: int = 0
    shared: int = 0
    barriers: int = 0

    @property
    def spills(self) -> int:
        """Bytes of registers that are written to memory and read back for want of registers."""
        return self.spill_stores + self.spill_loads


@dataclass(frozen=True)
class Cubin:
    """Machine code for one architecture: the image, what its kernels use, by name, and what the
    assembler advises against in it.
    """

    image: bytes
    resources: Mapping[str, Resources]
    advice: tuple[str, ...] = field(default=())


def problem() -> str:
    """Why nothing can be compiled here, in one line; empty where it can."""
    try:
        version()
    except CompilerMissing as missing:
        return str(missing)
    return ""


@functools.cache
def version() -> tuple[int, int]:
    """NVRTC's version, such as (13, 5); CompilerMissing where there is none."""
    try:
        from cuda.bindings import nvrtc
    except ImportError:
        raise CompilerMissing(f"cuda-bindings is not installed: {INSTALL}") from None
    try:
        status, major, minor = nvrtc.nvrtcVersion()
    except RuntimeError as error:  # what cuda-bindings raises where it finds no library
        why = str(error).splitlines()[0]
        raise CompilerMissing(f"NVRTC cannot be loaded ({why}): {INSTALL}") from None
    if status != nvrtc.nvrtcResult.NVRTC_SUCCESS:
        raise CompilerMissing(f"NVRTC does not answer ({status.name})")
    return major, minor


@functools.cache
def include_folders() -> tuple[str, ...]:
    """Where CUDA's own headers (cuda_bf16.h, cuda_fp16.h) are: pip's packages, then a toolkit."""
    major, _ = version()
    spec = importlib.util.find_spec("nvidia")
    roots = [] if spec is None else [Path(p) for p in spec.submodule_search_locations or ()]
    found = [root / name for root in roots for name in PACKAGES.get(major, (f"cu{major}",))]
    toolkits = (os.environ.get("CUDA_HOME"), os.environ.get("CUDA_PATH"), "/usr/local/cuda")
    found += [Path(toolkit) for toolkit in toolkits if toolkit]
    folders = [place / "include" for place in found]
    return tuple(
        str(folder)
        for include in folders
        for folder in (include, include / "cccl")
        if folder.is_dir()
    )


def compile(
    text: str,
    name: str,
    headers: Mapping[str, str],
    constants: Sequence[tuple[str, int | str]],
    arch: str,
) -> Cubin:
    """Compiles a source for one architecture, such as "sm_90a".

    name: the file as messages name it. headers: the text of what it may include, by name.
    constants: what is defined before the first line. Raises CompileError where NVRTC refuses it,
    CompilerMissing where there is no NVRTC.
    """
    version()
    from cuda.bindings import nvrtc

    options = [
        f"--gpu-architecture={arch}",
        *OPTIONS,
        *(f"-D{key}={value}" for key, value in constants),
        *(f"-I{folder}" for folder in include_folders()),
    ]
    status, program = nvrtc.nvrtcCreateProgram(
        text.encode(),
        name.encode(),
        len(headers),
        [header.encode() for header in headers.values()],
        [header.encode() for header in headers],
    )
    if status != nvrtc.nvrtcResult.NVRTC_SUCCESS:
        raise CompileError(f"{name}: NVRTC does not take the source ({status.name})")
    try:
        encoded = [option.encode() for option in options]
        (status,) = nvrtc.nvrtcCompileProgram(program, len(encoded), encoded)
        _, size = nvrtc.nvrtcGetProgramLogSize(program)
        log = bytearray(size)
        nvrtc.nvrtcGetProgramLog(program, log)
        said = log.rstrip(b"\0").decode(errors="replace")
        if status != nvrtc.nvrtcResult.NVRTC_SUCCESS:
            raise CompileError(_first_errors(said, name, arch) or f"{name}: {status.name}")
        _, size = nvrtc.nvrtcGetCUBINSize(program)
        image = bytearray(size)
        (status,) = nvrtc.nvrtcGetCUBIN(program, image)
        if status != nvrtc.nvrtcResult.NVRTC_SUCCESS:
            raise CompileError(f"{name}: NVRTC gives no machine code for {arch} ({status.name})")
    finally:
        nvrtc.nvrtcDestroyProgram(program)
    advice = tuple(line.strip() for line in said.splitlines() if ADVICE.search(line))
    return Cubin(bytes(image), read_resources(said), advice)


def read_resources(log: str) -> dict[str, Resources]:
    """What each kernel uses, from what `ptxas -v` writes.

    The stack and the spills of functions that a kernel calls are added to its own.
    """
    found: dict[str, Resources] = {}
    name, stack, stores, loads = "", 0, 0, 0
    for line in log.splitlines():
        if match := ENTRY.search(line):
            name, stack, stores, loads = match[1], 0, 0, 0
        elif match := SPILLS.search(line):
            frame, stored, loaded = map(int, match.groups())
            stack, stores, loads = stack + frame, stores + stored, loads + loaded
        elif (match := USED.search(line)) and name:
            shared, whole = SHARED.search(line), STACK.search(line)
            found[name] = Resources(
                registers=int(match[1]),
                stack=max(stack, int(whole[1]) if whole else 0),
                spill_stores=stores,
                spill_loads=loads,
                shared=int(shared[1]) if shared else 0,
                barriers=int(match[2] or 0),
            )
    return found


def _first_errors(log: str, name: str, arch: str) -> str:
    """The first messages as `matmul/cuda_raw_naive.cu:12: error: …`, one to a line."""
    lines = [PLACE.sub(r"\1:\2: ", line.strip()) for line in log.splitlines()]
    errors = [line for line in lines if re.search(r"\berror\s*:", line)]
    return "\n".join(
        line
        if line.startswith(name) or ".cuh:" in line or ".h:" in line
        else f"{name}: {line} [{arch}]"
        for line in errors[:MOST_MESSAGES]
    )
