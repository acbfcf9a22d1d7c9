"""`dlcli doctor`: what is wrong, and the command that mends it."""

import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from dlcli.cli import doctor
from dlcli.cli import doctor_findings as findings

RIGHT = {
    "name": "k",
    "variant": "cpu_k",
    "ok": True,
    "reason": "",
    "compiled": False,
    "seconds": 0.1,
}
Usage = namedtuple("Usage", "total used free")


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """A kernel that works, without running it: test_info.py does."""
    monkeypatch.setattr(doctor, "_kernel", lambda: RIGHT)


@pytest.fixture
def found(dlcli):
    """What the doctor finds wrong, and its exit code."""

    def ask():
        result = dlcli("doctor", "--json")
        return result.json["problems"], result.code, result.err

    return ask


def test_nothing_is_wrong_here(dlcli, found):
    assert found() == ([], 0, "")
    assert "nothing is wrong" in dlcli("doctor").out


def test_where_runs_cannot_be_written_is_said_with_the_place(found, monkeypatch):
    refuse = {"folder": Path("/no/runs"), "writable": False, "free_bytes": 10**12}
    real = findings.place
    monkeypatch.setattr(findings, "place", lambda f: refuse if f == findings.RUNS else real(f))
    (problem,), code, said = found()
    assert (problem["level"], code) == ("error", 9)
    assert "/no/runs" in problem["what"]
    assert problem["mend"].startswith("cd ")
    assert problem["mend"] in said


def test_a_folder_of_ones_own_is_made_writable_again(found, monkeypatch):
    Path("runs").mkdir()
    closed = {"folder": Path("runs").absolute(), "writable": False, "free_bytes": 10**12}
    real = findings.place
    monkeypatch.setattr(findings, "place", lambda f: closed if f == findings.RUNS else real(f))
    assert found()[0][0]["mend"] == f"chmod u+w '{Path('runs').absolute()}'"


def test_a_full_disk_is_said_before_a_training_meets_it(found, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda place: Usage(10**9, 10**9 - 9, 9))
    problems, code, _ = found()
    assert code == 9
    assert [p["level"] for p in problems] == ["error", "warning"]
    assert problems[0]["mend"].startswith("dlcli runs prune")


def test_a_cache_that_cannot_be_written_is_a_warning(dlcli, found, monkeypatch):
    monkeypatch.setattr(
        doctor,
        "_cache",
        lambda: {"folder": None, "writable": False, "free_bytes": None, "kernels": 0},
    )
    (problem,), code, _ = found()
    assert (problem["level"], code) == ("warning", 0)
    assert problem["mend"].startswith("export DLCLI_CACHE=")
    assert "mended by: export" in dlcli("doctor").out


def test_a_data_folder_that_is_not_there_is_a_wrong_setting(found, monkeypatch):
    monkeypatch.setenv("DLCLI_DATA", "nowhere")
    (problem,), code, _ = found()
    assert (problem["mend"], code) == ("unset DLCLI_DATA", 2)


@pytest.mark.parametrize(
    ("libraries", "blas", "said"),
    [({"numpy": "2", "rich": None}, ["a"], "install rich"), ({}, [], "--force-reinstall numpy")],
)
def test_what_is_not_installed_is_named(found, monkeypatch, libraries, blas, said):
    monkeypatch.setattr(doctor.environment, "libraries", lambda: libraries)
    monkeypatch.setattr(doctor, "_blas", lambda: [{"internal_api": name} for name in blas])
    (problem,), code, _ = found()
    assert (said in problem["mend"], code) == (True, 5)


def test_a_kernel_that_is_wrong_is_compiled_anew(found, monkeypatch):
    monkeypatch.setattr(doctor, "_kernel", lambda: {**RIGHT, "ok": False, "reason": "off by one"})
    (problem,), code, said = found()
    assert (problem["why"], code) == ("off by one", 5)
    assert problem["mend"].startswith("rm -r '")
    assert problem["mend"] in said


@pytest.mark.parametrize("has", [True, False])
def test_a_gpu_that_is_not_used_is_a_warning(found, monkeypatch, has):
    from dlcli.engine import device

    monkeypatch.setattr(device, "has_cupy", lambda: has)
    monkeypatch.setattr(
        device,
        "facts",
        lambda: {"cpu": {"threads": 1}, "cuda": {"available": False, "why": "no driver"}},
    )
    real = findings.os.path.exists
    monkeypatch.setattr(findings.os.path, "exists", lambda p: p == "/dev/nvidia0" or real(p))
    (problem,), code, _ = found()
    assert (problem["level"], code) == ("warning", 0)
    assert ("no driver" in problem["why"]) is has
    assert ("dlcli[cuda12]" in problem["mend"]) is not has


def test_a_place_that_is_not_there_yet_is_judged_by_what_is_above_it(tmp_path):
    there = findings.place(tmp_path / "a" / "b")
    assert (there["writable"], there["free_bytes"] > 0) == (True, True)
    (tmp_path / "file").touch()
    assert findings.place(tmp_path / "file" / "b")["writable"] is False
