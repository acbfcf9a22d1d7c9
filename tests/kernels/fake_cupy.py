"""A module in CuPy's form with no GPU behind it: it records what is loaded, set and launched.

Arrays live in NumPy. The probe's arithmetic is done in Python, so that `problem()` has something to
look at. `missing_names` compares it with the real CuPy where that is installed.
"""

from types import SimpleNamespace
from typing import ClassVar

import numpy as np

MULTIPROCESSORS, MOST_SHARED = 16, 97


class RuntimeFault(RuntimeError):
    """CUDARuntimeError."""


class DriverFault(RuntimeError):
    """CUDADriverError."""


class Pointer:
    """Where an array begins in its memory, some bytes of NumPy."""

    def __init__(self, memory, offset=0):
        self.memory, self.offset, self.ptr = memory, offset, memory.ctypes.data + offset

    def __add__(self, offset):
        return Pointer(self.memory, self.offset + offset)


class Array:
    """An array of the device: it is nothing that NumPy would take for one of its own."""

    def __init__(self, shape, dtype, memptr=None, strides=None):
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        self.data = memptr or Pointer(np.empty(size, np.uint8))
        self.values = np.ndarray(shape, dtype, self.data.memory, self.data.offset, strides)
        self.shape, self.dtype, self.ndim = self.values.shape, self.values.dtype, self.values.ndim
        self.strides = self.values.strides

    @staticmethod
    def of(values):
        values = np.asarray(values)
        made = Array(values.shape, values.dtype)
        made.values[...] = values
        return made


class Stream:
    """What is launched while it captures goes into its graph. current: those entered, in order."""

    current: ClassVar = []

    def __init__(self, non_blocking):
        assert non_blocking
        self.captured = None

    def __enter__(self):
        self.current.append(self)
        return self

    def __exit__(self, *_):
        assert self.current.pop() is self
        assert self.captured is None, "left in the midst of a capture"

    def begin_capture(self):
        self.captured = []

    def end_capture(self):
        captured, self.captured = self.captured, None
        if None in captured:
            raise RuntimeFault("cudaErrorStreamCaptureInvalidated: it is over")
        return SimpleNamespace(launch=lambda: [function() for function in captured])

    @classmethod
    def do(cls, function):
        """Calls it, or has the current stream capture it."""
        if cls.current:
            cls.current[-1].captured.append(function)
        else:
            function()


def fake_cupy(capability="90", devices=1, fault=None, wrong=False, refuses=False, resident=8):
    """The module, with what happened in `launches`, `loaded` and `attributes`.

    fault: what asking for devices raises. wrong: the probe writes zeros. refuses: the driver
    launches nothing. resident: blocks of a multiprocessor.
    """
    did = SimpleNamespace(launches=[], loaded=[], attributes=[])

    def count():
        if fault is not None:
            raise fault
        return devices

    class Function:
        ptr = 4711

        def __init__(self, name):
            self.name = name

        def __call__(self, grid, block, args, shared_mem=0, enable_cooperative_groups=False):
            if refuses:
                if Stream.current:
                    Stream.current[-1].captured.append(None)
                raise DriverFault("CUDA_ERROR_INVALID_VALUE: invalid argument")
            did.launches.append(
                SimpleNamespace(
                    name=self.name,
                    grid=grid,
                    block=block,
                    args=args,
                    shared=shared_mem,
                    cooperative=enable_cooperative_groups,
                )
            )
            if self.name == "probe" and isinstance(args[1], Array):
                out, x, n = args
                assert n.dtype == np.int32
                Stream.do(lambda: probe(out, x, n))

    def probe(out, x, n):
        out.values[...] = 0 if wrong else 2 * x.values + np.arange(n, dtype=np.float32)

    class Module:
        def load(self, image):
            assert type(image) is bytes
            did.loaded.append(image)

        def get_function(self, name):
            return Function(name)

    runtime = SimpleNamespace(
        CUDARuntimeError=RuntimeFault,
        getDeviceCount=count,
        cudaDevAttrMultiProcessorCount=MULTIPROCESSORS,
        cudaDevAttrMaxSharedMemoryPerBlockOptin=MOST_SHARED,
        deviceGetAttribute=lambda which, device: {MULTIPROCESSORS: 132, MOST_SHARED: 227 << 10}[
            which
        ],
        getDeviceProperties=lambda device: {"name": b"Fake", "totalGlobalMem": 1 << 30},
        driverGetVersion=lambda: 13020,
        memGetInfo=lambda: (3 << 28, 1 << 30),
    )
    driver = SimpleNamespace(
        CUDADriverError=DriverFault,
        CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES=8,
        funcSetAttribute=lambda f, which, value: did.attributes.append((f, which, value)),
        occupancyMaxActiveBlocksPerMultiprocessor=lambda f, threads, shared: resident,
    )
    return SimpleNamespace(
        __version__="14.2.0",
        ndarray=Array,
        empty=Array,
        array=Array.of,
        asnumpy=lambda array: np.array(array.values),
        cuda=SimpleNamespace(
            Device=lambda: SimpleNamespace(id=0, compute_capability=capability),
            runtime=runtime,
            driver=driver,
            function=SimpleNamespace(Module=Module),
            Stream=Stream,
        ),
        did=did,
    )


def missing_names(fake, real, path="cupy"):
    """Every name of the fake that the real module has not."""
    missing = []
    for name, value in vars(fake).items():
        if path == "cupy" and name == "did":
            continue
        if not hasattr(real, name):
            missing.append(f"{path}.{name}")
        elif isinstance(value, SimpleNamespace):
            missing += missing_names(value, getattr(real, name), f"{path}.{name}")
    return missing
