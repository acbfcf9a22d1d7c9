"""Where a benchmark runs: the threads of the host, or a CUDA device, behind one protocol.

Both give arrays, run a launch as the engine runs it, empty their caches outside the timed window,
and measure their own roofline.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from .launch import Launch
from .raw import Call, Kernel, running_on
from .raw import target as in_use
from .roofline import HostMemory, Roofline, measure_host
from .spec import Spec
from .timing import HOST, Clock, DeviceClock

LINE = 64  # bytes of a cache line, and of the widest vector


class Device(Protocol):
    """Where kernels are timed. threads: of the host; 0 where that means nothing."""

    name: str
    threads: int
    clock: Clock

    def put(self, array: np.ndarray) -> Any:
        """A copy of the array where kernels run."""

    def assign(self, array: Any, values: np.ndarray) -> None:
        """New values in an array made by `put`."""

    def get(self, array: Any) -> np.ndarray:
        """The array on the host, once everything launched before has ended."""

    def run(self, launch: Launch, outs: Sequence[Any], ins: Sequence[Any]) -> None:
        """Runs a launch as the engine does."""

    def flush(self) -> None:
        """Empties the caches of what they hold."""

    def roofline(self, precision: str) -> Roofline:
        """Measures it, the rate of one precision."""


class Host:
    """The processor, with a pool of threads; BLAS is held to one in each."""

    name = "cpu"
    clock: Clock = HOST

    def __init__(self, threads: int | None = None, memory: int | None = None) -> None:
        """threads: every core if None. memory: bytes of the buffer that is written to flush."""
        from .cpu import available_threads
        from .cpu_pool import Pool

        self.threads = threads or available_threads()
        self.pool = Pool(self.threads)
        self.memory = HostMemory(self.pool.run, self.threads, memory)

    def put(self, array: np.ndarray) -> np.ndarray:
        """On a boundary of a cache line, as large arrays of the engine are."""
        raw = np.empty(array.nbytes + LINE, np.uint8)
        start = -raw.ctypes.data % LINE
        copy = raw[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
        copy[...] = array
        return copy

    def assign(self, array: np.ndarray, values: np.ndarray) -> None:
        array[...] = values

    def get(self, array: np.ndarray) -> np.ndarray:
        return array

    def run(self, launch: Launch, outs: Sequence[Any], ins: Sequence[Any]) -> None:
        self.pool.carry_out(launch, outs, ins)

    def flush(self) -> None:
        self.memory.flush()

    def roofline(self, precision: str) -> Roofline:
        return measure_host(self.memory, self.threads, precision)

    def close(self) -> None:
        """Ends the threads."""
        self.pool.close()


class Gpu:
    """The CUDA device in use. `target` and `clock` are those of `cuda.py` and CuPy by default."""

    name = "cuda"
    threads = 0

    def __init__(self, target: Any = None, clock: Any = None) -> None:
        self.target: Any = in_use() if target is None else target
        self.clock: Any = DeviceClock.of_this_process() if clock is None else clock
        self.kept: dict[Spec, Any] = {}  # scratch, so that no timed call allocates

    def put(self, array: np.ndarray) -> Any:
        return self.target.put(array)

    def assign(self, array: Any, values: np.ndarray) -> None:
        array[...] = self.target.put(values)

    def get(self, array: Any) -> np.ndarray:
        return np.asarray(self.target.get(array))

    def run(self, launch: Launch, outs: Sequence[Any], ins: Sequence[Any]) -> None:
        launch.run_whole(outs, ins, self._scratch)

    def _scratch(self, spec: Spec) -> Any:
        if spec not in self.kept:
            self.kept[spec] = self.target.empty(spec)
        return self.kept[spec]

    def flush(self) -> None:
        self.clock.flush()

    def kernels(self, function: Callable[[], object]) -> list[dict[str, Any]]:
        """The kernels that a call launches: registers, spills and shared memory of each.

        Only those of CUDA C++; a kernel that Numba compiled is not among them.
        """
        listening = _Listening(self.target)
        with running_on(listening):
            function()
        return [
            {"kernel": kernel.label(), **_used(self.target.resources(kernel))}
            for kernel in listening.heard
        ]

    def roofline(self, precision: str) -> Roofline:
        from .cuda_roofline import measure_device

        return measure_device(self.target, self.clock, precision)

    def close(self) -> None:
        """Nothing is held."""


class _Listening:
    """A target that passes everything on and notes which kernels are launched."""

    def __init__(self, target: Any) -> None:
        self.target, self.heard = target, dict[Kernel, None]()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.target, name)

    def launch(self, call: Call) -> None:
        """Notes the kernel and launches it."""
        self.heard[call.kernel] = None
        self.target.launch(call)


def _used(resources: Any) -> dict[str, int]:
    return {
        "registers": resources.registers,
        "spills": resources.spills,
        "shared": resources.shared,
    }
