"""`dlcli kernels bench`, `compare` and `tune`: results, formats, and what each failure says."""

import csv
import io
import json

import pytest
from dlcli_kernels import bench_row
from dlcli_kernels.roofline import Roofline

from dlcli.cli.bench_output import duration

SMALL = ("kernels", "bench", "add", "--shape", "N=64", "--repeats", "2", "--threads", "1")
ALONE = (*SMALL, "--no-vendor")

WRONG = """
import numpy as np
DEVICE = "cpu"
def add(out, x, y):
    np.add(x, y, out=out)
    out[-1:] = 0
"""
TILES = """
import numpy as np
from dlcli_kernels.tuned import choose
DEVICE = "cpu"
TUNE = {"add": [{"tile": 4}, {"tile": 4096}, {"tile": 0}]}
def add(out, x, y):
    tile = choose("add", "cpu_tiles", TUNE["add"][0])["tile"]
    for i in range(0, out.size if tile else 0, tile or 1):
        np.add(x[i:i + tile], y[i:i + tile], out=out[i:i + tile])
"""


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """A roofline that nothing beats, and that takes no time to measure."""
    high = Roofline(
        {"float32": 1e15, "float64": 1e15}, dict.fromkeys(("read", "write", "copy"), 1e15)
    )
    monkeypatch.setattr("dlcli_kernels.bench_device.measure_host", lambda *_: high)


def test_a_benchmark_is_a_table_with_the_machine_below_it(dlcli):
    result = dlcli(*ALONE)
    assert result.code == 0
    assert "add/cpu_numba" in result.out
    assert "roofline, measured: GFLOP/s float32" in result.out
    assert "1 threads" in result.out


def test_the_json_document_holds_machine_roofline_and_every_time(dlcli):
    found = dlcli(*ALONE, "--json").json
    assert found["schema"] == 1
    assert found["machine"]["threads"] == 1
    (row,) = found["rows"]
    assert (row["op"], row["variant"], row["ok"], row["sizes"]) == (
        "add",
        "cpu_numba",
        True,
        {"N": 64},
    )
    assert len(row["cold"]["times"]) == len(row["warm"]["times"]) == 2
    assert found["roofline"]["bytes_per_s"].keys() == {"read", "write", "copy"}


def test_the_vendor_is_timed_beside_it(dlcli):
    shape = ("--shape", "M=8,N=8,K=8")
    found = dlcli("kernels", "bench", "matmul", *shape, "--repeats", "4", "--json").json
    vendor = found["rows"][0]["vendor"]
    assert vendor["name"] == "NumPy's BLAS"
    assert vendor["speedup"]["low"] <= vendor["speedup"]["value"] <= vendor["speedup"]["high"]


@pytest.mark.parametrize("form", ["md", "csv", "jsonl"])
def test_a_sweep_in_every_format_has_a_row_for_each_size(dlcli, form):
    arguments = ("kernels", "bench", "add", "--sweep", "N=8..32*2", "--no-vendor", "--repeats", "2")
    result = dlcli(*arguments, "--format", form)
    assert result.code == 0
    if form == "csv":
        rows = list(csv.DictReader(io.StringIO(result.out)))
        assert all(float(row["warm_us"]) > 0 for row in rows)
    elif form == "jsonl":
        rows = result.lines
        assert [row["sizes"] for row in rows] == [{"N": 8}, {"N": 16}, {"N": 32}]
    else:
        rows = [line for line in result.out.splitlines() if line.startswith("| add/")]
    assert len(rows) == 3


def test_a_file_has_the_format_of_its_name(dlcli, tmp_path):
    for name, begins in (("a.json", "{"), ("a.csv", "op,"), ("a.md", "| kernel")):
        assert dlcli(*ALONE, "-o", name).code == 0
        assert (tmp_path / name).read_text().startswith(begins)


