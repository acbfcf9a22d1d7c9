"""What becomes a plan and what does not: a plan is a list of kernels, whatever Python did."""

import numpy as np
import pytest

from dlcli.engine import executor
from dlcli.engine.planner import MOST_TRACES, WARM, Planner
from dlcli.engine.tape import apply
from dlcli.engine.tensor import Tensor, made_on_host, on_device, zeros

X = np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.fixture(autouse=True)
def device():
    made = executor.CpuExecutor(2)
    with executor.using(made):
        yield made
    made.close()


class Repeated:
    """A function of one array, called through a planner; how often it was called itself."""

    def __init__(self, function, watched=()):
        self.function, self.calls = function, 0
        self.planner, self.watched = Planner(enabled=True), watched

    def __call__(self, x):
        def call():
            self.calls += 1
            return self.function(x)

        found = self.planner.run(("it",), self.watched, [x], call, lambda made: [made])
        return (self.function(x) if found is None else found).numpy()

    @property
    def refusal(self):
        (entry,) = self.planner.entries.values()
        return entry.refusal


def twice(x):
    return apply("scale", on_device(x), by=2.0)


def test_after_two_traces_the_function_is_not_called_any_more():
    repeated = Repeated(twice)
    for k in range(WARM + 6):
        np.testing.assert_array_equal(repeated(X + k), 2 * (X + k))
    assert repeated.calls == 2
    assert repeated.refusal == ""


def test_arrays_of_another_shape_have_a_plan_of_their_own():
    repeated = Repeated(twice)
    for k in range(WARM + 6):
        np.testing.assert_array_equal(repeated(X + k), 2 * (X + k))
        np.testing.assert_array_equal(repeated(X[:1] - k), 2 * (X[:1] - k))
    assert repeated.calls == 4
    assert len(repeated.planner.entries) == 2


def test_what_is_kept_is_read_and_written_where_it_is():
    total = zeros((2, 3))

    def gather(x):
        apply("add_to", total, on_device(x))
        return apply("scale", total, by=1.0)

    repeated, want = Repeated(gather, [total]), np.zeros_like(X)
    for k in range(WARM + 5):
        want = want + X + k
        np.testing.assert_array_equal(repeated(X + k), want)
    assert repeated.calls == 2


def test_what_is_kept_elsewhere_from_now_on_makes_another_plan():
    weight = on_device(X.copy())
    repeated = Repeated(lambda x: apply("mul", on_device(x), weight), [weight])
    for _ in range(WARM + 3):
        np.testing.assert_array_equal(repeated(X), X * X)
    weight.data = X + 1
    for _ in range(WARM + 3):
        np.testing.assert_array_equal(repeated(X), X * (X + 1))


def test_on_another_executor_there_is_another_plan(device):
    repeated = Repeated(twice)
    for _ in range(WARM + 3):
        repeated(X)
    other = executor.CpuExecutor(1)
    with executor.using(other):
        device.pool.close()
        for k in range(WARM + 3):
            np.testing.assert_array_equal(repeated(X + k), 2 * (X + k))
    other.close()
    assert repeated.calls == 4


def test_an_array_that_is_handed_through_is_the_one_that_was_given():
    def through(x):
        apply("scale", on_device(x), by=2.0)
        return on_device(x)

    repeated = Repeated(through)
    for k in range(WARM + 5):
        np.testing.assert_array_equal(repeated(X + k), X + k)
    assert repeated.calls == 2


def test_a_part_of_what_is_given_is_no_result_of_a_plan():
    """It would be that of the call that was traced."""

    def first_row(x):
        apply("scale", on_device(x), by=2.0)
        return Tensor(on_device(x).data[:1])

    repeated = Repeated(first_row)
    for k in range(WARM + 5):
        np.testing.assert_array_equal(repeated(X + k), (X + k)[:1])
    assert "a part of what is given" in repeated.refusal


def count_up(x, counter=[0]):  # noqa: B006  (it is what changes)
    counter[0] += 1
    return x + counter[0]


def test_what_is_made_on_the_host_is_made_anew_each_time():
    repeated = Repeated(lambda x: apply("scale", made_on_host(count_up, twice(x)), by=1.0))
    first = [repeated(X)[0, 0] for _ in range(WARM + 5)]
    assert np.diff(first).tolist() == [1.0] * (WARM + 4)
    assert repeated.calls == 2


def test_what_is_made_on_the_host_in_another_shape_is_refused_by_the_plan():
    rows = [2]

    def make(x):
        return np.zeros((rows[0], 3), np.float32)

    repeated = Repeated(lambda x: apply("scale", made_on_host(make, x), by=1.0))
    for _ in range(WARM + 3):
        repeated(X)
    rows[0] = 1
    with pytest.raises(ValueError, match="a plan is for"):
        repeated(X)


