"""`dlcli runs`: what there is, how runs differ, whether one can be had again, and what may go."""

import json
import os
import shutil
import time

import pytest


@pytest.fixture
def two(a_copy, tmp_path):
    """A folder with two runs, the second of another learning rate and state, and another folder."""
    folder = tmp_path / "runs"
    first = shutil.copytree(a_copy, folder / "first")
    second = shutil.copytree(a_copy, folder / "second")
    config = second / "config.toml"
    config.write_text(config.read_text().replace("lr = 0.002", "lr = 0.5"))
    status = second / "status.json"
    status.write_text(status.read_text().replace('"finished"', '"failed"'))
    (folder / "notes").mkdir()
    return first, second


def test_the_runs_of_a_folder_are_listed_with_their_figures(dlcli, two, tmp_path):
    result = dlcli("runs", "list", tmp_path / "runs", "--json")
    assert result.code == 0, result.err
    assert [run["name"] for run in result.json] == ["first", "second"]
    first, second = result.json
    assert (first["state"], second["state"]) == ("finished", "failed")
    assert first["model"] == "cnn-small"
    assert first["best"]["val_accuracy"] > 0.5
    shown = dlcli("runs", "list", tmp_path / "runs")
    assert f"val_accuracy {first['best']['val_accuracy']:.4f}" in shown.out
    assert "notes" not in shown.out


def test_a_damaged_run_is_listed_as_such(dlcli, two, tmp_path):
    (two[1] / "config.toml").write_text("[train\n")
    result = dlcli("runs", "list", tmp_path / "runs", "--json")
    assert [run["state"] for run in result.json] == ["finished", "damaged"]
    assert "config.toml" in result.json[1]["damaged"]


def test_no_runs_are_no_error_and_no_folder_is_one(dlcli, fails, tmp_path):
    assert dlcli("runs", "list").code == 0
    assert "no such folder" in fails(2, "runs", "list", "elsewhere")


def test_a_run_is_shown_with_its_settings_figures_and_files(dlcli, a_copy):
    shown = dlcli("runs", "show", a_copy, "--json").json
    assert shown["config"]["model"]["name"] == "cnn-small"
    assert "checkpoints/best/model.safetensors" in shown["files"]
    assert shown["env"]["python"]
    text = dlcli("runs", "show", a_copy).out
    assert "train.epochs" in text
    assert "best epoch" in text


def test_runs_are_compared_by_what_differs(dlcli, two):
    found = dlcli("runs", "compare", *two, "--json").json
    assert found["settings"] == {"train.lr": [0.002, 0.5]}
    assert found["figures"]["state"] == ["finished", "failed"]
    first, second = found["figures"]["val_accuracy"]
    assert first == second
    assert "train.lr" in dlcli("runs", "compare", *two).out


def test_one_run_alone_is_not_compared(fails, two):
    assert "two or more" in fails(2, "runs", "compare", two[0])


def test_a_run_is_had_again_bit_for_bit(dlcli, trained, tmp_path):
    result = dlcli("runs", "reproduce", trained, "--out", tmp_path / "again", "--json")
    assert result.code == 0, result.err
    assert result.json["same"]
    assert result.json["machines"] == {}


def test_a_run_that_was_made_otherwise_is_not_had_again_and_exits_with_8(dlcli, two, tmp_path):
    first, second = two
    status = second / "status.json"
    status.write_text(status.read_text().replace('"failed"', '"finished"'))
    env = second / "env.json"
    env.write_text(env.read_text().replace('"cores": ', '"cores": 1'))
    result = dlcli("runs", "reproduce", second, "--out", tmp_path / "again")
    assert result.code == 8
    assert "cores" in result.err
    assert (tmp_path / "again" / "config.toml").is_file()


def test_a_run_that_did_not_end_cannot_be_compared_with(fails, two):
    assert "failed" in fails(4, "runs", "reproduce", two[1])


def test_prune_lists_and_removes_only_when_told(dlcli, two, tmp_path):
    first, second = two
    shown = dlcli("runs", "prune", tmp_path / "runs", "--state", "failed")
    assert str(second) in shown.out
    assert str(first) not in shown.out
    assert second.is_dir()
    assert dlcli("runs", "prune", tmp_path / "runs", "--state", "failed", "--yes").code == 0
    assert not second.exists()
    assert first.is_dir()
    assert (tmp_path / "runs" / "notes").is_dir()


def aged(run):
    """The run, last touched an hour ago."""
    past = time.time() - 3600
    for path in (run, *run.iterdir()):
        os.utime(path, (past, past))


def test_prune_goes_by_age(dlcli, two, tmp_path):
    aged(two[0])
    found = dlcli("runs", "prune", tmp_path / "runs", "--older-than", "30m", "--json").json
    assert [run["name"] for run in found["runs"]] == ["first"]


def test_a_run_that_is_being_trained_is_not_pruned_and_one_that_was_killed_is(dlcli, two, tmp_path):
    status = two[1] / "status.json"
    said = json.loads(status.read_text()) | {"state": "running"}
    old = ("runs", "prune", tmp_path / "runs", "--older-than", "30m", "--json")
    found = []
    for pid in (2**22 + 1, os.getpid()):  # of no process, and of this one
        status.write_text(json.dumps(said | {"pid": pid}))
        aged(two[1])
        found.append([run["name"] for run in dlcli(*old).json["runs"]])
    assert found == [["second"], []]


def test_prune_removes_nothing_that_was_not_asked_for(fails, two):
    assert "which runs?" in fails(2, "runs", "prune", "runs")
