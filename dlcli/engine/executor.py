"""Runs kernels: resolves an op once per signature, allocates its outputs, and calls the variant.

`run` is the only way to a kernel. A device is a subclass of `Executor` that says how an array is
allocated, how a prepared call is carried out, and how values get to the device and back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from dlcli_kernels import registry
from dlcli_kernels.launch import Launch, view
from dlcli_kernels.registry import Variant
from dlcli_kernels.spec import Op, Spec

from ..errors import DeviceError
from .arena import Arena, on_cache_lines

if TYPE_CHECKING:
    from .plan import Plan
    from .trace import Trace

MOST_SIGNATURES = 4096  # distinct shapes remembered before starting over


class Executor:
    """What all devices share.

    An array of a device has shape, dtype, nbytes and flags; a slice or reshape of it is a view;
    another array of the device can be assigned to a slice. Nothing else is asked of one: whoever
    wants its values calls `get`.

    device: its name. precision: what float32 operands are computed in. threads: on the CPU. plans:
    whether what is repeated may run by a plan. arena: of those plans.
    """

    device: str
    precision = "float32"
    threads = 1
    plans = False
    arena: Arena

    def __init__(self) -> None:
        self.launches: dict[Any, Launch] = {}

    def empty(self, spec: Spec) -> Any:
        """An uninitialised array of the device."""
        raise NotImplementedError

    def zeros(self, spec: Spec) -> Any:
        """An array of the device that holds zeros."""
        return self.put(np.zeros(spec.shape, spec.dtype))

    def put(self, values: np.ndarray) -> Any:
        """The values as an array of the device; on the CPU the very same array."""
        raise NotImplementedError

    def get(self, array: Any) -> np.ndarray:
        """The array's values on the host; on the CPU the very same array. Waits for the device."""
        raise NotImplementedError

    def write(self, array: Any, values: Any) -> None:
        """Copies values of the host (an array, or numbers that fill one) into an array in place."""
        array[...] = self.put(np.asarray(values, array.dtype).reshape(array.shape))

    def copy(self, array: Any) -> Any:
        """Another array of the device with the same values."""
        made = self.empty(Spec.of(array))
        made[...] = array
        return made

    def room(self) -> int:
        """Bytes that are free in a memory of the device's own; 0 where it is the host's."""
        return 0

    def view(
        self,
        memory: Any,
        offset: int,
        shape: tuple[int, ...],
        dtype: np.dtype,
        strides: tuple[int, ...] | None = None,
    ) -> Any:
        """An array in the memory of a contiguous one, which begins `offset` bytes after it."""
        raise NotImplementedError

    def made_on_host(self, make: Callable[..., np.ndarray], *operands: Any) -> Any:
        """An array of the device with the values make(*operands), these being arrays of the host or
        of the device, whose values it is given.
        """
        return self.put(self.on_host(make, operands))

    def on_host(self, make: Callable[..., np.ndarray], operands: Sequence[Any]) -> np.ndarray:
        """make(*operands), as an array of the host: see `made_on_host`."""
        given = [a if isinstance(a, np.ndarray) else self.get(a) for a in operands]
        return np.asarray(make(*given), order="C")

    def call(self, launch: Launch, outs: Sequence[Any], arrays: Sequence[Any]) -> None:
        """Fills `outs` from `arrays` and updates the inout ones of these."""
        raise NotImplementedError

    def plan(self, trace: Trace) -> Plan:
        """What repeats a trace of this device, in its arena. MemoryError."""
        raise NotImplementedError

    def describe(self) -> dict[str, Any]:
        """What a run keeps of where it was trained: plain values by name."""
        return {"device": self.device, "threads": self.threads, "precision": self.precision}

    def close(self) -> None:
        """Gives back what the device holds besides arrays."""

    def run(
        self, op: Op, arrays: Sequence[Any], attrs: dict[str, Any], optional: bool
    ) -> tuple[tuple[str, ...], list[Any]]:
        """The names and arrays of the outputs; those for backward alone are None unless `optional`.

        ValueError if the operands do not fit the op, DeviceError if the device has no kernel for
        them.
        """
        key = (
            op.name,
            optional,
            *[None if a is None else (a.shape, a.dtype) for a in arrays],
            *attrs.items(),
        )
        launch = self.launches.get(key)
        if launch is None:
            launch = self.launches[key] = self._prepare(op, arrays, attrs, optional)
        outs = launch.allocate(self.empty)
        self.call(launch, outs, arrays)
        return launch.names, outs

    def _prepare(
        self, op: Op, arrays: Sequence[Any], attrs: dict[str, Any], optional: bool
    ) -> Launch:
        if len(self.launches) >= MOST_SIGNATURES:
            self.launches.clear()
        specs = [None if a is None else Spec.of(a) for a in arrays]
        return Launch(op, self.resolve(op, specs, attrs), specs, attrs, optional=optional)

    def has_kernel(self, op: Op) -> bool:
        """Whether any kernel of the op runs on the device by default, for whatever operands."""
        return self.device == "cpu" or any(device == self.device for device, _ in op.prefer)

    def resolve(self, op: Op, specs: Sequence[Spec | None], attrs: dict[str, Any]) -> Variant:
        """The variant that runs. DeviceError if the device has none for these operands."""
        try:
            return registry.resolve(op, self.device, specs, attrs, self.precision)
        except registry.NoVariant as error:
            raise DeviceError(str(error), hint="use --device cpu") from error


