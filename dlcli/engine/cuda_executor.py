"""CUDA as a device: arrays and launches of the target in use, one kernel for a whole range.

The target (`dlcli_kernels.raw.target`) is the GPU; a test may put the emulator in its place.
Kernels and copies run in the order in which they are asked for; only `get` waits for the device.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from dlcli_kernels import raw
from dlcli_kernels.launch import Launch
from dlcli_kernels.spec import Spec

from ..errors import DeviceError
from .arena import Arena
from .executor import Executor

if TYPE_CHECKING:
    from .plan import Plan
    from .trace import Trace

ALIGNMENT = 512  # bytes: where CuPy's allocations begin, and so whatever a kernel was tried on


class CudaExecutor(Executor):
    """The target in use when it is made.

    threads: of the host, for whoever asks. precision: "float32", or "tf32" for tensor cores.
    """

    device = "cuda"
    plans = True

    def __init__(self, threads: int = 1, precision: str = "float32") -> None:
        super().__init__()
        self.threads, self.precision = threads, precision
        self.target = cast("raw.Capturing", raw.target())
        self.empty = self.target.empty  # type: ignore[method-assign]  # a call less for each array
        self.arena = Arena(lambda n: self.target.empty(Spec((n,), np.dtype(np.uint8))), ALIGNMENT)

    def put(self, values: np.ndarray) -> Any:
        native = values.dtype.newbyteorder("=")
        try:
            return self.target.put(np.asarray(values, native, order="C"))
        except RuntimeError as error:
            raise failed("the GPU takes no more data", error) from error

    def get(self, array: Any) -> np.ndarray:
        try:
            return self.target.get(array)
        except RuntimeError as error:  # what an earlier kernel did is noticed here
            raise failed("the GPU failed", error) from error

    def call(self, launch: Launch, outs: Sequence[Any], arrays: Sequence[Any]) -> None:
        try:
            launch.run_whole(outs, arrays, self.empty)
        except raw.LaunchError as error:
            raise failed(f"the GPU refuses {launch.op.name}", error) from error

    def room(self) -> int:
        return self.target.room()

    def view(self, memory: Any, offset: int, *about: Any) -> Any:
        return self.target.view(memory, offset, *about)

    def plan(self, trace: Trace) -> Plan:
        from .cuda_plan import CudaPlan

        return CudaPlan(trace, self)

    def describe(self) -> dict[str, Any]:
        found = {"arch": self.target.arch, "multiprocessors": self.target.multiprocessors}
        return {**super().describe(), **found}


def failed(what: str, error: RuntimeError) -> DeviceError:
    """CuPy's and our own errors of the device, all RuntimeErrors, as the user meets them."""
    lines = str(error).strip().splitlines()
    hint = "nothing that was saved is damaged; try again, or use --device cpu"
    return DeviceError(what, why=lines[0] if lines else type(error).__name__, hint=hint)
