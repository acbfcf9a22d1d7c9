"""CUDA C++ kernels as Python calls them: a source, a kernel of it, the target that runs it.

    SOURCE = Source(__name__, "cuda_raw_warptile.cu")

    def matmul(out, a, b, bias, *, ta, tb, act):
        sgemm = SOURCE.kernel("sgemm", TILE_M=128, TILE_N=64)      # constants become #defines
        sgemm((-(-n // 64), -(-m // 128)), 256, out, a, b, bias, m, n, k, shared=bytes)

Arguments in the order of the kernel's parameters: an array is passed as its address, None as a null
pointer, a Python int as `int`, a Python float as `float`, a NumPy scalar as its own type. The same
call runs on a GPU (`cuda.py`), in the emulator (`emulate/`) or is only recorded (`recorded`), by
the target in use. NumPy only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import numpy as np

from .spec import Spec

ARCHS = ("sm_80", "sm_90", "sm_100")  # what every kernel is compiled for unless it says otherwise
Extent = int | tuple[int, ...]


class LaunchError(RuntimeError):
    """A kernel did what it may not, or was called with what it does not take."""


class Target(Protocol):
    """Where kernels run.

    arch: the architecture that it compiles for, such as "sm_90". multiprocessors: how many blocks
    it runs at once at the least: what a kernel cuts its work by. orders: the orders in which it can
    run threads; ("",) where the hardware decides.
    """

    arch: str
    multiprocessors: int
    orders: tuple[str, ...]

    def ordered(self, order: str) -> AbstractContextManager[None]:
        """Launches run their threads in this order inside."""

    def launch(self, call: Call) -> None:
        """Runs the kernel, in order with every other launch, without waiting for its end."""

    def empty(self, spec: Spec) -> Any:
        """An uninitialised array, contiguous, on a boundary of at least 256 bytes."""

    def put(self, array: Any) -> Any:
        """A copy of a NumPy array where kernels can reach it."""

    def get(self, array: Any) -> Any:
        """The array as NumPy, once every launch before has ended."""


class Capturing(Target, Protocol):
    """A target on which what was launched once can be repeated as a whole."""

    def room(self) -> int:
        """Bytes of its memory that are free."""

    def view(
        self,
        memory: Any,
        offset: int,
        shape: tuple[int, ...],
        dtype: np.dtype,
        strides: tuple[int, ...] | None = None,
    ) -> Any:
        """An array in the memory of another, which begins `offset` bytes after it."""

    def assign(self, out: Any, array: Any) -> None:
        """Copies an array to another one of the same shape, in order with every launch."""

    def capture(self, calls: Callable[[], None]) -> Callable[[], None]:
        """What repeats the launches and assignments of calls(), which does not do them itself.

        It allocates nothing and waits for nothing. LaunchError where one cannot be repeated.
        """


@dataclass(frozen=True)
class Source:
    """A `.cu` file beside the module that names it, and the architectures that it is written for.

    package: the module's `__name__`. Headers come from `include/`, by plain `#include "x.cuh"`.
    folder: where a file lies that belongs to no package, a user's own; `package` is "" then.
    """

    package: str
    file: str
    archs: tuple[str, ...] = ARCHS
    folder: str = ""

    @property
    def name(self) -> str:
        """The file as messages name it: matmul/cuda_raw_naive.cu."""
        return "/".join((*self.package.split(".")[1:-1], self.file))

    def text(self) -> str:
        """The source text."""
        if self.folder:
            return (Path(self.folder) / self.file).read_text(encoding="utf-8")
        folder = resources.files(self.package.rpartition(".")[0])
        return (folder / self.file).read_text(encoding="utf-8")

    def kernel(self, name: str, **constants: int | str) -> Kernel:
        """The kernel `extern "C" __global__ void name(…)`, compiled with -Dconstant=value each."""
        return Kernel(self, name, tuple(sorted(constants.items())))


@dataclass(frozen=True)
class Kernel:
    """One kernel of a source with its compile-time constants: what is compiled, and called."""

    source: Source
    name: str
    constants: tuple[tuple[str, int | str], ...] = ()

    def __call__(
        self,
        grid: Extent,
        block: Extent,
        *args: Any,
        shared: int = 0,
        cooperative: bool = False,
    ) -> None:
        """Launches on the target in use; nothing is launched where the grid is empty.

        shared: bytes of dynamic shared memory. cooperative: all blocks run at once, so that
        `grid_sync` may be used.
        """
        extent = _three(grid)
        if 0 not in extent:
            target().launch(Call(self, extent, _three(block), args, shared, cooperative))

    def label(self) -> str:
        """The kernel with its constants, as budgets and messages name it."""
        constants = ",".join(f"{k}={v}" for k, v in self.constants)
        return f"{self.name}[{constants}]" if constants else self.name


@dataclass(frozen=True)
class Call:
    """One launch, ready to be carried out."""

    kernel: Kernel
    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    args: tuple[Any, ...]
    shared: int = 0
    cooperative: bool = False


@dataclass(frozen=True)
class TensorMap:
    """How a kernel's bulk copies (TMA, sm_90) see a row-major matrix: passed by value as 128 bytes.

    box: rows and columns of one copy. swizzle: bytes of the pattern in shared memory, 0, 32, 64 or
    128.
    """

    array: Any
    box: tuple[int, ...]
    swizzle: int = 128


def headers() -> Mapping[str, str]:
    """The text of every header in `include/` by name."""
    folder = resources.files(__package__) / "include"
    return {
        file.name: file.read_text(encoding="utf-8")
        for file in sorted(folder.iterdir(), key=lambda f: f.name)
        if file.name.endswith((".cuh", ".h"))
    }


class Simulated:
    """The target of kernels that another simulator runs: NumPy arrays, and no launches of ours."""

    arch, multiprocessors = "sm_90", 8
    orders: tuple[str, ...] = ("",)

    @contextmanager
    def ordered(self, order: str) -> Iterator[None]:
        """There is one order."""
        yield

    def launch(self, call: Call) -> None:
        """RuntimeError: only the emulator and a GPU run CUDA C++."""
        raise RuntimeError(f"{call.kernel.source.name} cannot run in this simulator")

    def empty(self, spec: Spec) -> np.ndarray:
        """An uninitialised array."""
        return np.empty(spec.shape, spec.dtype)

    def put(self, array: np.ndarray) -> np.ndarray:
        """A copy."""
        return np.array(array)

    def get(self, array: np.ndarray) -> np.ndarray:
        """A copy."""
        return np.array(array)


_target: ContextVar[Target | None] = ContextVar("target", default=None)


def target() -> Target:
    """The target in use: the GPU, unless `running_on` names another."""
    chosen = _target.get()
    if chosen is None:
        from .cuda import gpu

        chosen = gpu()
    return chosen


def arch_in_use() -> str:
    """The target's architecture; empty where there is no target and no GPU."""
    from .cuda import Unavailable

    try:
        return target().arch
    except Unavailable:
        return ""


