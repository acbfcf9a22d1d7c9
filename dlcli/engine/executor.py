"""Runs kernels: resolves an op once per signature, allocates its outputs, and calls the variant.

`run` is the only way to a kernel. A device is a subclass of `Executor` that says how an array is
allocated and how a prepared call is carried out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from dlcli_kernels import registry
from dlcli_kernels.launch import Launch
from dlcli_kernels.spec import Op, Spec

from ..errors import DeviceError

MOST_SIGNATURES = 4096  # distinct shapes remembered before starting over


class Executor:
    """What all devices share."""

    device: str

    def __init__(self) -> None:
        self.launches: dict[Any, Launch] = {}

    def empty(self, spec: Spec) -> Any:
        """An uninitialised array of the device."""
        raise NotImplementedError

    def call(self, launch: Launch, outs: Sequence[Any], arrays: Sequence[Any]) -> None:
        """Fills `outs` from `arrays` and updates the inout ones of these."""
        raise NotImplementedError

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
        try:
            variant = registry.resolve(op, self.device, specs, attrs)
        except registry.NoVariant as error:
            raise DeviceError(str(error), hint="use --device cpu") from error
        return Launch(op, variant, specs, attrs, optional=optional)


class CpuExecutor(Executor):
    """The CPU: NumPy arrays, and a pool of `threads`, which meet after every op.

    Neither the ranges nor any result depends on the number of threads. A kernel runs with denormals
    flushed to zero and without NumPy's warnings: what is not finite is found by the flag of the
    training step.
    """

    device = "cpu"

    def __init__(self, threads: int) -> None:
        from dlcli_kernels import cpu

        super().__init__()
        self.threads = threads
        self.pool = cpu.Pool(threads)
        self.flush_to_zero, self.restore = cpu.flush_to_zero, cpu.restore

    def empty(self, spec: Spec) -> Any:
        return np.empty(spec.shape, spec.dtype)

    def call(self, launch: Launch, outs: Sequence[Any], arrays: Sequence[Any]) -> None:
        state = self.flush_to_zero()
        try:
            with np.errstate(all="ignore"):
                launch.run(outs, arrays, self.pool.run)
        finally:
            self.restore(state)

    def close(self) -> None:
        """Ends the threads."""
        self.pool.close()


_current: CpuExecutor | None = None


def current() -> CpuExecutor:
    """The executor in use; one on the CPU with every core where none was configured."""
    global _current
    if _current is None:
        configure()
    assert _current is not None
    return _current


def configure(threads: int | None = None, device: str = "auto") -> CpuExecutor:
    """Chooses the device ("auto", "cpu" or "cuda") and the number of threads (None: every core).

    DeviceError where the device is not available; the executor in use then stays.
    """
    global _current
    from dlcli_kernels.cpu import available_threads

    from .device import choose

    choose(device)
    if _current is not None:
        _current.close()
    _current = CpuExecutor(threads or available_threads())
    return _current
