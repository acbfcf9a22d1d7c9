"""A device whose memory the host cannot touch, with the kernels of the CPU underneath.

An array of it is no NumPy array and turns into none: whatever is asked of it beyond what
`Executor` promises of an array raises. What works here reads nothing behind the device's back.
"""

from types import SimpleNamespace

import numpy as np
from dlcli_kernels import cpu, raw, registry
from dlcli_kernels.spec import Spec

from dlcli.engine.cuda_executor import CudaExecutor
from dlcli.engine.executor import CpuExecutor

BOUNDARY = 256  # bytes: where a GPU's memory is given out


class TouchedByHost(AssertionError):
    """The host asked something of memory that is not its own."""


class DeviceArray:
    """An array of the device: shape, dtype, nbytes, flags, strides, address, and whose memory it
    is a part of; slices, reshapes as views.
    """

    __array_ufunc__ = None  # arithmetic with NumPy's arrays is a TypeError
    __hash__ = None

    def __init__(self, memory, base=None):
        self.shape, self.dtype, self.nbytes = memory.shape, memory.dtype, memory.nbytes
        self.strides, self.base = (
            memory.strides,
            base if base is None or base.base is None else base.base,
        )
        self.flags = SimpleNamespace(c_contiguous=memory.flags.c_contiguous)
        self.data = SimpleNamespace(ptr=memory.ctypes.data)
        self._memory = memory

    def reshape(self, *shape):
        view = self._memory.reshape(*shape)
        if view.size and not np.shares_memory(view, self._memory):
            raise TouchedByHost("this reshape is a copy")
        return DeviceArray(view, self)

    def __getitem__(self, key):
        return DeviceArray(self._memory[_slices(key)], self)

    def __setitem__(self, key, value):
        if not isinstance(value, DeviceArray):
            raise TouchedByHost(f"a {type(value).__name__} of the host was assigned")
        target = self._memory[_slices(key)]
        if (target.shape, target.dtype) != (value.shape, value.dtype):
            raise TouchedByHost(f"{value.shape} {value.dtype} → {target.shape} {target.dtype}")
        target[...] = value._memory

    def __getattr__(self, name):
        raise TouchedByHost(f"the host asked for .{name}")

    def _refuse(self, *args, **kwargs):
        raise TouchedByHost("the host asked for a value")

    __array__ = __bool__ = __float__ = __int__ = __index__ = __len__ = __iter__ = _refuse
    __eq__ = __lt__ = __le__ = __gt__ = __ge__ = __copy__ = __deepcopy__ = _refuse
    __add__ = __radd__ = __iadd__ = __mul__ = __rmul__ = __imul__ = __sub__ = __neg__ = _refuse


def _slices(key):
    parts = key if isinstance(key, tuple) else (key,)
    if not all(part is Ellipsis or isinstance(part, slice) for part in parts):
        raise TouchedByHost(f"indexed by {key!r}")
    return key


class StrictTarget:
    """A target with memory of its own; nothing can be launched on it.

    captured: what a capture has noted instead of doing it. uncapturable: the kernel that ends one.
    free: bytes that it says it has. copied: shapes of what the host has copied to it.
    """

    arch, multiprocessors = "sm_80", 1

    def __init__(self):
        self.captured, self.uncapturable, self.free, self.copied = None, "", 1 << 30, []

    def room(self):
        return self.free

    def launch(self, call):
        raise AssertionError(f"{call.kernel.label()} was launched")

    def empty(self, spec):
        """Not zeros: what nobody wrote is NaN, or −1."""
        assert self.captured is None, "an allocation in the midst of a capture"
        raw_bytes = np.full(spec.nbytes + BOUNDARY, 0xFF, np.uint8)
        begin = -raw_bytes.ctypes.data % BOUNDARY
        memory = raw_bytes[begin : begin + spec.nbytes]
        return DeviceArray(memory.view(spec.dtype).reshape(spec.shape))

    def put(self, array):
        assert isinstance(array, np.ndarray)
        assert array.flags.c_contiguous
        self.copied.append(array.shape)
        made = self.empty(Spec.of(array))
        made._memory[...] = array
        return made

    def get(self, array):
        assert isinstance(array, DeviceArray)
        assert self.captured is None, "a value is read in the midst of a capture"
        return array._memory.copy()

    def view(self, memory, offset, shape, dtype, strides=None):
        flat = memory._memory.reshape(-1).view(np.uint8)
        return DeviceArray(np.ndarray(shape, dtype, flat, offset, strides), memory)

    def assign(self, out, array):
        self.do(out.__setitem__, ..., array)

    def do(self, function, *args):
        """Calls it, now or when what is captured is repeated."""
        if self.captured is None:
            function(*args)
        else:
            self.captured.append((function, args))

    def capture(self, calls):
        self.captured = captured = []
        try:
            calls()
        finally:
            self.captured = None
        return lambda: [function(*args) for function, args in captured]


class Lent:
    """A variant of the CPU that runs on the device's arrays."""

    def __init__(self, variant, target):
        self.variant, self.target, self.workspace = variant, target, variant.workspace

    def run(self, *arrays, **attrs):
        if self.target.captured is not None and self.variant.op.name == self.target.uncapturable:
            raise raw.LaunchError(f"{self.target.uncapturable} cannot be captured")
        self.target.do(lambda: self.run_now(*arrays, **attrs))

    def run_now(self, *arrays, scratch=None, **attrs):
        if scratch is not None:
            attrs["scratch"] = scratch._memory
        state = cpu.flush_to_zero()
        try:
            with np.errstate(all="ignore"):
                self.variant.run(*[a if a is None else a._memory for a in arrays], **attrs)
        finally:
            cpu.restore(state)


class StrictExecutor(CudaExecutor):
    """The CUDA executor on the strict target. ran: the names of the ops that ran."""

    def __init__(self, threads=1, precision="float32"):
        with raw.running_on(StrictTarget()):
            super().__init__(threads, precision)
        self.ran = set()

    def has_kernel(self, op):
        return True  # the CPU's

    def resolve(self, op, specs, attrs):
        self.ran.add(op.name)
        return Lent(registry.resolve(op, "cpu", specs, attrs), self.target)


class InOneRange(CpuExecutor):
    """The CPU, where each op is one piece of work, as it is on CUDA."""

    def call(self, launch, outs, arrays):
        state = cpu.flush_to_zero()
        try:
            with np.errstate(all="ignore"):
                launch.run_whole(outs, arrays, self.empty)
        finally:
            cpu.restore(state)
