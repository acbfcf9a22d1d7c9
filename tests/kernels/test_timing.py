"""Timing: turns are taken fairly, short functions are repeated, ratios know how sure they are."""

import gc
import time

import numpy as np
import pytest
from dlcli_kernels.timing import Sample, measure, ratio, ratio_of_runs


def test_functions_take_turns_forwards_and_backwards():
    trail = []
    functions = {name: (lambda name=name: trail.append(name)) for name in "ABC"}
    samples = measure(functions, repeats=4, warmup=1, min_time=0)
    assert "".join(trail) == "AABBCC" + "ABCCBA" * 2  # a warm-up, a trial
    assert {name: s.times.size for name, s in samples.items()} == {"A": 4, "B": 4, "C": 4}


def test_an_odd_number_of_repeats_is_rounded_up():
    assert measure({"A": lambda: None}, repeats=3, min_time=0)["A"].times.size == 4


def test_a_short_function_is_called_until_the_least_time_is_filled():
    calls = [0]

    def short():
        calls[0] += 1

    sample = measure({"short": short}, repeats=2, warmup=1, min_time=2e-3)["short"]
    assert calls[0] > 1000
    assert 0 < sample.median < 1e-5


def test_times_are_seconds_per_call():
    sample = measure({"sleep": lambda: time.sleep(2e-3)}, repeats=2, min_time=5e-3)["sleep"]
    assert 2e-3 <= sample.median < 2e-2


def test_the_garbage_collector_rests_meanwhile_and_works_again_even_after_an_error():
    working = []
    measure({"A": lambda: working.append(gc.isenabled())}, repeats=2, warmup=1, min_time=0)
    assert working == [True, True, False, False]
    assert gc.isenabled()

    def fails():
        if not gc.isenabled():
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        measure({"A": fails}, repeats=2, warmup=1, min_time=0)
    assert gc.isenabled()


@pytest.mark.parametrize("wrong", [{"repeats": 0}, {"warmup": -1}, {"min_time": -1.0}])
def test_senseless_arguments_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        measure({"A": lambda: None}, **wrong)


def test_a_sample_knows_its_median_quartiles_and_tail():
    sample = Sample(np.arange(1.0, 102.0))  # 1 … 101
    assert (sample.median, sample.iqr, sample.p95) == (51.0, 50.0, 96.0)


def noisy(seed, scale, n=60):
    drift = np.linspace(1, 2, n)  # common to all that is measured in one round
    return Sample(scale * drift * np.random.default_rng(seed).normal(1, 0.02, n))


def test_a_ratio_has_an_interval_around_the_truth_in_spite_of_drift():
    found = ratio(noisy(1, 3.0), noisy(2, 2.0))
    assert found.low < 1.5 < found.high
    assert found.low <= found.value <= found.high
    assert found.high - found.low < 0.15


def test_equal_functions_are_not_told_apart_and_a_seed_repeats_the_interval():
    a, b = noisy(1, 1.0), noisy(2, 1.0)
    found = ratio(a, b)
    assert found.low < 1 < found.high
    assert ratio(a, b) == found
    assert ratio(a, a).value == 1.0


def test_a_higher_confidence_gives_a_wider_interval():
    a, b = noisy(1, 1.0), noisy(2, 1.1)
    narrow, wide = ratio(a, b, confidence=0.5), ratio(a, b, confidence=0.99)
    assert wide.low < narrow.low < narrow.high < wide.high


def test_samples_of_different_rounds_are_not_compared():
    with pytest.raises(ValueError, match="rounds"):
        ratio(Sample(np.ones(3)), Sample(np.ones(4)))


def test_something_may_be_done_before_each_repeat_outside_of_the_timed_window():
    trail = []
    sample = measure(
        {"A": lambda: trail.append("A")},
        repeats=2,
        warmup=1,
        min_time=0,
        before={"A": lambda: (trail.append("before"), time.sleep(5e-3))},
    )["A"]
    assert trail == ["before", "A", "A", "before", "A", "before", "A"]
    assert sample.times.max() < 5e-3


def test_the_clock_may_be_another_one():
    class Ticks:
        def time(self, function, calls):
            function()
            return 0.5 / calls

    assert measure({"A": lambda: None}, repeats=2, clock=Ticks())["A"].times.tolist() == [0.5, 0.5]


def test_a_budget_that_is_used_up_leaves_three_rounds():
    functions = {"A": lambda: time.sleep(2e-3)}
    assert measure(functions, repeats=100, min_time=0, budget=0.0)["A"].times.size == 6
    assert measure(functions, repeats=4, min_time=0, budget=0.0)["A"].times.size == 4


def test_samples_of_different_runs_are_compared_without_common_rounds():
    a, b = noisy(1, 3.0, n=60), noisy(2, 2.0, n=40)
    found = ratio_of_runs(a, b)
    assert found.low < 1.5 < found.high
    assert ratio_of_runs(a, b) == found
    with pytest.raises(ValueError, match="empty"):
        ratio_of_runs(a, Sample(np.array([])))