def test_a_sweep_is_drawn(dlcli, tmp_path):
    sweep = ("--sweep", "M,N,K=8,16", "--repeats", "2", "--plot", "sweep.png")
    result = dlcli("kernels", "bench", "matmul", *sweep)
    assert result.code == 0, result.err
    assert (tmp_path / "sweep.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("kernels", "bench", "matmull"), "did you mean 'matmul'"),
        (("kernels", "bench", "add", "--variant", "cpu_numbi"), "did you mean 'cpu_numba'"),
        (("kernels", "bench", "add", "--shape", "M=4"), "there is: N"),
        (("kernels", "bench", "conv2d", "--shape", "n=4"), "no size 'n'"),
        (("kernels", "bench", "add", "--shape", "N=x"), "'x' in 'N=x' is not allowed"),
        (("kernels", "bench", "add", "--shape", "nowhere"), "no shape 'nowhere'"),
        (("kernels", "bench", "add", "--sweep", "N=9..1*2"), "no end"),
        (("kernels", "bench", "add", "--precision", "float31"), "did you mean 'float32'"),
        (("kernels", "bench", "add", "--plot", "a.png"), "--plot draws a sweep"),
        (("kernels", "bench", "add", "-o", "a.xyz"), "which format"),
        (("kernels", "tune"), "which kernel"),
        (("kernels", "tune", "add/cpu_numba"), "declares anything to tune"),
        (("kernels", "compare", "absent.json", "absent.json"), "absent.json"),
    ],
)
def test_what_is_mistyped_is_said(fails, arguments, said):
    assert said in fails(2, *arguments)


def test_cuda_without_cuda_is_not_available(fails):
    from dlcli.engine import device

    if device.facts()["cuda"]["available"]:
        pytest.skip("there is CUDA here")
    fails(5, "kernels", "bench", "add", "--device", "cuda")


def test_sizes_beyond_the_memory_are_refused_before_anything_is_made(fails):
    assert "smaller sizes" in fails(6, "kernels", "bench", "add", "--shape", f"N={1 << 38}")


# --- the gates ------------------------------------------------------------------------------------


def test_a_wrong_kernel_gets_no_time_and_ends_with_8(dlcli, tmp_path):
    (tmp_path / "cpu_wrong.py").write_text(WRONG)
    result = dlcli(*ALONE, "--kernel-file", "cpu_wrong.py")
    assert result.code == 8
    assert "refused: wrong: out[(63,)]" in result.out
    assert "add/cpu_numba" in result.out
    assert len(result.err.splitlines()) <= 3
    assert "add/cpu_wrong gets no time" in result.err


def test_a_time_that_cannot_be_is_a_measuring_error(dlcli, monkeypatch):
    low = Roofline({"float32": 1e9}, {"copy": 1.0})
    monkeypatch.setattr("dlcli_kernels.bench_device.measure_host", lambda *_: low)
    monkeypatch.setattr(bench_row, "AGAIN", 1)
    result = dlcli(*ALONE)
    assert result.code == 8
    assert "measuring error" in result.out
    assert "of the roofline" in result.err


# --- compare --------------------------------------------------------------------------------------


@pytest.fixture
def bench_file(dlcli, tmp_path):
    """Writes a benchmark whose times are multiplied by a factor and spread as told."""
    made = dlcli(*ALONE, "--json").json

    def write(name, factor=1.0, spread=0.01, **machine):
        document = json.loads(json.dumps(made))
        document["machine"].update(machine)
        for row in document["rows"]:
            for which in ("cold", "warm"):
                times = [1e-3 * factor * (1 + spread * (i % 5 - 2)) for i in range(20)]
                row[which] = {"times": times}
        path = tmp_path / name
        path.write_text(json.dumps(document))
        return path

    return write


def compare(*files):
    return ("kernels", "compare", *files)


def test_the_same_or_faster_is_0(dlcli, bench_file):
    base = bench_file("base.json")
    assert dlcli(*compare(base, base)).code == 0
    result = dlcli(*compare(base, bench_file("new.json", 0.5)))
    assert result.code == 0
    assert "same or faster" in result.out


def test_slower_beyond_the_limit_is_8_and_names_the_kernel(dlcli, bench_file):
    result = dlcli(*compare(bench_file("base.json"), bench_file("new.json", 1.3)))
    assert result.code == 8
    assert "add/cpu_numba" in result.err
    limit = ("--fail-slower", "50%")
    assert dlcli(*compare(bench_file("base.json"), bench_file("new.json", 1.3)), *limit).code == 0


