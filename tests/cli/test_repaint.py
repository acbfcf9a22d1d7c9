"""Repainting from the shell: train on pairs or two heaps, measure, repaint a picture."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SMALL = ("--set", "model.width=2", "--set", "model.critic=2", "--no-plots")
SHORT = (*SMALL, "--epochs", "2", "--batch-size", "4")


def size(path):
    with Image.open(path) as image:
        return image.size


def pixels(path):
    with Image.open(path) as image:
        return np.array(image)


def write(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def drawn(i, side):
    found = np.zeros((side, side, 3), np.uint8)
    found[:, : side // 2] = 20 * i + 40
    return found


@pytest.fixture(scope="session")
def pairs(tmp_path_factory):
    """A folder of ten pictures beside their negatives."""
    folder = tmp_path_factory.mktemp("pairs")
    for i in range(10):
        write(folder / f"{i}.png", np.concatenate([drawn(i, 32), 255 - drawn(i, 32)], axis=1))
    return folder


@pytest.fixture(scope="session")
def heaps(tmp_path_factory):
    """Ten pictures, the negatives of others, and two pairs."""
    folder = tmp_path_factory.mktemp("heaps")
    for i in range(10):
        write(folder / "A" / f"{i}.png", drawn(i, 16))
        write(folder / "B" / f"n{i}.png", 255 - drawn(9 - i, 16))
    for i in range(2):
        write(folder / "pairs" / "A" / f"{i}.png", drawn(i, 16))
        write(folder / "pairs" / "B" / f"{i}.png", 255 - drawn(i, 16))
    return folder


@pytest.fixture(scope="session")
def repainter(tmp_path_factory, pairs):
    """A run of pix2pix. Shared: nothing changes it."""
    from tests.cli.conftest import call

    run = tmp_path_factory.mktemp("runs") / "repainter"
    given = ("--data", pairs, "--direction", "right-to-left", "--out", run)
    result = call("train", "pix2pix", *given, *SHORT)
    assert result.code == 0, result.err
    return run


@pytest.fixture(scope="session")
def cycle(tmp_path_factory, heaps):
    """A run of cyclegan. Shared: nothing changes it."""
    from tests.cli.conftest import call

    run = tmp_path_factory.mktemp("runs") / "cycle"
    given = ("--data", heaps, "--grayscale", "--set", "model.blocks=1", "--out", run)
    result = call("train", "cyclegan", *given, *SHORT)
    assert result.code == 0, result.err
    return run


def test_triples_are_drawn_after_every_epoch_and_at_the_end(dlcli, repainter):
    names = {path.name for path in (repainter / "samples").iterdir()}
    assert names == {"epoch-0001.png", "epoch-0002.png", "epochs.gif"}
    assert dlcli("eval", repainter).code == 0
    assert size(repainter / "plots" / "triples.png")[0] > 3 * 32


def test_the_error_is_measured_beside_the_median_s_and_gated(dlcli, fails, repainter):
    given = ("eval", repainter, "--no-plots")
    found = dlcli(*given, "--json").json
    assert found["improvement"] == pytest.approx(1 - found["l1"] / found["median_l1"])
    assert "pixel-wise median" in dlcli(*given).out
    gate = dlcli(*given, "--fail-under", "improvement=0.99")
    assert (gate.code, "improvement is" in gate.err) == (8, True)
    assert dlcli(*given, "--fail-over", "l1=255").code == 0
    assert "no figure 'accuracy'" in fails(2, *given, "--fail-under", "accuracy=0.5")


def test_the_direction_is_that_of_training_whatever_it_is_measured_on(dlcli, repainter, pairs):
    given = ("eval", repainter, "--no-plots", "--json")
    own, other = dlcli(*given).json, dlcli(*given, "--data", pairs).json
    assert own["l1"] == other["l1"]


def test_heaps_are_measured_on_known_pairs_both_ways(dlcli, cycle):
    found = dlcli("eval", cycle, "--no-plots", "--json").json
    assert found["ways"].keys() == {"a-to-b", "b-to-a"}
    assert found["of_identity"] == pytest.approx(found["l1"] / found["identity_l1"])
    val = dlcli("eval", cycle, "--no-plots", "--split", "val")
    assert "no pairs are known" in val.out


def test_a_figure_that_needs_pairs_cannot_be_gated_without(dlcli, cycle):
    result = dlcli("eval", cycle, "--no-plots", "--split", "val", "--fail-over", "l1=255")
    assert (result.code, "'l1' cannot be gated" in result.err) == (2, True)


def test_a_picture_is_repainted_by_either_generator(dlcli, heaps, cycle):
    given = ("generate", cycle, "--input", heaps / "A" / "3.png")
    assert dlcli(*given, "-o", "there.png").code == 0
    assert dlcli(*given, "--direction", "b-to-a", "-o", "back.png").code == 0
    there, back = (pixels(f"{name}.png") for name in ("there", "back"))
    assert there.shape == back.shape == (64, 64)  # enlarged
    assert not np.array_equal(there, back)
    assert dlcli(*given, "--seed", "5", "-o", "again.png").code == 0
    assert Path("again.png").read_bytes() == Path("there.png").read_bytes()


def test_a_picture_of_any_size_is_repainted_by_pix2pix(dlcli, repainter, tmp_path):
    write(tmp_path / "photo.jpg", np.zeros((50, 70, 3), np.uint8))
    result = dlcli("generate", repainter, "--input", tmp_path / "photo.jpg", "-o", "out.png")
    assert result.code == 0, result.err
    assert "1 image" in result.err
    assert size("out.png") == (64, 64)


def test_what_cannot_be_repainted_is_said(fails, repainter, cycle, pairs):
    to = ("-o", "out.png")
    assert "--input" in fails(2, "generate", repainter, *to)
    given = ("--input", pairs / "0.png", *to)
    assert "--direction does not" in fails(2, "generate", repainter, *given, "--direction", "up")
    assert "--class does not apply" in fails(2, "generate", repainter, *given, "--class", "cat")
    assert "No such file" in fails(3, "generate", repainter, "--input", "x.png", *to)
    assert "a-to-b, b-to-a" in fails(2, "generate", cycle, *given, "--direction", "up")
    assert not Path("out.png").exists()


def test_predicting_points_to_generate(fails, repainter, pairs):
    said = fails(2, "predict", repainter, pairs / "0.png")
    assert "pix2pix cannot predict" in said
    assert "dlcli generate" in said


def test_data_of_another_kind_or_form_is_refused(fails, pairs, heaps, tmp_path):
    assert "pix2pix takes pairs of pictures" in fails(2, "train", "pix2pix", "--data", "digits")
    (tmp_path / "empty").mkdir()
    assert "holds no pictures" in fails(3, "train", "pix2pix", "--data", tmp_path / "empty")
    given = ("--data", heaps, "--direction", "left-to-right")
    assert "direction does not apply" in fails(2, "train", "cyclegan", *given)
    assert "has no picture of its name in B" in fails(3, "train", "pix2pix", "--data", heaps)
    given = ("--data", pairs, "--image-size", "40")
    assert "--image-size 64" in fails(2, "train", "pix2pix", *given)
    assert "which data?" in fails(2, "train", "pix2pix")
