"""CUDA as a device: arrays and launches of the target in use, one kernel for a whole range.

The target (`dlcli_kernels.raw.target`) is the GPU; a test may put the emulator in its place.
Kernels and copies run in the order in which they are asked for; only `get` waits for the device.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from dlcli_kernels import raw
from dlcli_kernels.launch import Launch

from ..errors import DeviceError
from .executor import Executor


class CudaExecutor(Executor):
    """The target in use when it is made.

    threads: of the host, for whoever asks. precision: "float32", or "tf32" for tensor cores.
    """

    device = "cuda"

    def __init__(self, threads: int = 1, precision: str = "float32") -> None:
        super().__init__()
        self.threads, self.precision = threads, precision
        self.target = raw.target()
        self.empty = self.target.empty  # type: ignore[method-assign]  # a call less for each array

    def put(self, values: np.ndarray) -> Any:
        native = values.dtype.newbyteorder("=")
        try:
            return self.target.put(np.asarray(values, native, order="C"))
        except RuntimeError as error:
            raise _failed("the GPU takes no more data", error) from error

    def get(self, array: Any) -> np.ndarray:
        try:
            return self.target.get(array)
        except RuntimeError as error:  # what an earlier kernel did is noticed here
            raise _failed("the GPU failed", error) from error

    def call(self, launch: Launch, outs: Sequence[Any], arrays: Sequence[Any]) -> None:
        try:
            launch.run_whole(outs, arrays, self.empty)
        except raw.LaunchError as error:
            raise _failed(f"the GPU refuses {launch.op.name}", error) from error

    def describe(self) -> dict[str, Any]:
        found = {"arch": self.target.arch, "multiprocessors": self.target.multiprocessors}
        return {**super().describe(), **found}


def _failed(what: str, error: RuntimeError) -> DeviceError:
    """CuPy's and our own errors of the device, all RuntimeErrors, as the user meets them."""
    lines = str(error).strip().splitlines()
    hint = "nothing that was saved is damaged; try again, or use --device cpu"
    return DeviceError(what, why=lines[0] if lines else type(error).__name__, hint=hint)
