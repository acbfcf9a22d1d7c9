"""Where a benchmark runs: the host's aligned arrays, and a CUDA device behind the same protocol."""

from types import SimpleNamespace

import numpy as np
import pytest
from dlcli_kernels.bench import Settings, bench_case
from dlcli_kernels.bench_device import Gpu
from dlcli_kernels.raw import Source
from dlcli_kernels.timing import DeviceClock, measure

from tests.kernels.bench_small import ADD, shape_of, small_host, variant_of


def test_arrays_of_the_host_begin_on_a_cache_line_and_are_copies():
    host = small_host()
    given = np.arange(7, dtype=np.float32).reshape(7, 1)
    made = host.put(given)
    assert made.ctypes.data % 64 == 0
    assert np.array_equal(made, given)
    host.assign(made, 2 * given)
    assert given[1] == 1
    assert host.get(made)[1] == 2
    assert host.put(np.zeros((0, 3), np.float32)).shape == (0, 3)
    host.close()


# --- a device that keeps its own time -------------------------------------------------------------


class FakeCupy:
    """What `DeviceClock` uses of CuPy, on a device whose time goes on by what it is given to do."""

    def __init__(self):
        self.now, self.trail, self.capturing = 0.0, [], None
        self.cuda = SimpleNamespace(
            Event=lambda: FakeEvent(self),
            Stream=lambda non_blocking: FakeStream(self),
            get_elapsed_time=lambda a, b: 1e3 * (b.at - a.at),
        )

    def zeros(self, size, dtype):
        return FakeBuffer(self, size)

    def do(self, what, seconds):
        if self.capturing is not None:
            self.capturing.append((what, seconds))
            return
        self.trail.append(what)
        self.now += seconds


class FakeBuffer:
    def __init__(self, cupy, size):
        self.cupy, self.size = cupy, size

    def __iadd__(self, value):
        self.cupy.do("flush", 1.0)
        return self


class FakeEvent:
    def __init__(self, cupy):
        self.cupy, self.at, self.waited = cupy, None, False

    def record(self):
        self.at = self.cupy.now

    def synchronize(self):
        self.waited = True


class FakeStream:
    def __init__(self, cupy):
        self.cupy = cupy

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None

    def synchronize(self):
        pass

    def begin_capture(self):
        self.cupy.capturing = []

    def end_capture(self):
        captured, self.cupy.capturing = self.cupy.capturing, None
        return SimpleNamespace(launch=lambda: [self.cupy.do(*work) for work in captured])


def test_events_around_the_calls_give_seconds_per_call():
    cupy = FakeCupy()
    clock = DeviceClock(cupy, flushed=4)
    assert clock.time(lambda: cupy.do("kernel", 3e-6), 4) == pytest.approx(3e-6)
    assert cupy.trail == ["kernel"] * 4


def test_a_flush_is_outside_of_the_timed_window():
    cupy = FakeCupy()
    clock = DeviceClock(cupy, flushed=4)
    sample = measure(
        {"": lambda: cupy.do("kernel", 5e-6)},
        repeats=2,
        warmup=0,
        min_time=0,
        before={"": clock.flush},
        clock=clock,
    )[""]
    assert sample.times == pytest.approx([5e-6, 5e-6])
    assert cupy.trail == ["flush", "flush", "kernel"] * 3


def test_a_graph_replays_what_was_captured_and_captures_nothing_twice():
    cupy = FakeCupy()
    clock = DeviceClock(cupy, flushed=4)
    calls = []

    def kernel():
        calls.append(1)
        cupy.do("kernel", 2e-6)

    replay = clock.replayed(kernel, 10)
    assert cupy.trail == ["kernel"]  # once before, so that nothing is loaded in the capture
    assert clock.time(replay, 2) == pytest.approx(20e-6)
    assert len(calls) == 11


def test_a_capture_that_is_refused_is_ended():
    cupy = FakeCupy()
    clock = DeviceClock(cupy, flushed=4)

    def refuses():
        if cupy.capturing is not None:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        clock.replayed(refuses, 2)
    assert cupy.capturing is None


class FakeTarget:
    """A raw target that runs nothing: arrays are NumPy's, `launch` takes time."""

    arch, multiprocessors = "sm_90", 2

    def __init__(self, cupy):
        self.cupy = cupy

    def put(self, array):
        return array.copy()

    def get(self, array):
        return array

    def empty(self, spec):
        self.cupy.trail.append("empty")
        return np.empty(spec.shape, spec.dtype)

    def launch(self, call):
        self.cupy.do("kernel", 4e-6)

    def resources(self, kernel):
        return SimpleNamespace(registers=40, spills=8, shared=1024)


SOURCE = Source("dlcli_kernels.cuda_roofline", "cuda_roofline.cu")


def test_a_kernel_of_the_device_is_verified_timed_in_a_graph_and_lists_its_registers():
    cupy = FakeCupy()
    target = FakeTarget(cupy)

    def add(out, x, y, scratch):
        SOURCE.kernel("copy4", CHAINS=2)(1, 32, out, x, 1)
        np.add(x, y, out=out)

    variant = variant_of(ADD, add, name="cuda_mine", workspace=lambda op, x, y: x)
    device = Gpu(target, DeviceClock(cupy, flushed=4))
    settings = Settings(repeats=2, min_time=0.0, vendor=False)
    from dlcli_kernels.raw import running_on

    with running_on(target):
        (row,) = bench_case(device, ADD, shape_of(ADD, "N=64"), "float32", [variant], settings)
    assert row.reason == ""
    assert row.device == "cuda"
    for sample in (row.cold, row.warm, row.replayed):
        assert sample.times == pytest.approx(4e-6)
    assert row.kernels == [
        {"kernel": "copy4[CHAINS=2]", "registers": 40, "spills": 8, "shared": 1024}
    ]
    assert cupy.trail.count("empty") == 1  # scratch is made once, outside of every timed window
