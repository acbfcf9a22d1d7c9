"""`dlcli train`: the run that it leaves, what it refuses before any work, going on, dry runs."""

import json
import os
import re
import signal
import tomllib
from pathlib import Path

import pytest
from PIL import Image

from dlcli.cli.progress import Display

OWN = '''
"""A model of the user's own."""
from dataclasses import dataclass
from dlcli.models import cnn_small

@dataclass(frozen=True)
class Config:
    channels: int = 4

def build(config, shape, classes, *, seed=0):
    return cnn_small.build(cnn_small.Config(channels=config.channels), shape, classes, seed=seed)
'''
FAST = ("--epochs", "1", "--max-steps", "3", "--no-plots")


def weights(run):
    """The hash of the last weights of a run."""
    manifest = json.loads(Path(run, "checkpoints", "last", "manifest.json").read_text())
    return manifest["files"]["model.safetensors"]


@pytest.fixture
def own(tmp_path):
    path = tmp_path / "my_model.py"
    path.write_text(OWN)
    return path


def test_a_run_holds_its_settings_figures_checkpoints_and_curves(trained):
    config = tomllib.loads((trained / "config.toml").read_text())
    assert config["model"] == {"name": "cnn-small", "channels": 32, "dropout": 0.0}
    assert config["data"] == {"source": "digits"}
    assert config["train"]["epochs"] == 4
    assert config["train"]["batch_size"] == 32  # the dataset's recipe, not the default
    records = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    assert [r["epoch"] for r in records] == [1, 2, 3, 4]
    assert records[-1]["val_accuracy"] > 0.7
    assert {p.name for p in (trained / "checkpoints").iterdir()} == {"best", "last"}
    with Image.open(trained / "plots" / "curves.png") as image:
        image.load()
        assert min(image.size) > 300
    assert json.loads((trained / "env.json").read_text())["threads"] >= 1
    assert not [p for p in trained.rglob("*") if ".part" in p.name]


def test_the_result_is_one_json_document_and_progress_stays_off_it(dlcli):
    result = dlcli("train", "cnn-small", *FAST, "--json")
    assert result.code == 0, result.err
    found = result.json
    assert (found["model"], found["data"], found["steps"]) == ("cnn-small", "digits", 3)
    assert found["stop"] == "max_steps"
    assert 0 <= found["test"]["accuracy"] <= 1
    assert found["run"] == "runs/cnn-small-digits-1"
    assert "epoch 1/1" in result.err


def test_the_table_at_the_end_says_what_to_type_next(dlcli):
    result = dlcli("train", "cnn-small", *FAST, "--out", "first")
    assert "best validation" in result.out
    assert re.search(r"trained for +\d+\.\d s  [\d,]+ images/s  \d+\.\d% of it waiting", result.out)
    assert re.search(r"memory +\d[\d,]+ MiB at most", result.out)
    assert "used for nothing else" in result.out
    assert "dlcli eval first" in result.err
    assert dlcli("eval", "first").code == 0


def test_quiet_leaves_the_result_alone(dlcli):
    result = dlcli("train", "cnn-small", *FAST, "-q")
    assert result.code == 0
    assert result.err == ""
    assert "test " in result.out


def test_two_runs_of_one_seed_are_the_same_and_are_numbered(dlcli):
    sums = []
    for number, threads in ((1, 1), (2, 2)):
        found = dlcli("train", "cnn-small", *FAST, "--threads", threads, "--json").json
        assert found["run"] == f"runs/cnn-small-digits-{number}"
        sums.append(weights(found["run"]))
    assert sums[0] == sums[1]


def test_an_option_goes_before_set_before_the_file_before_the_recipe(dlcli, tmp_path):
    file = tmp_path / "c.toml"
    file.write_text(
        "[model]\nname = 'mlp'\nhidden = [8]\n[train]\nlr = 0.1\nseed = 1\nepochs = 7\n"
    )
    sets = ("--set", "lr=0.2", "--set", "seed=2", "--set", "hidden=[4]")
    result = dlcli("train", "-c", file, *sets, "--seed", "3", "--max-steps", "1", "-o", "r")
    assert result.code == 0, result.err
    config = tomllib.loads(Path("r/config.toml").read_text())
    assert config["model"]["hidden"] == [4]
    asked = {k: config["train"][k] for k in ("lr", "seed", "epochs", "batch_size")}
    assert asked == {"lr": 0.2, "seed": 3, "epochs": 7, "batch_size": 32}