def fitting(archs: tuple[str, ...], arch: str) -> str:
    """What a source written for `archs` is compiled for on a device of `arch`; empty: not for it.

    "sm_90a" is for a device of sm_90 alone and comes first there. "sm_80" is for all from sm_80
    on, and is compiled for the very device.
    """
    if f"{arch}a" in archs:
        return f"{arch}a"
    plain = [int(a[3:]) for a in archs if a[3:].isdigit()]
    return arch if any(a <= int(arch[3:]) for a in plain) else ""


def unfit(module: ModuleType | None) -> str:
    """Why a variant's kernels are not for the target in use, in a few words; empty where they are.

    A module says `ARCHS = ("sm_90a",)`, or each of its sources must be for the target.
    """
    given = vars(module) if module is not None else {}
    sources = [value.archs for value in given.values() if isinstance(value, Source)]
    needed = [given["ARCHS"]] if "ARCHS" in given else sources
    arch = arch_in_use() if needed else ""
    for archs in needed:
        if arch and not fitting(archs, arch):
            return f"it is written for {', '.join(archs)}, not for {arch}"
    return ""


@contextmanager
def running_on(chosen: Target) -> Iterator[Target]:
    """Launches go to `chosen` inside."""
    token = _target.set(chosen)
    try:
        yield chosen
    finally:
        _target.reset(token)


def _three(extent: Extent) -> tuple[int, int, int]:
    given = (extent,) if isinstance(extent, int) else tuple(extent)
    x, y, z = (*given, 1, 1, 1)[:3]
    return x, y, z
