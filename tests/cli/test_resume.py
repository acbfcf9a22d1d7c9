"""`dlcli train --resume`: from every state in which a training may be left, and from elsewhere."""

import json
import os
import shutil
import signal
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dlcli.cli.progress import Display

SHORT = ("--epochs", "2", "--no-plots")


def weights(run):
    """The hash of the last weights of a run."""
    manifest = json.loads(Path(run, "checkpoints", "last", "manifest.json").read_text())
    return manifest["files"]["model.safetensors"]


@pytest.fixture
def images(tmp_path):
    """A folder of two classes of ten images, dark ones and light ones."""
    rng = np.random.default_rng(0)
    for i, name in enumerate(("dark", "light")):
        folder = tmp_path / "images" / name
        folder.mkdir(parents=True)
        for n in range(10):
            pixels = rng.integers(200 * i, 55 + 200 * i, (9, 9), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{n}.png")
    return tmp_path / "images"


@pytest.mark.parametrize("left", ["nothing", "a first save that was cut short"])
def test_a_run_that_was_killed_before_its_first_save_begins_at_the_first_step(dlcli, left):
    assert dlcli("train", "cnn-small", *SHORT, "-o", "whole").code == 0
    shutil.copytree("whole", "killed")
    shutil.rmtree("killed/checkpoints")
    Path("killed/metrics.jsonl").unlink()
    if left != "nothing":
        Path("killed/checkpoints/last.tmp").mkdir(parents=True)
        Path("killed/checkpoints/last.tmp/model.safetensors").write_bytes(b"\0" * 9)
    result = dlcli("train", "--resume", "killed", "--no-plots", "--json")
    assert result.code == 0, result.err
    assert (result.json["epochs"], result.json["already_finished"]) == (2, False)
    assert weights("killed") == weights("whole")
    assert dlcli("eval", "killed", "--no-plots").code == 0


def test_checkpoints_that_are_lost_are_not_begun_anew_in_silence(fails, a_copy):
    shutil.rmtree(a_copy / "checkpoints")
    before = (a_copy / "metrics.jsonl").read_bytes()
    assert "no checkpoint 'last'" in fails(4, "train", "--resume", a_copy)
    assert (a_copy / "metrics.jsonl").read_bytes() == before


def test_a_folder_of_a_training_killed_as_it_began_is_said_to_be_one(fails):
    Path("begun").mkdir()
    Path("begun/.lock").touch()
    assert "the folder can go" in fails(4, "train", "--resume", "begun")


def test_a_run_stopped_within_an_epoch_and_given_no_more_steps_is_validated(dlcli, monkeypatch):
    def on_step(self, now, *rest):
        if now == 9:
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(Display, "on_step", on_step)
        assert dlcli("train", "cnn-small", *SHORT, "-o", "r").code == 130
    result = dlcli("train", "--resume", "r", "--max-steps", "5", "--no-plots", "--json")
    assert result.code == 0, result.err
    assert (result.json["steps"], result.json["stop"]) == (9, "max_steps")
    assert result.json["best"]["step"] == 9
    assert result.json["test"]["accuracy"] >= 0
    again = dlcli("train", "--resume", "r", "--no-plots", "--json").json
    assert again["already_finished"] is True


def test_a_fallback_to_an_older_checkpoint_is_said_once(dlcli, a_copy):
    (a_copy / "checkpoints" / "last" / "state.json").unlink()
    result = dlcli("train", "--resume", a_copy, "--no-plots")
    assert result.code == 0, result.err
    assert result.err.count("state.json: missing") == 1
    result = dlcli("train", "--resume", a_copy, "--epochs", "5", "--no-plots")
    assert result.code == 0, result.err
    assert result.err.count("state.json: missing") == 1


def test_a_damaged_status_keeps_no_run_from_going_on(dlcli, a_copy):
    (a_copy / "status.json").write_bytes(b'{"state": "fini')
    result = dlcli("train", "--resume", a_copy, "--epochs", "5", "--no-plots")
    assert result.code == 0, result.err
    assert json.loads((a_copy / "status.json").read_bytes())["state"] == "finished"


def test_a_run_says_its_learning_rate_so_that_another_one_is_a_clear_conflict(fails, a_copy):
    assert tomllib.loads((a_copy / "config.toml").read_text())["train"]["lr"] == 2e-3
    assert "lr = 0.5 conflicts with the run's 0.002" in fails(
        2, "train", "--resume", a_copy, "--lr", "0.5"
    )


def test_images_are_found_from_another_folder_and_where_they_have_moved(
    dlcli, fails, images, monkeypatch
):
    assert dlcli("train", "cnn-small", "--data", "images", *SHORT, "-o", "r").code == 0
    other = images.parent / "other"
    other.mkdir()
    monkeypatch.chdir(other)
    run = images.parent / "r"
    assert dlcli("eval", run, "--no-plots").code == 0
    images.rename(other / "moved")
    for command in (["eval", run], ["train", "--epochs", "3", "--resume", run]):
        assert "--data PATH" in fails(3, *command)
        assert dlcli(*command, "--data", "moved", "--no-plots").code == 0
    assert dlcli("eval", run, "--no-plots").code == 0  # the run knows the place now


def test_other_images_than_the_run_s_are_refused(dlcli, fails, images):
    assert dlcli("train", "cnn-small", "--data", images, *SHORT, "-o", "r").code == 0
    shutil.copytree(images, "others")
    Path("others/dark/0.png").unlink()
    before = Path("r/config.toml").read_bytes()
    command = ["train", "--epochs", "3", "--resume", "r", "--data"]
    result = dlcli(*command, "others")
    assert result.code == 2
    assert "not the data that the run began with" in result.err
    assert "conflicts" in fails(2, *command, "digits")
    assert Path("r/config.toml").read_bytes() == before


# --- images that cannot be read


def test_images_that_cannot_be_read_are_all_named_before_any_work(fails, images):
    for n in (3, 5):
        path = images / "light" / f"{n}.png"
        path.write_bytes(path.read_bytes()[:60])
    (images / "dark" / "7.png").write_text("no image")
    given = ("--data", "images", "--image-size", "9")
    said = fails(3, "train", "cnn-small", *given)
    assert "3 images cannot be read" in said
    for name in ("light/3.png", "light/5.png", "dark/7.png"):
        assert name in said
    assert not Path("runs").exists()
    for name in ("light/3.png", "light/5.png"):
        (images / name).unlink()
    assert "dark/7.png: not an image" in fails(3, "train", "cnn-small", *given)