def test_the_settings_of_a_run_repeat_it(dlcli):
    dlcli("train", "mlp", *FAST, "--set", "hidden=[16]", "--seed", "5", "-o", "a")
    assert Path("a/config.toml").exists()
    assert dlcli("train", "-c", "a/config.toml", "--no-plots", "-o", "b").code == 0
    assert Path("a/config.toml").read_text() == Path("b/config.toml").read_text()
    assert weights("a") == weights("b")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--set", "nothing=1"],
        ["--set", "model.nothing=1"],
        ["--set", "hidden=64"],
        ["--optimizer", "adma"],
        ["--image-size", "16"],
        ["-c", "absent.toml"],
    ],
)
def test_what_is_refused_leaves_no_folder(fails, arguments):
    fails(2, "train", "mlp", *arguments)
    assert not Path("runs").exists()


def test_an_unknown_key_of_a_file_is_refused_with_a_suggestion(fails, tmp_path):
    for table, key, guess in (
        ("train", "epohcs", "epochs"),
        ("model", "hiden", "hidden"),
        ("data", "sourec", "source"),
    ):
        file = tmp_path / f"{table}.toml"
        file.write_text(f"[{table}]\n{key} = 3\n")
        assert f"did you mean '{guess}'?" in fails(2, "train", "mlp", "-c", file)


def test_a_folder_that_exists_is_never_written_to(fails, a_copy):
    before = sorted(a_copy.rglob("*"))
    assert "--resume" in fails(2, "train", "cnn", "--out", a_copy)
    assert sorted(a_copy.rglob("*")) == before


def test_cuda_without_cuda_is_a_device_error_with_what_to_do(fails):
    said = fails(5, "train", "cnn", "--device", "cuda")
    assert "--device cpu" in said or "pip install" in said
    assert not Path("runs").exists()


def test_a_dataset_that_is_not_here_says_how_to_get_it(fails):
    said = fails(3, "train", "cnn", "--data", "mnist")
    assert "train-images-idx3-ubyte.gz" in said


def test_a_truncated_dataset_is_a_data_error_that_names_the_file(fails, tmp_path):
    from dlcli.data import mnist

    folder = tmp_path / "data" / "mnist"
    folder.mkdir(parents=True)
    for name in mnist.FILES:
        (folder / name).write_bytes(b"\x1f\x8b\x08\x00")
    said = fails(3, "train", "cnn", "--data", "mnist", "--data-dir", tmp_path / "data")
    assert "ubyte" in said
    assert not Path("runs").exists()


