"""The GPU as a target of launches: CuPy's arrays and current stream, our own machine code.

A kernel is compiled for the device at its first launch, taken from the cache from then on
(`cuda_cache.py`), and loaded once per process. A launch is one call of the driver; nothing here
waits for the device but `get`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import cuda_cache, cuda_compile, cuda_tensor_map
from .raw import Call, Kernel, LaunchError, Source, TensorMap, fitting
from .spec import Spec

DYNAMIC_SHARED = 48 << 10  # bytes of shared memory that a block may have without asking
NULL = np.uint64(0)
PROBE = Source(__name__, "cuda_probe.cu")


class Unavailable(RuntimeError):
    """There is no GPU that can be used here; the message says why, in one line."""


@dataclass
class _Loaded:
    """A kernel on the device. static: its shared memory; allowed: the dynamic part it may have."""

    function: Any  # cupy.cuda.function.Function
    static: int
    allowed: int


class Gpu:
    """CuPy's current device as a raw.Target. cupy: the module."""

    orders: tuple[str, ...] = ("",)  # of threads: the hardware's own

    def __init__(self, cupy: Any) -> None:
        self.cupy = cupy
        self.driver, runtime = cupy.cuda.driver, cupy.cuda.runtime
        device = cupy.cuda.Device()
        self.id: int = device.id
        self.arch = f"sm_{device.compute_capability}"
        blocks = runtime.cudaDevAttrMultiProcessorCount
        shared = runtime.cudaDevAttrMaxSharedMemoryPerBlockOptin
        self.multiprocessors = int(runtime.deviceGetAttribute(blocks, self.id))
        self.most_shared = int(runtime.deviceGetAttribute(shared, self.id))
        self._array = cupy.ndarray
        self._loaded: dict[Kernel, _Loaded] = {}
        self._maps = cuda_tensor_map.Maps()
        self._apart: Any = None  # the stream on which is captured

    def ordered(self, order: str) -> AbstractContextManager[None]:
        """Nothing: the hardware decides in which order threads run."""
        return nullcontext()

    def empty(self, spec: Spec) -> Any:
        """An uninitialised CuPy array: contiguous, on a boundary of 512 bytes."""
        return self.cupy.empty(spec.shape, spec.dtype)

    def room(self) -> int:
        """Bytes that nobody has taken; what CuPy's pool holds is taken."""
        free, _ = self.cupy.cuda.runtime.memGetInfo()
        return int(free)

    def put(self, array: np.ndarray) -> Any:
        """A copy on the device, contiguous."""
        return self.cupy.array(np.ascontiguousarray(array).reshape(array.shape))

    def get(self, array: Any) -> np.ndarray:
        """A copy as NumPy, once every launch before on the current stream has ended."""
        return self.cupy.asnumpy(array)

    def view(
        self,
        memory: Any,
        offset: int,
        shape: tuple[int, ...],
        dtype: np.dtype,
        strides: tuple[int, ...] | None = None,
    ) -> Any:
        """An array in the memory of another, which lives as long as it is used."""
        return self._array(shape, dtype, memory.data + offset, strides)

    def assign(self, out: Any, array: Any) -> None:
        """Copies an array to another one on the current stream."""
        out[...] = array

    def capture(self, calls: Callable[[], None]) -> Callable[[], None]:
        """What launches calls() as one CUDA graph on the stream that is current then.

        Everything in it must have run before: a module that is loaded in the midst ends a capture.
        """
        if self._apart is None:  # the default stream cannot be captured
            self._apart = self.cupy.cuda.Stream(non_blocking=True)
        try:
            with self._apart as stream:
                stream.begin_capture()
                try:
                    calls()
                except BaseException:
                    with suppress(RuntimeError):  # that it is incomplete is known
                        stream.end_capture()
                    raise
                graph = stream.end_capture()
        except RuntimeError as error:
            raise LaunchError(f"this cannot be captured: {_line(error)}") from error
        return functools.partial(self._replay, graph)

    def _replay(self, graph: Any) -> None:
        try:
            graph.launch()
        except RuntimeError as error:
            raise LaunchError(f"a captured graph was not launched: {_line(error)}") from error

    def facts(self) -> dict[str, Any]:
        """The device's name, architecture, multiprocessors and bytes of memory; CUDA's versions."""
        runtime = self.cupy.cuda.runtime
        properties = runtime.getDeviceProperties(self.id)
        return {
            "name": properties["name"].decode(),
            "arch": self.arch,
            "multiprocessors": self.multiprocessors,
            "memory": int(properties["totalGlobalMem"]),
            "driver": _dotted(runtime.driverGetVersion()),
            "nvrtc": "{}.{}".format(*cuda_compile.version()),
            "cupy": self.cupy.__version__,
        }

    def resources(self, kernel: Kernel) -> cuda_compile.Resources:
        """Registers, spills and shared memory of a kernel as compiled for this device."""
        cubin = cuda_cache.cubin(kernel.source, kernel.constants, self._arch_of(kernel))
        return cubin.resources[kernel.name]

    def launch(self, call: Call) -> None:
        """Runs a kernel on CuPy's current stream, after what was put there before.

        Raises LaunchError where the driver or the device refuses it, TypeError and OverflowError
        for arguments that no kernel can take, CompileError where the source is wrong.
        """
        loaded = self._loaded.get(call.kernel) or self._load(call.kernel)
        if call.shared > loaded.allowed:
            self._allow(loaded, call)
        if call.cooperative:
            self._check_resident(loaded, call)
        args = tuple(self._parameter(arg) for arg in call.args)
        try:
            loaded.function(
                call.grid,
                call.block,
                args,
                shared_mem=call.shared,
                enable_cooperative_groups=call.cooperative,
            )
        except self.driver.CUDADriverError as error:
            raise LaunchError(f"{_describe(call)}: {error}") from error

    def _parameter(self, value: Any) -> Any:
        """What CuPy passes by value for an argument: see raw.py for the rules."""
        kind = type(value)
        if kind is int:
            return np.int32(value)
        if kind is self._array:
            return value  # as its address
        if value is None:
            return NULL
        if kind is float:
            return np.float32(value)
        if isinstance(value, np.generic):  # kinds that CuPy does not know go in as their bytes
            return value if value.dtype.kind in "biufc" else np.array(value)
        if isinstance(value, TensorMap):
            return self._maps.encode(value, value.array.data.ptr)
        raise TypeError(f"a {kind.__name__} cannot be passed to a kernel")

    def _arch_of(self, kernel: Kernel) -> str:
        arch = fitting(kernel.source.archs, self.arch)
        if not arch:
            written = ", ".join(kernel.source.archs)
            raise LaunchError(f"{kernel.source.name} is written for {written}, not for {self.arch}")
        return arch

    def _load(self, kernel: Kernel) -> _Loaded:
        cubin = cuda_cache.cubin(kernel.source, kernel.constants, self._arch_of(kernel))
        if kernel.name not in cubin.resources:
            names = ", ".join(cubin.resources) or "none"
            raise LaunchError(
                f'{kernel.source.name} has no extern "C" kernel {kernel.name}; it has {names}'
            )
        module = self.cupy.cuda.function.Module()
        try:
            module.load(cubin.image)
            function = module.get_function(kernel.name)
        except self.driver.CUDADriverError as error:
            raise LaunchError(f"{kernel.source.name}: {kernel.label()}: {error}") from error
        static = cubin.resources[kernel.name].shared
        loaded = self._loaded[kernel] = _Loaded(function, static, DYNAMIC_SHARED - static)
        return loaded

    def _allow(self, loaded: _Loaded, call: Call) -> None:
        """Asks for more dynamic shared memory than a block has by default."""
        if call.shared + loaded.static > self.most_shared:
            raise LaunchError(
                f"{_describe(call)}: {call.shared + loaded.static} bytes of shared memory; "
                f"a block of this device has at most {self.most_shared}"
            )
        attribute = self.driver.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
        self.driver.funcSetAttribute(loaded.function.ptr, attribute, call.shared)
        loaded.allowed = call.shared

    def _check_resident(self, loaded: _Loaded, call: Call) -> None:
        """LaunchError if not all blocks fit at once. CuPy would launch fewer, with a warning."""
        threads = call.block[0] * call.block[1] * call.block[2]
        blocks = call.grid[0] * call.grid[1] * call.grid[2]
        per_multiprocessor = self.driver.occupancyMaxActiveBlocksPerMultiprocessor(
            loaded.function.ptr, threads, call.shared
        )
        if blocks > per_multiprocessor * self.multiprocessors:
            raise LaunchError(
                f"{_describe(call)}: {blocks} blocks shall wait for each other, but "
                f"{per_multiprocessor * self.multiprocessors} run at once"
            )


