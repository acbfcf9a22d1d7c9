"""`--augment`: trained with, resumed, shown, refused where it means nothing."""

from pathlib import Path

import numpy as np
import pytest

from dlcli.engine.tensor import on_device
from dlcli.models.parts.classifier import _target
from dlcli.nn import losses
from dlcli.train.run import RunDir

SPEC = "shift=1,rotate=10,mixup=0.4"
HOW = ("--augment", SPEC, "--no-plots", "--epochs", "2", "--sampling", "over")


def weights(run):
    kept = RunDir.open(Path(run)).load("last")
    return {name: array.tobytes() for name, array in kept.tensors.items()}


def test_a_run_that_was_stopped_goes_on_bit_for_bit(dlcli):
    steps = ("--schedule", "constant", "--batch-size", "64", "--max-steps")
    assert dlcli("train", "mlp", *HOW, *steps, "12", "-o", "whole").code == 0
    assert dlcli("train", "mlp", *HOW, *steps, "5", "-o", "half").code == 0
    assert RunDir.open(Path("half")).config()["train"]["augment"] == SPEC
    assert weights("half") != weights("whole")
    assert dlcli("train", "--resume", "half", "--max-steps", "12").code == 0
    assert weights("half") == weights("whole")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("cnn", "--augment", "flp"), "did you mean 'flip'?"),
        (("cnn", "--augment", "cutout=8"), "shorter side of these pictures has 8 pixels"),
        (("cnn", "--set", "augment=3"), "augment = 3 is not possible"),
        (("dcgan", "--augment", "flip"), "does not apply"),
        (("text-lstm", "--data", "imdb", "--augment", "flip"), "texts are not varied"),
    ],
)
def test_what_cannot_be_varied_is_refused_before_any_work(fails, words, said):
    assert said in fails(2, "train", *words)
    assert not Path("runs").exists()


def test_a_model_whose_loss_knows_no_mixed_labels_refuses_them(fails, dlcli):
    Path("own.py").write_text(
        "from dlcli.models.mlp import Config, build as make\n"
        "def build(config, shape, classes, *, seed=0):\n"
        "    model = make(config, shape, classes, seed=seed)\n"
        "    model.mixes = False\n"
        "    return model\n"
    )
    how = ("train", "--model-file", "own.py", "--max-steps", "1", "--no-plots", "--augment")
    assert "no labels that are mixed" in fails(2, *how, "mixup")
    assert dlcli(*how, "shift=1").code == 0


def test_a_resumed_run_keeps_its_augmentation(fails, dlcli):
    assert dlcli("train", "mlp", *HOW, "--max-steps", "1", "-o", "run").code == 0
    said = fails(2, "train", "--resume", "run", "--augment", "shift=1")
    assert "conflicts with the run's" in said


def test_a_grid_of_what_a_model_will_see_is_drawn(dlcli, fails):
    how = ("data", "show", "digits", "-n", "4", "--augment", "shift=1,mixup=1")
    shown = dlcli(*how, "--epochs", "3", "-o", "grid.png", "--json").json
    assert len(shown["samples"]) == 12
    assert shown["samples"][1]["id"].endswith(", epoch 2")
    assert any("+" in one["label"] for one in shown["samples"])
    assert Path("grid.png").read_bytes().startswith(b"\x89PNG")
    assert "+" in dlcli(*how).out
    assert "never varied" in fails(2, *how, "--split", "val")
    assert "without --augment" in fails(2, "data", "show", "digits", "--epochs", "2")
    assert "more than 400" in fails(2, *how, "--epochs", "101")
    assert "no 'flop'" in fails(2, "data", "show", "digits", "--augment", "flop")


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weighed", [False, True])
def test_the_loss_of_labels_that_are_whole_is_that_of_labels(smoothing, weighed):
    random = np.random.default_rng(0)
    logits = random.normal(size=(6, 4)).astype(np.float32)
    labels = np.array([0, 3, 1, 1, 2, 0])
    weight = np.array([0.5, 2, 1, 3], np.float32) if weighed else None
    target = _target(np.eye(4, dtype=np.float32)[labels], smoothing, weight)
    soft = losses.soft_cross_entropy(on_device(logits), on_device(target)).item()
    hard = losses.cross_entropy(
        on_device(logits),
        on_device(labels),
        None if weight is None else on_device(weight),
        label_smoothing=smoothing,
    ).item()
    assert soft == pytest.approx(hard, rel=1e-5)
