"""`dlcli train` that begins with another run's weights, freezes some, averages them, or looks for a
learning rate.
"""

import json
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file

FAST = ("--epochs", "1", "--max-steps", "3", "--no-plots")
HEAD = ["2.weight", "2.bias"]


def weights(run, which="last"):
    return load_file(Path(run, "checkpoints", which, "model.safetensors"))


def settings(run):
    return tomllib.loads(Path(run, "config.toml").read_text())["train"]


@pytest.fixture
def two_classes(tmp_path):
    """A folder of two classes of twelve 8×8 images, dark ones and light ones."""
    rng = np.random.default_rng(0)
    for i, name in enumerate(("dark", "light")):
        folder = tmp_path / "two" / name
        folder.mkdir(parents=True)
        for n in range(12):
            pixels = rng.integers(200 * i, 55 + 200 * i, (8, 8), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{n}.png")
    return tmp_path / "two"


# --- weights of another run


def test_a_run_goes_on_from_another_one_s_best_weights_but_for_the_head(dlcli, trained):
    result = dlcli("train", "cnn-small", *FAST, "--init-from", trained, "-o", "r", "--json",
                   "--reset-head", "--freeze", "0.*")  # fmt: skip
    assert result.code == 0, result.err
    assert "2 of 4 tensors are those of" in result.err
    found = result.json["initial"]
    assert (found["fitted"], found["reset"]) == (["0.weight", "0.bias"], HEAD)
    assert found == json.loads(Path("r/initial.json").read_text())
    before, after = weights(trained, "best"), weights("r")
    assert np.array_equal(before["0.weight"], after["0.weight"])  # taken, and frozen
    assert not np.array_equal(before["2.weight"], after["2.weight"])
    kept = settings("r")
    assert (kept["init_from"], kept["reset_head"]) == (str(trained), True)
    assert (kept["freeze"], kept["init_sha256"]) == (["0.*"], found["sha256"])


def test_another_number_of_classes_is_told_with_both_shapes(dlcli, trained, two_classes):
    result = dlcli("train", "cnn-small", "--data", two_classes, *FAST, "--init-from", trained,
                   "-o", "r")  # fmt: skip
    assert result.code == 0, result.err
    assert "images are read as those of" in result.err
    data = tomllib.loads(Path("r/config.toml").read_text())["data"]
    assert (data["image_size"], data["grayscale"]) == (8, True)  # as the digits are
    assert "does not fit  2.weight: 10×288 there, 2×288 here" in result.err
    unfit = json.loads(Path("r/initial.json").read_text())["unfit"]
    assert [m["name"] for m in unfit] == HEAD


def test_other_classes_that_fit_by_their_number_are_warned_of(dlcli, trained, tmp_path):
    assert dlcli("data", "export", "digits", "-n", "60", "--split", "train", "-o", "few").code == 0
    Path("few/9").rename("few/ten")
    given = ("--data", "few", "--init-from", trained, "--dry-run")
    assert "its classes are other" in dlcli("train", "cnn-small", *given).err
    assert "its classes" not in dlcli("train", "cnn-small", *given, "--reset-head").err


def test_other_words_that_fit_by_their_number_are_warned_of(dlcli):
    for name, word in (("a", "film"), ("b", "book")):
        rows = [f"a {what} {word} {name},{what}\n" for what in ("good", "bad") for _ in range(9)]
        Path(f"{name}.csv").write_text("text,label\n" + "".join(rows))
    assert dlcli("train", "text-cnn", "--data", "a.csv", *FAST, "-o", "a").code == 0
    given = ("train", "text-cnn", "--init-from", "a", "--dry-run", "--data")
    assert "other words or columns" in dlcli(*given, "b.csv").err
    assert "other words or columns" not in dlcli(*given, "a.csv").err


def test_a_file_of_weights_does_as_well(dlcli, trained):
    save_file({"0.weight": weights(trained, "best")["0.weight"]}, "w.safetensors")
    result = dlcli("train", "cnn-small", *FAST, "--init-from", "w.safetensors", "-o", "r")
    assert result.code == 0, result.err
    assert "new           0.bias" in result.err


def test_weights_of_which_nothing_fits_leave_no_run(fails, trained):
    said = fails(4, "train", "mlp", *FAST, "--init-from", trained, "-o", "r")
    assert "nothing of it fits" in said
    assert not Path("r").exists()


@pytest.mark.parametrize(
    ("code", "options", "said"),
    [
        (2, ["--freeze", "0.wieght"], "did you mean '0.weight'?"),
        (2, ["--freeze", "*"], "nothing of the phase 'train' is left to train"),
        (2, ["--reset-head"], "nothing to reset"),
        (2, ["--ema", "1"], "below 1"),
        (2, ["--ema", "lots"], "--ema"),
        (4, ["--init-from", "absent"], "no such folder"),
        (4, ["--init-from", "empty"], "config.toml is missing"),
        (4, ["--init-from", "w.pt"], "unsafe format"),
    ],
)
def test_what_is_refused_is_said_and_leaves_no_run(dlcli, code, options, said):
    Path("empty").mkdir()
    Path("w.pt").write_bytes(b"")
    result = dlcli("train", "cnn-small", *FAST, *options)
    assert (result.code, result.out) == (code, "")
    assert said in result.err
    assert not Path("runs").exists()


def test_a_model_without_classes_has_no_head_to_reset(fails, dlcli):
    Path("text.txt").write_text("to be or not to be, that is the question\n" * 60)
    how = ("train", "char-lm", "--data", "text.txt", *FAST)
    assert dlcli(*how, "-o", "a").code == 0
    assert "number of classes" in fails(2, *how, "--init-from", "a", "--reset-head")


# --- again, and on


@pytest.fixture
def tuned(dlcli, trained):
    """A run from the weights of another one, which is in this folder and may be changed."""
    shutil.copytree(trained, "base")
    result = dlcli("train", "cnn-small", *FAST, "--init-from", "base", "--freeze", "0.bias",
                   "--ema", "0.9", "-o", "tuned")  # fmt: skip
    assert result.code == 0, result.err


def test_a_run_with_all_of_it_is_reproduced_bit_for_bit(dlcli, tuned):
    found = dlcli("runs", "reproduce", "tuned", "--out", "again", "--json")
    assert found.json["same"] is True


def test_a_run_whose_first_weights_have_changed_is_not_begun_anew(dlcli, fails, tuned):
    assert dlcli("train", "--resume", "base", "--epochs", "5", "--no-plots").code == 0
    for which in ("best", "last"):
        shutil.copytree("tuned/checkpoints/last", f"base/checkpoints/{which}", dirs_exist_ok=True)
    again = ("train", "-c", "tuned/config.toml", "--no-plots")
    assert "not the weights that the run began with" in fails(4, *again)
    assert dlcli(*again, "--init-from", "base").code == 0  # named anew: what it is now


def test_a_run_goes_on_without_the_weights_that_it_began_with(dlcli, fails, tuned):
    shutil.rmtree("base")
    result = dlcli("train", "--resume", "tuned", "--max-steps", "6", "--no-plots", "--json")
    assert result.code == 0, result.err
    assert result.json["steps"] == 6
    conflict = fails(2, "train", "--resume", "tuned", "--max-steps", "9", "--ema", "0.5")
    assert "ema = 0.5 conflicts with the run's 0.9" in conflict


def test_a_run_that_was_killed_before_its_first_save_begins_with_the_same_weights(dlcli, tuned):
    shutil.copytree("tuned", "killed")
    shutil.rmtree("killed/checkpoints")
    Path("killed/metrics.jsonl").unlink()
    assert dlcli("train", "--resume", "killed", "--no-plots").code == 0
    for name, array in weights("tuned").items():
        assert np.array_equal(array, weights("killed")[name])


def test_the_average_is_what_is_evaluated(dlcli, tuned):
    trained_on = load_file("tuned/checkpoints/last/optimizer.safetensors")
    assert not np.array_equal(trained_on["weights/2.weight"], weights("tuned")["2.weight"])
    best = json.loads(Path("tuned/metrics.jsonl").read_text().splitlines()[0])
    found = dlcli("eval", "tuned", "--split", "val", "--no-plots", "--json").json
    assert found["loss"] == pytest.approx(best["val_loss"])


def test_weights_are_frozen_without_a_run_to_begin_with_but_not_in_silence(dlcli):
    result = dlcli("train", "cnn-small", "--freeze", "0.*", "--dry-run")
    assert result.code == 0
    assert "random first values" in result.err


# --- a learning rate


def test_a_rate_is_found_drawn_and_leaves_no_run(dlcli):
    for number in (1, 2):  # nothing is overwritten
        result = dlcli("train", "cnn-small", "--find-lr")
        assert result.code == 0, result.err
        picture = f"find-lr-cnn-small-digits-{number}.png"
        assert picture in result.out
        with Image.open(picture) as image:
            image.load()
            assert image.size == (900, 504)
    assert "suggested  --lr" in result.out
    assert {p.name for p in Path().iterdir()} <= {
        "find-lr-cnn-small-digits-1.png", "find-lr-cnn-small-digits-2.png", "cache",
    }  # fmt: skip


def test_the_search_is_for_the_model_as_it_would_be_trained(dlcli, trained):
    how = ("train", "cnn-small", "--find-lr", "--no-plots", "--json")
    anew = dlcli(*how).json
    tuned = dlcli(*how, "--init-from", trained, "--optimizer", "sgd").json
    assert anew["plot"] is None
    assert 1e-4 < anew["lr"] < 0.1
    assert tuned["losses"][0] < anew["losses"][0] / 2
    assert tuned["optimizer"] == "sgd"


def test_a_game_has_no_rate_to_find(fails):
    assert "discriminator and generator" in fails(2, "train", "gan", "--find-lr")


def test_where_a_search_cannot_write_is_said_before_any_work(fails, trained):
    Path("there.png").write_bytes(b"mine")
    find = ("train", "cnn-small", "--find-lr")
    assert "there.png: exists" in fails(2, *find, "-o", "there.png")
    assert "PNG file" in fails(2, *find, "-o", "runs/a")
    assert "cannot be used together" in fails(2, *find, "--dry-run")
    assert "cannot be used together" in fails(2, "train", "--find-lr", "--resume", trained)
    assert Path("there.png").read_bytes() == b"mine"