def test_what_cannot_be_told_is_11(dlcli, bench_file):
    new = bench_file("new.json", 1.05, spread=0.1)
    result = dlcli(*compare(bench_file("base.json", spread=0.1), new))
    assert result.code == 11
    assert "--repeats" in result.err


def test_other_hardware_is_refused_unless_it_is_allowed(dlcli, fails, bench_file):
    files = (bench_file("base.json"), bench_file("new.json", threads=64))
    assert "threads: 1 and 64" in fails(2, *compare(*files))
    result = dlcli(*compare(*files), "--allow-different-hardware")
    assert result.code == 0
    assert "warning: different hardware: threads: 1 and 64" in result.err


def test_a_comparison_as_json(dlcli, bench_file):
    result = dlcli(*compare(bench_file("base.json"), bench_file("new.json", 1.3)), "--json")
    (row,) = result.json["rows"]
    assert row["verdict"] == "slower"
    assert row["ratio"]["low"] <= row["ratio"]["value"] <= row["ratio"]["high"]
    assert (result.json["limit"], result.json["only_new"]) == (0.05, [])


def test_documents_without_a_common_row_are_refused(dlcli, fails, bench_file):
    base = bench_file("base.json")
    dlcli("kernels", "bench", "mul", *ALONE[3:], "-o", "other.json")
    assert "no row in common" in fails(2, *compare(base, "other.json"))


def test_a_file_that_is_no_benchmark_is_a_data_error(fails, tmp_path):
    (tmp_path / "a.json").write_text("{}")
    assert "not written by" in fails(3, *compare("a.json", "a.json"))


@pytest.mark.parametrize("limit", ["-5%", "fast", "5000%"])
def test_a_limit_that_is_none_is_said(fails, bench_file, limit):
    base = bench_file("base.json")
    assert "5%" in fails(2, *compare(base, base), "--fail-slower", limit)


# --- tune -----------------------------------------------------------------------------------------


def test_the_fastest_right_configuration_is_kept_for_this_device(dlcli, tmp_path, monkeypatch):
    from dlcli_kernels import tuned

    monkeypatch.setenv("DLCLI_CACHE", str(tmp_path / "kept"))
    tuned.forget()
    (tmp_path / "cpu_tiles.py").write_text(TILES)
    mine = ("--kernel-file", "cpu_tiles.py")
    result = dlcli("kernels", "tune", *mine, "--shape", "N=4096", "--threads", "1", "--json")
    assert result.code == 8  # the tile of 0 writes nothing
    assert "1 configurations are wrong" in result.err
    (found,) = result.json
    assert found["kept"] == {"tile": 4096}
    assert tuned.choose("add", "cpu_tiles", {"tile": 4}) == {"tile": 4096}
    listed = dlcli("kernels", "tune", "--list", *mine)
    assert listed.code == 0
    assert "tile=4096" in listed.out
    tuned.forget()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (3.2e-6, "3.20 µs"),
        (4.56e-5, "45.6 µs"),
        (1.234e-4, "123 µs"),
        (0.5, "500 ms"),
        (2, "2.00 s"),
    ],
)
def test_durations_have_three_digits(seconds, text):
    assert duration(seconds) == text


def test_a_precision_that_no_kernel_of_the_device_computes_in_is_not_available(fails):
    said = fails(5, "kernels", "bench", "matmul", "--device", "cpu", "--precision", "tf32")
    assert "no cpu kernel of matmul computes in tf32" in said


def test_shapes_that_are_there_for_gpus_are_left_out_on_the_cpu_and_that_is_said(
    dlcli, monkeypatch
):
    monkeypatch.setattr("dlcli.cli.bench_jobs.MOST_ON_CPU", 1e7)
    arguments = ("--repeats", "2", "--no-vendor", "--json", "--budget", "0")
    result = dlcli("kernels", "bench", "matmul", "--device", "cpu", *arguments)
    cases = [row["case"] for row in result.json["rows"]]
    assert cases
    assert not any("square" in case for case in cases)
    assert "--shape 'square 1024' takes it" in result.err
