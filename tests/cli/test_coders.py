"""Generated images measured from the shell, and autoencoders: codes, classes, messages."""

import json

import numpy as np
import pytest
from PIL import Image

SHORT = ("--max-steps", "4", "--no-plots", "--set", "model.hidden=8", "--set", "model.code=3")


@pytest.fixture(scope="session")
def coder(tmp_path_factory):
    """A run of a conditional `vae` on the digits. Shared: nothing changes it but its plots."""
    from tests.cli.conftest import call

    run = tmp_path_factory.mktemp("runs") / "coder"
    result = call("train", "vae", *SHORT, "--conditional", "--out", run)
    assert result.code == 0, result.err
    return run


def test_new_images_are_measured_by_their_pixels_and_by_a_judge(dlcli, coder, trained):
    plain = dlcli("eval", coder, "-n", "30", "--json")
    assert plain.code == 0, plain.err
    assert {"loss", "reconstruction", "kl", "rmse", "diversity", "nearest"} <= plain.json.keys()
    assert "confident" not in plain.json
    result = dlcli("eval", coder, "-n", "30", "--judge", trained, "--json")
    assert result.code == 0, result.err
    found = result.json
    assert found["generated"] == 30
    assert sum(found["classes"].values()) == pytest.approx(1)
    assert found["real"]["as_asked"] > 0.7 > found["as_asked"]  # of four steps
    assert all(found[key] == plain.json[key] for key in ("loss", "nearest"))
    for name in ("samples", "nearest", "reconstructed"):
        with Image.open(coder / "plots" / f"{name}.png") as image:
            image.load()


def test_the_table_has_a_line_for_each_figure(dlcli, coder, trained):
    shown = dlcli("eval", coder, "-n", "30", "--judge", trained, "--no-plots").out
    for word in ("rmse", "novelty", "cnn_frechet", "as_asked", "generated", "no FID"):
        assert word in shown


def test_figures_of_new_images_are_gated(dlcli, fails, coder, trained):
    judged = ("eval", coder, "-n", "20", "--no-plots", "--judge", trained)
    assert dlcli(*judged, "--fail-over", "cnn_frechet=1e9").code == 0
    failed = dlcli(*judged, "--fail-under", "as_asked=1.1", "--fail-over", "kl=0")
    assert failed.code == 8
    assert "as_asked is 0." in failed.err
    assert "kl is" in failed.err
    given = ("eval", coder, "--fail-under", "confident=0.5")
    assert "only measured with --judge" in fails(2, *given)


def test_a_judge_must_know_such_images_and_a_classifier_needs_none(fails, coder, trained):
    assert "cannot judge" in fails(2, "eval", coder, "--judge", coder)
    assert "--judge does not apply" in fails(2, "eval", trained, "--judge", trained)
    assert "--samples does not apply" in fails(2, "eval", trained, "-n", "9")
    fails(4, "eval", coder, "--judge", "nowhere")
    fails(2, "eval", coder, "-n", "1")


def test_a_figure_that_a_model_does_not_have_is_no_crash(dlcli, trained, tmp_path):
    run = tmp_path / "plain"
    assert dlcli("train", "autoencoder", *SHORT, "--out", run).code == 0
    given = ("-n", "9", "--no-plots", "--judge", trained)
    result = dlcli("eval", run, *given, "--fail-under", "as_asked=0.5")
    assert result.code == 2
    assert "'as_asked' cannot be gated" in result.err


def test_images_become_codes_and_come_with_their_distance(dlcli, coder, digit, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no image")
    result = dlcli("predict", coder, digit[0], tmp_path / "broken.png")
    assert result.code == 3
    line, broken = result.lines
    assert line["input"] == str(digit[0])
    assert len(line["code"]) == 3
    assert 0 < line["rmse"] < 1
    assert line["class"] in "0123456789"
    assert "error" in broken


def test_a_vae_draws_grids_classes_and_ways_from_one_image_to_another(dlcli, coder, tmp_path):
    grid, rows, sevens = (tmp_path / name for name in ("grid.png", "rows.png", "sevens"))
    assert dlcli("generate", coder, "-n", "4", "-o", grid).code == 0
    assert dlcli("generate", coder, "--interpolate", "5", "-n", "2", "-o", rows).code == 0
    assert dlcli("generate", coder, "--class", "7", "-n", "2", "--each", sevens).code == 0
    with Image.open(rows) as image:
        assert image.size == ((5 * 8 + 4 * 2) * 8, (2 * 8 + 2) * 8)
    pictures = [np.array(Image.open(sevens / f"00000{i}.png")) for i in (0, 1)]
    assert not np.array_equal(*pictures)
    assert (coder / "samples" / "epoch-0001.png").exists()


def test_an_autoencoder_says_what_its_new_images_are(dlcli, tmp_path):
    run = tmp_path / "plain"
    given = ("--set", "model.form=dense")
    assert dlcli("train", "autoencoder", *SHORT, *given, "--out", run).code == 0
    result = dlcli("generate", run, "-n", "4", "-o", tmp_path / "grid.png")
    assert result.code == 0, result.err
    assert "no distribution of codes" in result.err


def test_what_makes_no_model_is_said_before_anything_is_written(fails, tmp_path):
    run = tmp_path / "run"
    said = fails(2, "train", "vae", "--set", "model.form=cnn", "--out", run)
    assert "there is dense, conv" in said
    assert "likelihood" in fails(2, "train", "vae", "--set", "model.likelihood=x", "--out", run)
    assert "code" in fails(2, "train", "autoencoder", "--set", "model.code=0", "--out", run)
    assert "no key 'model.conditional'" in fails(
        2, "train", "autoencoder", "--conditional", "--out", run
    )
    assert not run.exists()


def test_a_run_that_was_cut_goes_on_to_the_same_bits(dlcli, tmp_path):
    given = ("--set", "model.hidden=8", "--no-plots", "--schedule", "constant")
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert dlcli("train", "vae", *given, "--max-steps", "6", "--out", whole).code == 0
    assert dlcli("train", "vae", *given, "--max-steps", "3", "--out", cut).code == 0
    assert dlcli("train", "--resume", cut, "--max-steps", "6", "--no-plots").code == 0
    ends = [run / "checkpoints" / "last" / "model.safetensors" for run in (whole, cut)]
    assert ends[0].read_bytes() == ends[1].read_bytes()
    state = json.loads((ends[1].parent / "state.json").read_text())
    assert state["step"] == 6