@functools.cache
def gpu() -> Gpu:
    """CuPy's current device, opened once. Raises Unavailable where there is none to use."""
    try:
        import cupy
    except ImportError as error:
        installed = not isinstance(error, ModuleNotFoundError) or error.name != "cupy"
        why = f"CuPy cannot be loaded ({_line(error)})" if installed else "CuPy is not installed"
        raise Unavailable(why) from None
    try:
        if not cupy.cuda.runtime.getDeviceCount():
            raise Unavailable("there is no CUDA device")
        device = Gpu(cupy)
    except cupy.cuda.runtime.CUDARuntimeError as error:
        raise Unavailable(f"CUDA does not answer: {_line(error)}") from None
    if why := cuda_compile.problem():
        raise Unavailable(why)
    return device


@functools.cache
def problem() -> str:
    """Why CUDA kernels cannot run here, in one line; '' where a small one ran and was right."""
    try:
        return _probe(gpu())
    except (RuntimeError, MemoryError) as error:  # CuPy's errors are of these two kinds
        return _line(error)


def _probe(device: Gpu) -> str:
    n = 1000
    x = np.random.default_rng(0).standard_normal(n).astype(np.float32)
    given, out = device.put(x), device.empty(Spec((n,), x.dtype))
    device.launch(Call(PROBE.kernel("probe"), (-(-n // 128), 1, 1), (128, 1, 1), (out, given, n)))
    right = np.array_equal(device.get(out), 2 * x + np.arange(n, dtype=np.float32))
    return "" if right else f"a kernel ran on {device.arch} and gave a wrong result"


def _describe(call: Call) -> str:
    grid, block = ("×".join(map(str, extent)) for extent in (call.grid, call.block))
    kernel = call.kernel
    return f"{kernel.source.name}: {kernel.label()}, {grid} blocks of {block} threads"


def _line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip(" =")]
    return lines[0] if lines else type(error).__name__


def _dotted(version: int) -> str:
    """CUDA's 13020 as 13.2."""
    return f"{version // 1000}.{version % 1000 // 10}"
