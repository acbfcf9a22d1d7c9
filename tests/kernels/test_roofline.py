"""The roofline: floors of work, figures that only rise, and what the host's measurement touches."""

import numpy as np
import pytest
from dlcli_kernels import roofline
from dlcli_kernels.launch import serial
from dlcli_kernels.roofline import HostMemory, Roofline, host_flops, last_cache

ROOF = Roofline({"float32": 100.0}, {"read": 10.0, "write": 6.0, "copy": 8.0})


def test_work_is_bound_by_whatever_takes_longer():
    assert ROOF.floor(200, 10, "float32") == (2.0, "compute")
    assert ROOF.floor(200, 30, "float32") == (3.0, "memory")


def test_the_bandwidth_is_the_fastest_way_to_move_bytes():
    assert ROOF.bandwidth == 10.0


def test_a_precision_that_was_not_measured_has_no_compute_roof():
    assert ROOF.floor(10**9, 10, "tf32") == (1.0, "memory")


def test_of_two_measurements_the_higher_figures_count():
    other = Roofline({"float32": 90.0, "float64": 50.0}, {"read": 9.0, "write": 7.0, "copy": 8.0})
    assert ROOF.raised(other) == Roofline(
        {"float32": 100.0, "float64": 50.0}, {"read": 10.0, "write": 7.0, "copy": 8.0}
    )


def test_the_largest_cache_is_read_from_the_system(tmp_path):
    for i, size in enumerate(("48K", "2048K", "300M", "odd")):
        (tmp_path / f"index{i}").mkdir()
        (tmp_path / f"index{i}" / "size").write_text(f"{size}\n")
    assert last_cache(tmp_path) == 300 << 20
    assert last_cache(tmp_path / "absent") == 32 << 20


def test_a_flush_changes_every_element_that_it_uses():
    memory = HostMemory(serial, 2, size=1 << 16)
    before = memory.data.copy()
    memory.flush()
    assert memory.data.size == 1 << 14
    assert np.all(memory.data != before)


def test_bandwidths_count_what_is_read_and_what_is_written(monkeypatch):
    class Sample:
        times = np.array([2.0, 0.5])

    monkeypatch.setattr(
        roofline, "measure", lambda functions, **_: dict.fromkeys(functions, Sample)
    )
    found = HostMemory(serial, 1, size=4096).bandwidth()
    assert found == {"read": 2048.0, "write": 2048.0, "copy": 2048.0}  # a quarter in half a second


def test_every_thread_multiplies():
    seen = []

    def run(task, count):
        seen.append(count)
        serial(task, count)

    assert host_flops(run, 3, "float32", repeats=2) > 0
    assert set(seen) == {3}


def test_the_device_kernels_measure_compute_and_memory():
    emulate = pytest.importorskip("dlcli_kernels.emulate")
    if emulate.problem():
        pytest.skip(emulate.problem())
    from dlcli_kernels.cuda_roofline import measure_device
    from dlcli_kernels.timing import HOST

    found = measure_device(emulate.Emulator(), HOST, "float32", size=1 << 12, steps=2)
    assert found.flops.keys() == {"float32"}
    assert found.bytes.keys() == {"copy", "read"}
    assert min(*found.flops.values(), *found.bytes.values()) > 0


def test_the_device_kernels_compute_what_they_count():
    emulate = pytest.importorskip("dlcli_kernels.emulate")
    if emulate.problem():
        pytest.skip(emulate.problem())
    from dlcli_kernels.cuda_roofline import SOURCE
    from dlcli_kernels.raw import running_on
    from dlcli_kernels.spec import Spec

    target = emulate.Emulator()
    given = np.arange(64, dtype=np.float32)
    x, copy = target.put(given), target.empty(Spec((64,), given.dtype))
    sums = target.empty(Spec((32,), given.dtype))
    with running_on(target):
        SOURCE.kernel("copy4", CHAINS=2)(1, 32, copy, x, 16)
        assert np.array_equal(target.get(copy), given)
        SOURCE.kernel("read4", CHAINS=2)(1, 32, sums, x, 16)
        assert target.get(sums).sum() == given.sum()
        SOURCE.kernel("fma_chains", CHAINS=2)(1, 32, sums, 2.0, 1.0, 1)
    thread = np.arange(32, dtype=np.float32)
    assert np.array_equal(target.get(sums), (2 * thread + 1) + (2 * (thread + 1) + 1))
