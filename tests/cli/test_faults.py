"""Faults that reach a user through the command line and have no better place."""

import hashlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from dlcli.cli.progress import Display

FAST = ("--epochs", "1", "--max-steps", "3", "--no-plots", "--threads", "1")
NAMES = ["a b", "中文", "line\nbreak", "-leading", "n" * 200]


def weights(run):
    """The hash of the last weights of a run."""
    manifest = json.loads(Path(run, "checkpoints", "last", "manifest.json").read_text())
    return manifest["files"]["model.safetensors"]


def test_few_open_files_one_core_another_locale_and_hash_seed_change_no_bit(
    dlcli, start, environment
):
    assert dlcli("train", "cnn-small", *FAST, "-o", "here").code == 0
    limits = 'ulimit -n 64; exec "$@"'
    where = "a folder 中文/with spaces"
    train = [*start, "train", "cnn-small", *FAST, "-o", where, "--json"]
    environment |= {"PYTHONHASHSEED": "12345", "LC_ALL": "C", "LANG": "C", "COLUMNS": "20"}
    done = subprocess.run(
        ["sh", "-c", limits, "sh", *train], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["steps"] == 3
    assert weights(where) == weights("here")


@pytest.mark.parametrize("name", NAMES, ids=["space", "unicode", "newline", "dash", "long"])
def test_a_run_may_have_any_name_that_a_folder_may_have(dlcli, name):
    result = dlcli("train", "cnn-small", "--max-steps", "1", "--no-plots", f"--out={name}", "-q")
    assert result.code == 0, result.err
    assert dlcli("eval", "--no-plots", "--json", "--", name).json["samples"] > 0


def test_a_name_that_no_folder_may_have_is_an_output_error_and_leaves_nothing(fails):
    assert "cannot be written" in fails(9, "train", "cnn-small", *FAST, "-o", "n" * 300, "-q")
    assert not [p for p in Path().iterdir() if p.name != "cache"]


def test_a_terminal_that_goes_away_leaves_a_run_that_goes_on(dlcli, monkeypatch):
    def on_step(self, now, *rest):
        if now == 2:
            os.kill(os.getpid(), signal.SIGHUP)

    monkeypatch.setattr(Display, "on_step", on_step)
    result = dlcli("train", "cnn-small", *FAST, "-o", "r")
    assert result.code == 129
    assert "step 2 is saved" in result.err
    assert dlcli("train", "--resume", "r", "--no-plots", "-q").code == 0


def test_a_clock_that_jumps_back_disturbs_no_duration(dlcli, monkeypatch):
    now = iter(range(2_000_000_000, 0, -86_400))
    monkeypatch.setattr(time, "time", lambda: float(next(now)))
    found = dlcli("train", "cnn-small", *FAST, "--log", "tensorboard", "--json").json
    assert 0 < found["seconds"] < 60
    assert found["last"]["timing"]["seconds"] > 0


def test_steps_that_are_not_finite_are_skipped_where_it_is_asked_for_and_told(dlcli, fails):
    bad = ("cnn-small", "--optimizer", "sgd", "--lr", "1e30", "--no-plots", "--threads", "1")
    result = dlcli("train", *bad, "--max-steps", "4", "--on-nan", "skip:2", "-o", "r")
    assert result.code == 7
    assert result.err.count("is skipped") == 2
    assert "2 of at most 2" in result.err
    assert "train/" in result.err
    assert len(Path("r/skipped.jsonl").read_text().splitlines()) == 2
    result = dlcli("train", "--resume", "r", "--max-steps", "4", "--on-nan", "skip:9", "--json")
    assert result.json["skipped"] > 2
    said = fails(2, "train", *bad, "--on-nan", "skp:2")
    assert "skip:N" in said


def test_a_step_that_does_not_fit_into_memory_is_said_with_what_would(dlcli, monkeypatch):
    from dlcli.engine import executor

    before = executor.CpuExecutor.empty

    def empty(self, spec):
        if len(spec.shape) == 4 and spec.shape[0] > 3 and spec.shape[3] == 32:  # maps
            raise MemoryError
        return before(self, spec)

    monkeypatch.setattr(executor.CpuExecutor, "empty", empty)
    result = dlcli("train", "cnn-small", *FAST, "-o", "r")
    assert result.code == 6
    assert "cut into 8, does not fit" in result.err
    assert "--batch-size 2, which was tried and fits" in result.err
    assert "Traceback" not in result.err


def renamed(run, name):
    """A run whose best checkpoint, sums and all, says that its model is of another name."""
    place = run / "checkpoints" / "best"
    info = {**json.loads((place / "model.json").read_bytes()), "name": name}
    data = json.dumps(info).encode()
    (place / "model.json").write_bytes(data)
    manifest = json.loads((place / "manifest.json").read_bytes())
    entry = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    manifest["files"]["model.json"] = entry
    (place / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize("name", ["os.system", "../evil", "antigravity", "parts.layers", 3, None])
def test_a_checkpoint_cannot_name_code_that_is_none_of_the_models(fails, a_copy, name):
    (a_copy / "evil.py").write_text("raise SystemExit('this must not run')")
    renamed(a_copy, name)
    assert "model" in fails(4, "eval", a_copy)
