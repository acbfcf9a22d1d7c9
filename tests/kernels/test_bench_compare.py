"""Documents of benchmarks, and two of them compared: slower, same, or not to be told."""

import json

import numpy as np
import pytest
from dlcli_kernels import bench_machine
from dlcli_kernels.bench_compare import (
    BROKEN,
    SAME,
    SLOWER,
    UNDECIDED,
    compare_documents,
    different_hardware,
    verdict,
)
from dlcli_kernels.bench_document import (
    COLUMNS,
    BadDocument,
    cells,
    document,
    load,
    sample_of,
)
from dlcli_kernels.bench_row import Row
from dlcli_kernels.roofline import Roofline
from dlcli_kernels.timing import Ratio, Sample

MACHINE = {"device": "cpu", "name": "A processor", "threads": 2}
ROOF = Roofline({"float32": 1e9}, {"copy": 1e9})


def row(seconds, case="N=1", spread=0.01, seed=0, **more):
    times = seconds * np.random.default_rng(seed).normal(1, spread, 20)
    made = Row("add", "cpu_numpy", case, "float32", "cpu", 0, 100, **more)
    made.cold = made.warm = Sample(times)
    return made


def document_of(*rows, machine=MACHINE):
    return document(machine, [{}, {}], [], ROOF, rows)


def compared(base, new, limit=0.05, **more):
    return compare_documents(document_of(*base), document_of(*new), limit=limit, **more)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(1.0, SAME), (0.5, SAME), (1.2, SLOWER), (1.05, UNDECIDED)],
)
def test_a_row_is_slower_the_same_or_not_to_be_told(seconds, expected):
    (found,) = compared([row(1.0)], [row(seconds, seed=1)]).rows
    assert found.verdict == expected
    assert found.ratio.low < seconds < found.ratio.high


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.9, 1.05, SAME), (1.0, 1.06, UNDECIDED), (1.05, 1.2, UNDECIDED), (1.051, 1.2, SLOWER)],
)
def test_the_limit_itself_is_allowed(low, high, expected):
    assert verdict(Ratio(1.0, low, high), 0.05) == expected


def test_rows_of_only_one_document_are_listed():
    found = compared([row(1.0), row(1.0, "N=2")], [row(1.0), row(1.0, "N=3")])
    assert [key[2] for key in found.only_base] == ["N=2"]
    assert [key[2] for key in found.only_new] == ["N=3"]
    assert [r.key[2] for r in found.rows] == ["N=1"]


def refused(case="N=1"):
    made = row(1.0, case)
    made.refuse("wrong: out[(0,)]")
    return made


def test_a_kernel_that_is_refused_now_and_was_measured_before_is_broken():
    (found,) = compared([row(1.0)], [refused()]).rows
    assert (found.verdict, found.ratio) == (BROKEN, None)
    assert found.reason == "wrong: out[(0,)]"


def test_a_row_without_a_time_before_is_skipped():
    found = compared([refused()], [row(1.0)])
    assert [key[2] for key in found.skipped] == ["N=1"]
    assert found.rows == []


def test_cold_times_are_compared_where_they_are_asked_for():
    new = row(1.0)
    new.cold = Sample(2 * new.warm.times)
    assert compared([row(1.0)], [new], times="warm").rows[0].verdict == SAME
    assert compared([row(1.0)], [new], times="cold").rows[0].verdict == SLOWER


def test_other_hardware_is_seen_and_another_version_is_none():
    base, same = document_of(row(1.0)), document_of(row(1.0), machine={**MACHINE, "python": "4"})
    assert different_hardware(base, same) == []
    other = document_of(row(1.0), machine={**MACHINE, "threads": 4})
    assert different_hardware(base, other) == ["threads: 2 and 4"]


def test_a_document_comes_back_with_every_single_time(tmp_path):
    made = row(1e-3, sizes={"N": 1})
    made.speedup, made.vendor = Ratio(1.1, 1.0, 1.2), "BLAS"
    made.vendor_cold = made.vendor_warm = made.warm
    path = tmp_path / "a.json"
    path.write_text(json.dumps(document_of(made)))
    found = load(path)
    assert np.array_equal(sample_of(found["rows"][0], "warm").times, made.warm.times)
    assert found["rows"][0]["vendor"]["speedup"] == {"value": 1.1, "low": 1.0, "high": 1.2}
    assert found["machine"] == MACHINE
    assert sample_of(found["rows"][0], "replayed") is None


def test_a_row_as_columns_has_numbers_and_nothing_where_there_is_none():
    assert tuple(cells(row(1.0))) == COLUMNS
    assert cells(row(1e-6))["warm_us"] == pytest.approx(1.0, rel=0.02)
    assert cells(refused())["cold_us"] is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "no JSON"),
        ("[]", "not written by"),
        ('{"kind": "dlcli kernels bench", "schema": 99}', "schema 99"),
        ('{"kind": "dlcli kernels bench", "schema": 1}', "no rows"),
        (
            '{"kind": "dlcli kernels bench", "schema": 1, "machine": {}, "rows": [{}]}',
            "row without",
        ),
    ],
)
def test_a_file_that_is_no_benchmark_is_said_to_be_none(tmp_path, text, said):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(BadDocument, match=said):
        load(path)


@pytest.mark.parametrize("times", [[], [0.0], ["1"], [-1.0], None])
def test_times_that_are_none_are_refused(times):
    made = document_of(row(1.0))
    made["rows"][0]["warm"]["times"] = times
    with pytest.raises(BadDocument, match="no positive numbers"):
        compare_documents(made, made, limit=0.05)


def test_a_machine_says_what_makes_its_times_doubtful():
    (said,) = bench_machine.remarks({"load": 3.0}, {}, cores=2)
    assert "a load of 3.0 on 2 cores" in said
    assert bench_machine.remarks({"load": 0.5}, {}, cores=2) == []
    throttled = {"clocks_throttle_reasons.active": "0x0000000000000044"}
    assert "0x44" in bench_machine.remarks({}, throttled, cores=2)[0]
    idle = {"clocks_throttle_reasons.active": "0x0000000000000001"}
    assert bench_machine.remarks({}, idle, cores=2) == []
    clocks = [{"clocks.sm": "345 MHz"}, {"clocks.sm": "1980 MHz"}]
    assert "345 and 1980" in bench_machine.remarks(*clocks, cores=2)[0]
    unknown = [{"clocks.sm": "[N/A]"}, {"clocks_throttle_reasons.active": "[N/A]"}]
    assert bench_machine.remarks(*unknown, cores=2) == []


def test_the_gpu_is_asked_by_nvidia_smi(tmp_path, monkeypatch):
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'NVIDIA H200, 580.1, 143771 MiB, 1980 MHz, 3201 MHz'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    found = bench_machine.identity("cuda", 0)
    assert (found["name"], found["clocks.max.sm"]) == ("NVIDIA H200", "1980 MHz")
    program.write_text("#!/bin/sh\nexit 9\n")
    assert bench_machine.identity("cuda", 0)["name"] == "unknown GPU"


def test_free_memory_is_unbounded_where_the_system_does_not_say(tmp_path):
    file = tmp_path / "meminfo"
    file.write_text("MemTotal: 10 kB\nMemAvailable:   3 kB\n")
    assert bench_machine.free_memory(file) == 3072
    assert bench_machine.free_memory(tmp_path / "absent") == float("inf")
