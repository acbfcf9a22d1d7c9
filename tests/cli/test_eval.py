"""`dlcli eval`: the figures, the gates, and what is refused."""

import numpy as np
import pytest
from PIL import Image


def test_the_figures_agree_with_each_other_and_with_the_split(dlcli, trained):
    found = dlcli("eval", trained, "--json").json
    confusion = np.array(found["confusion"])
    assert confusion.sum() == found["samples"] == 359
    assert found["accuracy"] == pytest.approx(np.trace(confusion) / 359)
    assert found["accuracy"] > 0.7
    assert found["loss"] > 0
    recalls = [row["recall"] for row in found["per_class"]]
    assert recalls == pytest.approx(np.diag(confusion) / confusion.sum(axis=1))
    assert found["macro"]["recall"] == pytest.approx(np.mean(recalls))
    assert (found["split"], found["data"]) == ("test", "digits")


def test_each_part_can_be_measured(dlcli, trained):
    counts = [dlcli("eval", trained, "--split", s, "--json").json["samples"] for s in SPLITS]
    assert sum(counts) == 1_797
    assert counts[2] == 359


SPLITS = ("train", "val", "test")


def test_the_figures_do_not_depend_on_the_batch_size_or_the_threads(dlcli, trained):
    found = [
        dlcli("eval", trained, "--json", "--no-plots", *more).json
        for more in ([], ["--batch-size", "7"], ["--threads", "2"])
    ]
    assert found[0] == found[2]
    assert found[0]["confusion"] == found[1]["confusion"]
    assert found[0]["loss"] == pytest.approx(found[1]["loss"], rel=1e-6)


def test_without_plans_the_figures_are_the_same(dlcli, trained, plans):
    given = ("eval", trained, "--json", "--no-plots", "--batch-size", "32")
    plain = dlcli(*given, "--no-plan").json
    assert not plans
    assert dlcli(*given).json == plain
    assert plans


def test_the_tables_show_each_class_and_the_confusion_matrix_is_drawn(dlcli, a_copy):
    result = dlcli("eval", a_copy)
    assert result.code == 0, result.err
    for word in ("accuracy", "macro mean", "weighted mean", "true \\ predicted"):
        assert word in result.out
    with Image.open(a_copy / "plots" / "confusion.png") as image:
        image.load()
    assert "confusion.png" in result.err


def test_a_gate_that_fails_is_said_after_the_result(dlcli, trained):
    gate = ("--fail-under", "accuracy=1.1", "--fail-under", "macro_f1=0.1")
    result = dlcli("eval", trained, *gate, "--json")
    assert result.code == 8
    assert result.json["accuracy"] > 0.5
    assert "accuracy is 0." in result.err
    assert "macro_f1" not in result.err
    assert dlcli("eval", trained, "--fail-under", "weighted_recall=0.1").code == 0


@pytest.mark.parametrize("pair", ["accuracy", "accuracy=", "accuracy=high", "accuracy=nan"])
def test_a_gate_without_a_number_is_a_usage_error(fails, trained, pair):
    assert "NUMBER" in fails(2, "eval", trained, "--fail-under", pair)


def test_a_folder_that_is_no_run_is_a_checkpoint_error(fails, tmp_path):
    assert "not a run" in fails(4, "eval", tmp_path)
    assert "not a run" in fails(4, "eval", "absent")


@pytest.mark.parametrize("name", ["model.safetensors", "model.json", "manifest.json"])
def test_one_flipped_bit_of_a_checkpoint_is_found_and_the_file_named(fails, a_copy, name):
    path = a_copy / "checkpoints" / "best" / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert "checkpoints/best" in fails(4, "eval", a_copy)


def test_a_missing_or_cut_checkpoint_is_a_checkpoint_error(fails, a_copy):
    path = a_copy / "checkpoints" / "best" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    assert "model.safetensors" in fails(4, "eval", a_copy)
    path.unlink()
    fails(4, "eval", a_copy)


def test_data_of_other_images_or_classes_are_a_data_error(fails, trained, tmp_path):
    for name in ("a", "b"):
        folder = tmp_path / "images" / name
        folder.mkdir(parents=True)
        for n in range(4):
            Image.new("L", (8, 8), n).save(folder / f"{n}.png")
    said = fails(3, "eval", trained, "--data", tmp_path / "images")
    assert "its classes are not the model's" in said


def test_a_run_whose_settings_are_damaged_is_a_checkpoint_error(fails, a_copy):
    (a_copy / "config.toml").write_text("[data]\n")
    assert "data" in fails(4, "eval", a_copy)
    (a_copy / "config.toml").write_text("[data")
    assert "config.toml" in fails(4, "eval", a_copy)


def test_cuda_without_cuda_is_a_device_error(fails, trained):
    fails(5, "eval", trained, "--device", "cuda")
