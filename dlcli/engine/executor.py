"""Runs kernels:

resolves an op once per signature, allocates its outputs, and hands its ranges to the threads.

The ranges do not depend on the number of threads, nor does any result. In eager mode the threads
meet after every op.
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


class CpuExecutor:
    """The CPU: NumPy arrays, a pool of `threads`."""

    device = "cpu"

    def __init__(self, threads: int) -> None:
        from dlcli_kernels.cpu import Pool

        self.threads = threads
        self.pool = Pool(threads)
        self.launches: dict[Any, Launch] = {}

    def run(
        self, op: Op, arrays: Sequence[Any], attrs: dict[str, Any], optional: bool
    ) -> tuple[tuple[str, ...], list[Any]]:
        """The names and arrays of the outputs;

        those that only backward needs are None unless `optional`.
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
        outs = [None if s is None else np.empty(s.shape, s.dtype) for s in launch.outputs]
        launch.run(outs, arrays, self.pool.run)
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
    """Chooses the device ("auto", "cpu" or "cuda") and the number of threads (None:

    every core that this process may use).

    Raises DeviceError where the device is not available.
    """
    global _current
    from dlcli_kernels.cpu import available_threads

    from .device import choose

    choose(device)
    if _current is not None:
        _current.close()
    _current = CpuExecutor(threads or available_threads())
    return _current
