"""Run directories: numbering, opening, the lock, what is written in them."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from dlcli.errors import CheckpointError, OutputError, UsageError
from dlcli.train.run import RunDir, list_runs

ROOT = Path(__file__).parents[2]


def made(path, **config):
    run = RunDir.create("cnn", "digits", out=path)
    run.write_config(config)
    return run


def test_runs_are_numbered_anew_after_the_highest(tmp_path):
    names = [RunDir.create("cnn", "digits", base=tmp_path).name for _ in range(2)]
    (tmp_path / "cnn-digits-9").mkdir()
    (tmp_path / "cnn-digits-x").mkdir()
    names += [RunDir.create("cnn", "digits", base=tmp_path).name]
    names += [RunDir.create("mlp", "digits", base=tmp_path).name]
    assert names == ["cnn-digits-1", "cnn-digits-2", "cnn-digits-10", "mlp-digits-1"]


def test_no_two_that_start_at_the_same_time_get_the_same_number(tmp_path):
    names, gate = [], threading.Barrier(8)

    def create():
        gate.wait()
        names.extend(RunDir.create("cnn", "digits", base=tmp_path).name for _ in range(5))

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(names) == sorted(f"cnn-digits-{n}" for n in range(1, 41))


@pytest.mark.parametrize(
    ("data", "part"),
    [("/data/my pets/", "my-pets"), ("../..", "data"), ("中文", "中文"), ("a" * 300, "a" * 60)],
)
def test_a_path_becomes_a_folder_name(tmp_path, data, part):
    assert RunDir.create("cnn", data, base=tmp_path).name == f"cnn-{part}-1"


def test_an_explicit_folder_that_exists_is_refused(tmp_path):
    run = RunDir.create("cnn", "digits", out=tmp_path / "deep" / "run")
    assert run.path.is_dir()
    with pytest.raises(UsageError, match="exists already"):
        RunDir.create("cnn", "digits", out=run.path)
    (tmp_path / "file").write_bytes(b"mine")
    with pytest.raises(UsageError):
        RunDir.create("cnn", "digits", out=tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"mine"
    with pytest.raises(OutputError):
        RunDir.create("cnn", "digits", out=tmp_path / "file" / "below")


def test_what_is_not_a_run_is_said_to_lack_what_it_lacks(tmp_path):
    with pytest.raises(CheckpointError) as caught:
        RunDir.open(tmp_path / "nowhere")
    assert caught.value.exit_code == 4
    assert "no such folder" in caught.value.why
    with pytest.raises(CheckpointError) as caught:
        RunDir.open(tmp_path)
    assert "config.toml is missing" in caught.value.why
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(CheckpointError, match="loop"):
        RunDir.open(tmp_path / "loop")
    (tmp_path / "model.pkl").write_bytes(b"cos\nsystem\n")
    with pytest.raises(CheckpointError, match="unsafe format"):
        RunDir.open(tmp_path / "model.pkl")
    inner = made(tmp_path / "run").folder("checkpoints/best")
    (inner / "manifest.json").write_bytes(b"{}")
    with pytest.raises(CheckpointError) as caught:
        RunDir.open(inner)
    assert str(tmp_path / "run") in caught.value.hint


def test_the_configuration_comes_back_and_none_is_left_out(tmp_path):
    config = {"model": {"name": "cnn", "act": None}, "train": {"lr": 1e-5, "until": {"loss": 0.1}}}
    run = made(tmp_path / "run", **config)
    assert RunDir.open(run.path).config() == {
        "model": {"name": "cnn"},
        "train": {"lr": 1e-5, "until": {"loss": 0.1}},
    }
    for damage in (b"\xff\xfe", b"a = [", b"a=" + b"[" * 100_000, b"#" * (2 << 20)):
        (run.path / "config.toml").write_bytes(damage)
        with pytest.raises(CheckpointError, match=r"config\.toml"):
            run.config()


def test_the_environment_names_versions_and_the_processor(tmp_path):
    run = made(tmp_path / "run")
    run.write_env(threads=2)
    env = run.env()
    assert env["threads"] == 2
    assert env["libraries"]["numpy"] == np.__version__
    assert env["cpu"]
    assert env["cores"] >= 1


def test_metrics_are_one_json_object_per_line_without_nan(tmp_path):
    run = made(tmp_path / "run")
    assert run.metrics() == []
    run.append_metrics({"epoch": 1, "loss": np.float32("nan"), "lr": 0.1})
    run.append_metrics({"epoch": 2, "loss": float("inf"), "n": np.int64(3)})
    lines = (run.path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line, parse_constant=pytest.fail) for line in lines] == [
        {"epoch": 1, "loss": None, "lr": 0.1},
        {"epoch": 2, "loss": None, "n": 3},
    ]


def test_metrics_are_cut_back_to_what_a_checkpoint_knows(tmp_path):
    run = made(tmp_path / "run")
    for epoch in range(3):
        run.append_metrics({"epoch": epoch})
    with open(run.path / "metrics.jsonl", "ab") as file:
        file.write(b'{"epoch": 3, "lo')  # killed while writing
    assert [r["epoch"] for r in run.metrics()] == [0, 1, 2]
    assert run.truncate_metrics(2) == 2
    assert (run.path / "metrics.jsonl").read_bytes() == b'{"epoch": 0}\n{"epoch": 1}\n'
    assert run.truncate_metrics(5) == 2


def test_a_run_is_one_process_at_a_time_and_the_lock_of_the_dead_is_none(tmp_path):
    run = made(tmp_path / "run")
    script = (
        "import sys; from dlcli.train.run import RunDir\n"
        "with RunDir.open(sys.argv[1]).lock():\n"
        "    print('held', flush=True); sys.stdin.read()"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "kernels")])}
    command = [sys.executable, "-c", script, str(run.path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=env, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(UsageError) as caught, run.lock():
            pytest.fail("two processes hold the run")
        assert f"locked by pid {process.pid}" in caught.value.what
        process.kill()
        process.communicate()
    with run.lock(), run.lock():  # may be nested
        other = RunDir.open(run.path)
        with pytest.raises(UsageError, match=f"pid {os.getpid()}"), other.lock():
            pytest.fail("two hold the run")
    with RunDir.open(run.path).lock():
        assert (run.path / ".pid").read_text() == f"{os.getpid()}\n"


def test_whoever_takes_the_lock_tidies_up_after_the_dead(tmp_path):
    run = made(tmp_path / "run")
    (run.path / ".status.json.123-0.tmp").write_bytes(b"{")
    with run.lock():
        assert sorted(p.name for p in run.path.iterdir()) == [".lock", ".pid", "config.toml"]


def test_a_status_that_says_running_of_a_dead_process_is_killed(tmp_path):
    run = made(tmp_path / "run")
    assert run.status() == {}
    run.write_status(state="running", step=3)
    assert run.status()["state"] == "running"
    status = json.loads((run.path / "status.json").read_text())
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    (run.path / "status.json").write_text(json.dumps({**status, "pid": gone.pid}))
    assert run.status()["state"] == "killed"
    run.write_status(state="finished", step=None)
    assert run.status()["state"] == "finished"
    assert "step" not in run.status()
    assert run.status()["started"] == status["started"]


def test_a_status_that_is_damaged_is_none_and_is_replaced(tmp_path):
    run = made(tmp_path / "run")
    (run.path / "status.json").write_bytes(b"{")
    assert run.status() == {}
    run.write_status(state="finished")
    assert run.status()["state"] == "finished"


def test_a_run_is_untouched_until_something_was_saved(tmp_path):
    run = made(tmp_path / "run")
    assert run.untouched()
    run.folder("checkpoints/last.tmp")
    assert run.untouched()
    run.append_metrics({"epoch": 1})
    assert not run.untouched()
    (run.path / "metrics.jsonl").unlink()
    run.folder("checkpoints/last")
    assert not run.untouched()


def test_runs_are_listed_and_other_folders_passed_over(tmp_path):
    assert list_runs(tmp_path / "none") == []
    for name in ("one", "two"):
        made(tmp_path / name)
    (tmp_path / "other").mkdir()
    assert {run.name for run in list_runs(tmp_path)} == {"one", "two"}
