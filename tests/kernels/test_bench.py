"""The benchmark: only right kernels get a time, cold is cold, and a time must be possible."""

import numpy as np
import pytest
from dlcli_kernels import bench, registry
from dlcli_kernels.bench import Settings, bench_case
from dlcli_kernels.bench_row import Row, settle, settled
from dlcli_kernels.roofline import Roofline
from dlcli_kernels.timing import Sample

from tests.kernels.bench_small import (
    ADD,
    HIGH,
    QUICK,
    Remembers,
    right,
    shape_of,
    small_host,
    unwritten,
    variant_of,
    wrong_at_the_end,
)


@pytest.fixture
def host():
    device = small_host()
    yield device
    device.close()


def rows_of(host, *functions, settings=QUICK, op=ADD, sizes="N=100", **module):
    variants = [variant_of(op, f, name=f"cpu_{i}", **module) for i, f in enumerate(functions)]
    return bench_case(host, op, shape_of(op, sizes), "float32", variants, settings)


def test_a_right_kernel_gets_its_times_work_and_error(host):
    (row,) = rows_of(host, right)
    assert (row.reason, row.compared, row.flops, row.bytes) == ("", "all", 0, 1200)
    assert row.cold.times.size == row.warm.times.size == 2
    assert 0 <= row.error <= 1


@pytest.mark.parametrize("wrong", [wrong_at_the_end, unwritten])
def test_a_wrong_kernel_gets_no_time_and_the_right_one_beside_it_does(host, wrong):
    refused, fine = rows_of(host, wrong, right)
    assert refused.reason.startswith("wrong: out[(99,)]")
    assert refused.cold is refused.warm is None
    assert fine.cold is not None


def test_a_kernel_that_is_right_only_until_the_inputs_change_loses_its_time(host):
    (row,) = rows_of(host, Remembers())
    assert row.reason.startswith("wrong after it was timed: out")
    assert row.cold is row.warm is row.speedup is None


def test_a_kernel_that_updates_in_place_is_right_before_and_after(host):
    op = registry.op("add_to")

    def add_to(target, x):
        target += x

    (row,) = rows_of(host, add_to, op=op)
    assert row.reason == ""

    def twice(target, x):
        target += 2 * x

    (row,) = rows_of(host, twice, op=op)
    assert row.reason.startswith("wrong: target")


def test_a_variant_that_refuses_the_case_has_no_row(host):
    assert rows_of(host, right, supports=lambda *specs, **attrs: False) == []


def test_what_a_kernel_raises_is_not_caught(host):
    def broken(out, x, y):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        rows_of(host, broken)


def test_a_variant_that_executes_less_than_the_op_counts_says_so(host):
    (row,) = rows_of(host, right, work=lambda op, *specs, **attrs: (7, 11))
    assert (row.flops, row.bytes) == (7, 11)


def test_before_a_cold_call_caches_are_flushed_and_the_same_is_done_elsewhere(host, monkeypatch):
    trail = []
    monkeypatch.setattr(host, "flush", lambda: trail.append("flush"))

    def tell(out, x, y):
        if type(x) is np.ndarray:  # and no operand of a launch that is written down
            trail.append(x.ctypes.data)
        right(out, x, y)

    rows_of(host, tell)
    places = [place for place in trail if place != "flush"]
    timed, other = places[0], next(p for p in places if p != places[0])
    cold = trail[trail.index("flush") :]
    assert cold[-8:].count("flush") == 0  # the warm part follows, and the check after it
    flushes = [i for i, what in enumerate(trail) if what == "flush"]
    assert len(flushes) == 3  # before the trial and before each of two repeats
    for i in flushes:
        assert trail[i + 1 : i + 3] == [other, timed]
    after = trail[flushes[-1] + 3 :]
    assert other not in after


def test_matrix_products_are_compared_with_blas_whose_threads_are_given_back(host):
    op = registry.op("matmul")
    (row,) = bench_case(
        host,
        op,
        shape_of(op, "M=16,N=8,K=4"),
        "float32",
        [registry.variant(op, "cpu_blas")],
        Settings(repeats=4, min_time=0.0),
    )
    assert row.vendor == "NumPy's BLAS"
    assert row.speedup.low <= row.speedup.value <= row.speedup.high
    assert row.vendor_warm.times.size == row.warm.times.size == 4
    from threadpoolctl import threadpool_info

    assert {p["num_threads"] for p in threadpool_info() if p["user_api"] == "blas"} == {1}


def test_a_seed_gives_the_same_operands_and_fresh_ones_after_timing(host):
    shape = shape_of(ADD, "N=10")
    a, b, c = (bench.inputs(ADD, shape, "float32", seed)[0] for seed in (1, 1, 2))
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)


def test_the_memory_of_a_case_is_known_before_anything_is_made():
    assert bench.memory_of(ADD, shape_of(ADD, "N=1000"), "float32") == 2 * 1000 * (16 + 16)


# --- the roofline ---------------------------------------------------------------------------------


def timed(seconds, flops=1000, moved=1000):
    row = Row("add", "cpu_mine", "x", "float32", "cpu", flops, moved)
    row.cold = row.warm = Sample(np.full(4, seconds))
    return row


ROOF = Roofline({"float32": 1000.0}, {"read": 500.0, "write": 500.0, "copy": 500.0})


def test_a_row_has_its_share_of_the_roof_that_binds_it():
    row = timed(4.0)
    settle([row], ROOF)
    assert (row.share, row.bound, row.reason) == (0.5, "memory", "")
    row = timed(4.0, flops=3000)
    settle([row], ROOF)
    assert (row.share, row.bound) == (0.75, "compute")


def test_up_to_five_percent_above_the_roofline_is_believed():
    row = timed(2.0 / 1.049)
    settle([row], ROOF)
    assert row.reason == ""
    assert row.cold is not None


def test_more_than_that_is_a_measuring_error_without_a_time():
    row = timed(1.0)
    settle([row], ROOF)
    assert row.reason == "measuring error: 200% of the roofline (memory)"
    assert row.cold is None


class Measures:
    """A device whose roofline is another one each time."""

    def __init__(self, *found):
        self.found = list(found)

    def roofline(self, precision):
        return self.found.pop(0)


def roof(rate):
    return Roofline({"float32": 1e9}, {"copy": rate})


def test_before_that_the_roofline_is_measured_anew_since_it_may_have_been_disturbed():
    row, device = timed(1.0), Measures(roof(400.0), roof(1200.0), roof(1.0))
    assert settled([row], device, roof(500.0)) == roof(1200.0)
    assert row.reason == ""
    assert row.share == pytest.approx(1000 / 1200)
    assert len(device.found) == 1


def test_a_time_that_beats_every_one_of_them_is_refused():
    row, device = timed(1.0), Measures(*[roof(500.0)] * 5)
    settled([row], device, roof(500.0))
    assert row.reason.startswith("measuring error: 200%")
    assert device.found == []


def test_possible_times_cost_no_further_measurement():
    row = timed(4.0)
    assert settled([row], Measures(), HIGH) is HIGH
    assert row.reason == ""
