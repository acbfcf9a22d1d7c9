"""Plans on a device of its own memory: graphs of kernels, and the host's part between them."""

import numpy as np
import pytest
from dlcli_kernels import emulate, raw

from dlcli.engine import executor
from dlcli.engine.cuda_executor import CudaExecutor
from dlcli.engine.planner import WARM, Planner
from dlcli.engine.tape import apply
from dlcli.engine.tensor import Tensor, made_on_host, on_device, zeros
from dlcli.errors import DeviceError
from tests.engine.strict import StrictExecutor

X = np.arange(8, dtype=np.float32).reshape(2, 4)


@pytest.fixture
def device():
    with executor.using(StrictExecutor()) as made:
        yield made


class Repeated:
    """A function of one array, called through a planner; how often it was called itself."""

    def __init__(self, function, planner=None):
        self.function, self.calls, self.planner = function, 0, planner or Planner(enabled=True)

    def __call__(self, x):
        def call():
            self.calls += 1
            return self.function(x)

        found = self.planner.run(("it",), [], [x], call, lambda made: [made])
        return (self.function(x) if found is None else found).numpy()

    @property
    def entry(self):
        (entry,) = self.planner.entries.values()
        return entry


def twice(x):
    return apply("scale", on_device(x), by=2.0)


def check(repeated, want, calls=2, times=WARM + 5):
    """The values of every call, and that all but the first were the plan's."""
    for k in range(times):
        np.testing.assert_array_equal(repeated(X + k), want(X + k))
    assert repeated.calls == calls
    assert repeated.entry.refusal == ""


def test_a_function_of_kernels_alone_is_one_graph_behind_what_is_given(device):
    repeated = Repeated(lambda x: apply("scale", apply("add", twice(x), on_device(x)), by=3.0))
    check(repeated, lambda x: 9 * x)
    plan = repeated.entry.plan
    assert len(plan.steps) == 3  # both copies of x come first, wherever they were asked for


def test_the_host_s_part_runs_between_graphs_on_what_the_device_has_made(device):
    def function(x):
        return apply("add", twice(x), made_on_host(np.negative, apply("scale", twice(x), by=0.25)))

    repeated = Repeated(function)
    check(repeated, lambda x: 1.5 * x)
    assert len(repeated.entry.plan.steps) == 5  # two copies, graph, negative, graph


def test_an_operand_that_is_a_part_is_copied_within_the_graph(device):
    repeated = Repeated(lambda x: apply("scale", Tensor(twice(x).data[:, 1:3]), by=0.5))
    check(repeated, lambda x: x[:, 1:3])
    assert len(repeated.entry.plan.steps) == 2


@pytest.mark.parametrize("position", range(5))
def test_a_kernel_that_cannot_be_captured_is_launched_between_graphs_of_the_others(
    device, position
):
    device.target.uncapturable = "add"

    def function(x):
        made = on_device(x)
        for k in range(5):
            made = apply("add", made, made) if k == position else apply("scale", made, by=2.0)
        return made

    repeated = Repeated(function)
    check(repeated, lambda x: 32 * x)
    assert 2 < len(repeated.entry.plan.steps) <= 6


def test_what_a_plan_keeps_between_its_runs_is_where_it_was(device):
    total = zeros((2, 4))

    def gather(x):
        apply("add_to", total, on_device(x))
        return apply("scale", total, by=1.0)

    repeated, want = Repeated(gather), np.zeros_like(X)
    for k in range(WARM + 5):
        want = want + X + k
        np.testing.assert_array_equal(repeated(X + k), want)
    assert repeated.calls == 2


def test_what_is_given_may_be_handed_through(device):
    repeated = Repeated(lambda x: on_device(x))
    check(repeated, lambda x: x)


def test_an_array_of_python_s_makes_no_plan(device):
    repeated = Repeated(lambda x: apply("scale", on_device(x * x), by=1.0))
    for k in range(12):
        np.testing.assert_array_equal(repeated(X + k), (X + k) ** 2)
    assert "another list of calls" in repeated.entry.refusal


def test_a_larger_plan_moves_the_arena_and_the_graphs_of_the_others_with_it(device):
    chained = Repeated(lambda x: apply("scale", apply("scale", twice(x), by=2.0), by=2.0))
    for k in range(WARM + 3):
        np.testing.assert_array_equal(chained(X + k), 8 * (X + k))
    (small,) = chained.planner.entries.values()
    begin, steps = device.arena.begin, list(small.plan.steps)
    large = np.ones((64, 64), np.float32)
    for k in range(WARM + 3):
        np.testing.assert_array_equal(chained(large * k), 8 * large * k)
    assert device.arena.begin != begin
    np.testing.assert_array_equal(chained(X), 8 * X)
    assert small.plan.steps[-1] is not steps[-1]


def test_what_the_device_refuses_in_a_plan_is_a_device_error(device):
    repeated = Repeated(twice)
    for _ in range(WARM + 3):
        repeated(X)

    def fail():
        raise raw.LaunchError("an illegal address\nand a long story")

    repeated.entry.plan.steps[-1] = fail
    with pytest.raises(DeviceError, match="the GPU refuses a part of a plan") as error:
        repeated(X)
    assert error.value.why == "an illegal address"


@pytest.mark.emulator
def test_kernels_of_cuda_in_a_plan_make_the_bits_that_they_make_one_by_one():
    if why := emulate.problem():
        pytest.skip(why)

    def function(x):
        products = apply("matmul", on_device(x), on_device(x), ta=True)
        return apply("sum", apply("act", Tensor(products.data[1:, 1:]), act="tanh"), axes=(0,))

    with raw.running_on(emulate.Emulator()), executor.using(CudaExecutor()):
        repeated = Repeated(function)
        want = [function(X / 8 + k).numpy() for k in range(WARM + 4)]
        for k, array in enumerate(want):
            np.testing.assert_array_equal(repeated(X / 8 + k), array)
        assert repeated.calls == 2
        assert len(repeated.entry.plan.steps) == 3  # both copies of x, and one graph
