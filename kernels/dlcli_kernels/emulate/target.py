"""The emulator as a target of launches: arrays are NumPy's, a launch is one call of the runtime."""

from __future__ import annotations

import ctypes
import functools
import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ..launch import view
from ..raw import Call, Kernel
from ..spec import Spec
from . import build
from .arena import Arena, name_of
from .locate import places
from .records import EmulationError, Entry, Index, Launch, Report

ORDERS = ("forward", "reverse", "shuffled")  # of the threads of a block, and of the blocks
ALIGNMENT = 512  # of an array, as CuPy allocates it
BUDGET = 4_000_000_000  # accesses of one launch
ROOM = 1 << 30
THREADS, DEPTH = 1024, 64  # the most of a block, and of its z
GRID_YZ = 65535  # the most blocks along y and z
SHARED = 227 << 10  # bytes of a block; how much of the static part is of one kernel is not known
RESIDENT_THREADS, RESIDENT_BLOCKS = 2048, 32  # of a multiprocessor

_one_at_a_time = threading.RLock()  # the runtime has one state


class _Library:
    """A compiled source: its kernels by name, its static shared memory, its place in memory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        loaded = ctypes.CDLL(str(path))
        pointer = functools.partial(ctypes.c_void_p.in_dll, loaded)
        self.shared = pointer("dlcli_shared_begin").value, pointer("dlcli_shared_end").value
        self.image = pointer("dlcli_image_begin").value, pointer("dlcli_image_end").value
        self.entries: dict[str, Entry] = {}
        first = ctypes.addressof(Entry.in_dll(loaded, "dlcli_entries"))
        for i in range(1 << 10):
            entry = Entry.from_address(first + i * ctypes.sizeof(Entry))
            if not entry.name:
                break
            self.entries[entry.name.decode()] = entry


@functools.cache
def _load(path: Path) -> _Library:
    return _Library(path)


@functools.lru_cache(maxsize=4096)
def _library(kernel: Kernel) -> _Library:
    return _load(build.library(kernel))


class Emulator:
    """A raw.Target that runs kernels on the CPU, in the order of threads `order`.

    launches: how many it has carried out.
    """

    arch = "sm_90"
    multiprocessors = 8  # few: work is cut into few pieces
    orders = ORDERS

    def __init__(self, order: str = "forward", seed: int = 1, budget: int = BUDGET) -> None:
        self.order, self.seed, self.budget, self.launches = order, seed, budget, 0
        self._captured: list[Callable[[], None]] | None = None  # instead of being done

    def empty(self, spec: Spec) -> np.ndarray:
        """An uninitialised array on a boundary of 512 bytes, as a GPU's allocator gives."""
        self._refuse_in_a_capture("an allocation")
        return _aligned(spec.shape, spec.dtype)

    def room(self) -> int:
        """As if it had so much memory of its own."""
        return ROOM

    def put(self, array: np.ndarray) -> np.ndarray:
        """A copy."""
        self._refuse_in_a_capture("a copy from the host")
        out = _aligned(array.shape, array.dtype)
        out[...] = array
        return out

    def get(self, array: np.ndarray) -> np.ndarray:
        """A copy."""
        self._refuse_in_a_capture("a copy to the host")
        return np.array(array)

    view = staticmethod(view)

    def assign(self, out: np.ndarray, array: np.ndarray) -> None:
        """Copies an array to another one."""
        if self._captured is None:
            out[...] = array
        else:
            self._captured.append(functools.partial(self.assign, out, array))

    def capture(self, calls: Callable[[], None]) -> Callable[[], None]:
        """What repeats the launches and assignments of calls()."""
        self._captured = captured = []
        try:
            calls()
        finally:
            self._captured = None
        return lambda: _each(captured)

    def _refuse_in_a_capture(self, what: str) -> None:
        if self._captured is not None:
            raise EmulationError(f"{what} in the midst of a capture")

    @contextmanager
    def ordered(self, order: str) -> Iterator[None]:
        """Launches run the threads in this order inside."""
        before, self.order = self.order, order or self.order
        try:
            yield
        finally:
            self.order = before

    def launch(self, call: Call) -> None:
        """Runs a kernel to its end. EmulationError if it does what a kernel may not do."""
        if self._captured is not None:
            self._captured.append(functools.partial(self.launch, call))
            return
        library = _library(call.kernel)
        entry = library.entries.get(call.kernel.name)
        if entry is None:
            raise EmulationError(
                f'{call.kernel.source.name} has no extern "C" kernel {call.kernel.name}: '
                f"it has {', '.join(library.entries) or 'none'}"
            )
        with _one_at_a_time:
            self._launch(call, library, entry)

    def _launch(self, call: Call, library: _Library, entry: Entry) -> None:
        if why := self._too_large(call, entry):
            raise EmulationError(f"{name_of(call)}: {why}")
        runtime = build.runtime()
        arena = Arena(call, entry, runtime)
        launch = Launch(
            entry=ctypes.pointer(entry),
            args=arena.pointers,
            values_begin=arena.begin,
            values_end=arena.end,
            grid=Index(*call.grid),
            block=Index(*call.block),
            dynamic_bytes=call.shared,
            static_begin=library.shared[0],
            static_end=library.shared[1],
            image_begin=library.image[0],
            image_end=library.image[1],
            buffers=arena.buffers,
            buffer_count=len(arena.buffers),
            cooperative=call.cooperative,
            order=ORDERS.index(self.order),
            seed=self.seed,
            budget=self.budget,
        )
        self.launches += 1
        if runtime.dlcli_launch(ctypes.byref(launch)):
            runtime.dlcli_report.restype = ctypes.POINTER(Report)
            raise _error(call, library, arena, runtime.dlcli_report().contents)
        arena.copy_back()

    def _too_large(self, call: Call, entry: Entry) -> str:
        """Why a GPU would refuse the launch; empty where it would not."""
        threads, blocks = math.prod(call.block), math.prod(call.grid)
        if not 0 < threads <= THREADS or call.block[2] > DEPTH:
            return f"a block of {threads} threads; 1 to {THREADS} can be, {DEPTH} along z"
        if 0 < entry.most_threads < threads:
            return f"a block of {threads} threads; its launch bounds are {entry.most_threads}"
        if max(call.grid[1:]) > GRID_YZ:
            return f"a grid of {call.grid}; along y and z are {GRID_YZ} at the most"
        if call.shared > SHARED:
            return f"{call.shared} bytes of shared memory; {SHARED} can be"
        each = min(RESIDENT_BLOCKS, RESIDENT_THREADS // threads)
        each = min(each, (SHARED + 1024) // (call.shared + 1024))
        if call.cooperative and blocks > each * self.multiprocessors:
            most = each * self.multiprocessors
            return f"a cooperative launch of {blocks} blocks; {most} can run at once"
        return ""


def _aligned(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """An uninitialised array on a boundary, as a GPU's allocator gives."""
    size = Spec(shape, np.dtype(dtype)).nbytes
    raw = np.empty(size + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + size].view(dtype).reshape(shape)


def _each(captured: list[Callable[[], None]]) -> None:
    for one in captured:
        one()


def _error(call: Call, library: _Library, arena: Arena, report: Report) -> EmulationError:
    pcs = [report.pc[i] - library.image[0] for i in range(report.count)]
    lines = places(library.path, pcs)
    message = f"{lines[0]}: {report.what.decode()}"
    if report.argument >= 0:
        array = next(a for i, a, _, _ in arena.arrays if i == report.argument)
        message += (
            f" (the nearest is argument {report.argument + 1} of {call.kernel.name}, {array.shape} "
            f"{array.dtype}: at byte {report.offset} of {array.nbytes})"
        )
    message += f"; thread {report.thread[0]} of block {report.block[0]}"
    if report.count == 2:
        message += f"; the other at {lines[1]}"
        if report.thread[1].known:
            message += f", thread {report.thread[1]}"
        if report.block[1].known and str(report.block[1]) != str(report.block[0]):
            message += f", block {report.block[1]}"
    return EmulationError(f"{message} [{call.kernel.label()}]", tuple(lines))