def test_zeros_are_zeros_each_time():
    def fill(x):
        made = zeros((2, 3))
        apply("add_to", made, on_device(x))
        return made

    repeated = Repeated(fill)
    for k in range(WARM + 5):
        np.testing.assert_array_equal(repeated(X + k), X + k)
    assert repeated.calls == 2


def read(x):
    made = twice(x)
    return apply("scale", made, by=float(made.numpy()[0, 0]))


def written(x):
    made = twice(x)
    made.write(np.zeros((2, 3), np.float32))
    return made


@pytest.mark.parametrize(("function", "why"), [(read, "is read"), (written, "is written")])
def test_a_value_that_is_read_or_written_makes_no_plan(function, why):
    repeated = Repeated(function)
    for k in range(WARM + 4):
        np.testing.assert_array_equal(repeated(X + k), function(X + k).numpy())
    assert why in repeated.refusal
    assert repeated.calls == 1


def test_an_array_that_python_makes_from_what_is_given_makes_no_plan():
    repeated = Repeated(lambda x: apply("scale", Tensor(x * x), by=1.0))
    for k in range(WARM + MOST_TRACES + 2):
        np.testing.assert_array_equal(repeated(X + k), (X + k) ** 2)
    assert "another list of calls" in repeated.refusal


def test_a_number_that_changes_makes_no_plan():
    def by_first(x):
        return apply("scale", on_device(x), by=float(x[0, 0]))

    repeated = Repeated(by_first)
    for k in range(1, WARM + MOST_TRACES + 3):
        np.testing.assert_array_equal(repeated(X + k), (X + k) * k)
    assert "another list of calls" in repeated.refusal


def test_an_operand_with_gaps_is_copied_in_each_run():
    def columns(x):
        return apply("scale", Tensor(on_device(x).data[:, ::2]), by=2.0)

    repeated = Repeated(columns)
    for k in range(WARM + 4):
        np.testing.assert_array_equal(repeated(X + k), 2 * (X + k)[:, ::2])
    assert repeated.calls == 2


def test_an_op_that_is_no_program_runs_as_python_between_those_that_are():
    def mixed(x):
        return apply("scale", apply("act", twice(x), act="softplus"), by=3.0)

    repeated = Repeated(mixed)
    want = [mixed(X + k).numpy() for k in range(WARM + 4)]
    for k in range(WARM + 4):
        np.testing.assert_array_equal(repeated(X + k), want[k])
    assert repeated.calls == 2


def test_a_function_that_fails_is_traced_again_and_fails_as_it_would():
    fail = [False]

    def sometimes(x):
        made = twice(x)
        if fail[0]:
            raise KeyError("it")
        return made

    repeated = Repeated(sometimes)
    for k in range(WARM + 1):
        repeated(X + k)
    fail[0] = True
    with pytest.raises(KeyError):
        repeated(X)
    fail[0] = False
    for k in range(4):
        np.testing.assert_array_equal(repeated(X + k), 2 * (X + k))


def test_without_plans_the_device_makes_none(device):
    device.plans = False
    repeated = Repeated(twice)
    for k in range(WARM + 4):
        np.testing.assert_array_equal(repeated(X + k), 2 * (X + k))
    assert repeated.calls == 0


@pytest.mark.parametrize("make", [lambda x: x[:, ::2], lambda x: x.T])
def test_an_array_with_gaps_is_never_taken_for_another_one(make):
    planner = Planner(enabled=True)
    for k in range(8):
        x = make(np.arange(16, dtype=np.float32).reshape(4, 4) + k)
        call = lambda x=x: apply("scale", on_device(x), by=2.0)  # noqa: E731
        found = planner.run(("it",), [], [x], call, lambda made: [made])
        np.testing.assert_array_equal((call() if found is None else found).numpy(), 2 * x)


def test_two_that_were_one_while_it_was_written_down_are_two_afterwards():
    planner = Planner(enabled=True)
    for k in range(12):
        x = np.full(4, k, np.float32)
        y = x if k < 6 else x + 5
        call = lambda x=x, y=y: apply("add", on_device(x), apply("scale", on_device(y), by=2.0))  # noqa: E731
        found = planner.run(("it",), [], [x, y], call, lambda made: [made])
        np.testing.assert_array_equal((call() if found is None else found).numpy(), x + 2 * y)
    (entry,) = planner.entries.values()
    assert entry.plan is not None
