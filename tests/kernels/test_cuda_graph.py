"""Launches captured as a CUDA graph, on a module in CuPy's form."""

import numpy as np
import pytest
from dlcli_kernels import cuda_compile, raw
from dlcli_kernels.cuda import PROBE, Gpu
from dlcli_kernels.raw import LaunchError
from dlcli_kernels.spec import Spec

from tests.kernels.fake_cupy import Stream, fake_cupy

pytestmark = [
    pytest.mark.nvrtc,
    pytest.mark.skipif(bool(cuda_compile.problem()), reason=cuda_compile.problem()),
]
N = 6
X = np.linspace(-1, 1, N, dtype=np.float32)


@pytest.fixture
def gpu():
    Stream.current.clear()
    made = Gpu(fake_cupy())
    with raw.running_on(made):
        yield made


def probe(out, x):
    PROBE.kernel("probe")(1, 128, out, x, N)


def test_what_is_captured_is_not_carried_out_until_it_is_replayed_and_then_each_time(gpu):
    x, between, out = gpu.put(X), gpu.put(X * 0), gpu.put(X * 0)

    def both():
        probe(between, x)
        probe(out, between)

    replay = gpu.capture(both)
    np.testing.assert_array_equal(gpu.get(out), X * 0)
    for k in (1, 3):
        x.values[...] = X * k
        replay()
        np.testing.assert_allclose(gpu.get(out), 4 * k * X + 3 * np.arange(N), rtol=1e-6)


def test_captures_have_a_stream_of_their_own_which_is_left_again(gpu):
    x, out = gpu.put(X), gpu.empty(Spec((N,), X.dtype))
    for _ in range(2):
        gpu.capture(lambda: probe(out, x))
    assert Stream.current == []
    probe(out, x)  # at once: nothing is captured any more
    np.testing.assert_allclose(gpu.get(out), 2 * X + np.arange(N), rtol=1e-6)


def test_a_launch_that_cannot_be_captured_is_a_launch_error_and_the_capture_is_over(gpu):
    refusing = Gpu(fake_cupy(refuses=True))
    with raw.running_on(refusing), pytest.raises(LaunchError, match="cannot be captured"):
        refusing.capture(lambda: probe(refusing.put(X), refusing.put(X)))
    assert Stream.current == []


def test_what_is_no_error_of_the_device_ends_a_capture_too_and_stays_what_it_is(gpu):
    def fail():
        raise KeyError("it")

    with pytest.raises(KeyError):
        gpu.capture(fail)
    assert Stream.current == []


def test_a_graph_that_is_not_launched_is_a_launch_error(gpu):
    replay = gpu.capture(lambda: None)
    (graph,) = replay.args

    def fail():
        raise RuntimeError("cudaErrorIllegalAddress: an illegal memory access\nlong")

    graph.launch = fail
    with pytest.raises(LaunchError, match=r"cudaErrorIllegalAddress: an illegal memory access$"):
        replay()


def test_a_view_lies_in_the_memory_of_another_array(gpu):
    memory = gpu.empty(Spec((64,), np.dtype(np.uint8)))
    part = gpu.view(memory, 8, (2, 3), np.dtype(np.float32), (16, 4))
    assert part.data.ptr == memory.data.ptr + 8
    part.values[...] = 7
    words = memory.values.view(np.float32)
    assert words[2:5].tolist() == words[6:9].tolist() == [7, 7, 7]
    whole = gpu.view(memory, 0, (16,), np.dtype(np.float32))
    np.testing.assert_array_equal(whole.values[2:5], 7)