def test_a_folder_of_images_can_be_trained_on(dlcli, tmp_path):
    import numpy as np

    rng = np.random.default_rng(0)
    for i, name in enumerate(("dark $x$", "light [b]")):
        folder = tmp_path / "images" / name
        folder.mkdir(parents=True)
        for n in range(12):
            pixels = rng.integers(200 * i, 55 + 200 * i, (10, 12, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{n}.png")
    given = ("--data", tmp_path / "images", "--image-size", "9", "--grayscale")
    result = dlcli("train", "cnn-small", *given, "--epochs", "3", "--out", "r", "--json")
    assert result.code == 0, result.err
    found = dlcli("eval", "r", "--json").json
    assert found["accuracy"] == result.json["test"]["accuracy"]
    assert found["classes"] == ["dark $x$", "light [b]"]
    assert dlcli("eval", "r", "--data", tmp_path / "images", "--json").json["samples"] > 0


# --- going on


@pytest.fixture
def stopped_by(monkeypatch):
    """Sends this process a signal after a step of the training."""

    def install(number, step):
        def on_step(self, now, *rest):
            if now == step:
                os.kill(os.getpid(), number)

        monkeypatch.setattr(Display, "on_step", on_step)

    return install


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_run_that_was_stopped_goes_on_to_the_weights_of_one_that_was_not(
    dlcli, stopped_by, number, code
):
    whole = dlcli("train", "cnn-small", "--epochs", "2", "--no-plots", "-o", "whole")
    assert whole.code == 0, whole.err
    stopped_by(number, 50)
    half = dlcli("train", "cnn-small", "--epochs", "2", "--no-plots", "-o", "half")
    assert half.code == code
    assert "--resume half" in half.err
    assert half.out == ""
    stopped_by(number, 0)
    more = dlcli("train", "--resume", "half", "--no-plots", "--json", "--threads", "2")
    assert more.code == 0, more.err
    assert (more.json["epochs"], more.json["steps"]) == (2, 82)
    assert weights("half") == weights("whole")


def test_a_loss_that_becomes_nan_stops_the_run_with_its_own_code(dlcli):
    result = dlcli("train", "cnn-small", "--optimizer", "sgd", "--lr", "1e30", "-o", "r")
    assert result.code == 7, result.err
    assert "Traceback" not in result.err
    assert Path("r").is_dir()


def test_a_finished_run_that_goes_on_has_nothing_left_to_do(dlcli, a_copy):
    found = dlcli("train", "--resume", a_copy, "--json").json
    assert found["already_finished"] is True
    assert found["steps"] == dlcli("train", "--resume", a_copy, "--json").json["steps"]


def test_a_finished_run_goes_on_for_more_epochs(dlcli, a_copy):
    result = dlcli("train", "--resume", a_copy, "--epochs", "5", "--json")
    assert result.json["epochs"] == 5
    assert len((a_copy / "metrics.jsonl").read_text().splitlines()) == 5


@pytest.mark.parametrize(
    "arguments",
    [
        ["mlp"],
        ["--data", "mnist"],
        ["--batch-size", "64"],
        ["--lr", "0.5"],
        ["--seed", "9"],
        ["--set", "optimizer=sgd"],
        ["--set", "model.channels=3"],
        ["--out", "elsewhere"],
        ["-c", "c.toml"],
        ["--dry-run"],
        ["--image-size", "16"],
        ["--epochs", "none"],
    ],
    ids=" ".join,
)
def test_going_on_with_other_settings_is_refused_before_any_work(fails, a_copy, arguments):
    before = {p: p.read_bytes() for p in a_copy.rglob("*") if p.is_file()}
    fails(2, "train", *arguments, "--resume", a_copy)
    assert before == {p: p.read_bytes() for p in a_copy.rglob("*") if p.is_file()}


def test_what_is_no_run_cannot_be_gone_on_with(fails, tmp_path):
    assert "not a run" in fails(4, "train", "--resume", tmp_path)
    assert "not a run" in fails(4, "train", "--resume", tmp_path / "absent")


# --- a model of one's own


def test_a_model_file_is_kept_in_the_run_and_run_only_where_it_is_named(dlcli, fails, own, digit):
    result = dlcli("train", "--model-file", own, *FAST, "--set", "channels=6", "-o", "r")
    assert result.code == 0, result.err
    assert Path("r/my_model.py").read_text() == OWN
    own.write_text("raise SystemExit('this must not run')")
    for command in (["eval", "r"], ["predict", "r", digit[0]], ["train", "--resume", "r"]):
        assert "--model-file r/my_model.py" in fails(4, *command)
        more = ["--epochs", "1"] if command[0] == "train" else []
        assert dlcli(*command, *more, "--model-file", "r/my_model.py").code == 0


def test_a_model_file_that_is_no_model_is_refused(fails, tmp_path):
    path = tmp_path / "m.py"
    for text in ("x = 1", "def build(:"):
        path.write_text(text)
        assert "m.py" in fails(4, "train", "--model-file", path)


# --- dry runs


def test_a_dry_run_shows_layers_memory_and_a_step_and_writes_nothing(dlcli):
    result = dlcli("train", "cnn", "--dry-run")
    assert result.code == 0, result.err
    for word in ("Conv2d", "4×4×32", "72,842", "MiB", "images/s"):
        assert word in result.out
    found = dlcli("train", "cnn", "--dry-run", "--json").json
    assert sum(layer["parameters"] for layer in found["layers"]) == found["parameters"] == 72_842
    assert found["seconds_per_step"] > 0
    assert found["step_bytes"] > 0
    assert not list(Path().glob("runs*"))