class CpuExecutor(Executor):
    """The CPU: NumPy arrays, and a pool of `threads`, which meet after every op.

    Neither the ranges nor any result depends on the number of threads. A kernel runs with denormals
    flushed to zero and without NumPy's warnings: what is not finite is found by the flag of the
    training step.
    """

    device = "cpu"
    plans = True

    def __init__(self, threads: int) -> None:
        from dlcli_kernels.cpu_pool import Pool

        super().__init__()
        self.threads = threads
        self.pool = Pool(threads)
        self.arena = Arena(on_cache_lines)

    def empty(self, spec: Spec) -> Any:
        return np.empty(spec.shape, spec.dtype)

    def put(self, values: np.ndarray) -> Any:
        return values

    def get(self, array: Any) -> np.ndarray:
        return array

    def call(self, launch: Launch, outs: Sequence[Any], arrays: Sequence[Any]) -> None:
        self.pool.carry_out(launch, outs, arrays)

    view = staticmethod(view)

    def plan(self, trace: Trace) -> Plan:
        from .cpu_plan import CpuPlan

        return CpuPlan(trace, self)

    def close(self) -> None:
        """Ends the threads."""
        self.pool.close()


_current: Executor | None = None


def current() -> Executor:
    """The executor in use; one on the CPU with every core where none was configured."""
    global _current
    if _current is None:
        _current = _make(None, "cpu", "float32")
    return _current


def configure(
    threads: int | None = None, device: str = "cpu", precision: str = "float32"
) -> Executor:
    """Chooses the device ("auto", "cpu" or "cuda"), the number of threads on the CPU (None: every
    core) and the precision ("float32" or "tf32").

    Tensors made before stay where they are: configure first, build models after. DeviceError where
    the device, or the precision on it, is not available; the executor in use then stays.
    """
    global _current
    made = _make(threads, device, precision)
    if _current is not None:
        _current.close()
    _current = made
    return made


def _make(threads: int | None, device: str, precision: str) -> Executor:
    from dlcli_kernels.cpu import available_threads

    from .device import check_precision, choose

    chosen, _ = choose(device)
    check_precision(precision, chosen)
    threads = threads or available_threads()
    if chosen == "cpu":
        return CpuExecutor(threads)
    from .cuda_executor import CudaExecutor

    return CudaExecutor(threads, precision)


@contextmanager
def using(executor: Executor) -> Iterator[Executor]:
    """`executor` is the one in use inside; it is not closed afterwards."""
    global _current
    before, _current = _current, executor
    try:
        yield executor
    finally:
        _current = before
