"""Pictures from the shell: a GAN is trained, draws as it goes, and makes grids, files and films."""

import numpy as np
import pytest
from PIL import Image

SHORT = ("--max-steps", "4", "--no-plots", "--set", "model.hidden=[16]", "--set", "model.noise=3")


@pytest.fixture(scope="session")
def game(tmp_path_factory):
    """A run of a conditional `gan` on the digits. Shared: nothing changes it."""
    from tests.cli.conftest import call

    run = tmp_path_factory.mktemp("runs") / "game"
    result = call("train", "gan", *SHORT, "--conditional", "--out", run)
    assert result.code == 0, result.err
    return run


def size(path):
    with Image.open(path) as image:
        assert image.format == "PNG"
        return image.size


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_game_leaves_samples_of_every_epoch(game):
    assert size(game / "samples" / "epoch-0001.png") == (78 * 8, 78 * 8)


def test_a_grid_holds_as_many_pictures_as_were_asked_for(dlcli, game, tmp_path):
    out = tmp_path / "grid.png"
    result = dlcli("generate", game, "-n", "6", "-o", out, "--json")
    assert result.code == 0, result.err
    assert size(out) == ((3 * 8 + 4) * 8, (2 * 8 + 2) * 8)
    assert result.json["images"] == 6
    assert result.json["files"] == [str(out)]


def test_the_same_seed_gives_the_same_pictures_however_many(dlcli, game, tmp_path):
    few, many, other = (tmp_path / name for name in ("few", "many", "other"))
    for folder, n, seed in ((few, 2, 1), (many, 3, 1), (other, 2, 2)):
        assert dlcli("generate", game, "-n", n, "--seed", seed, "--each", folder).code == 0
    found, more = files(few), files(many)
    assert set(found) == {"000000.png", "000001.png"}
    assert all(more[name] == data for name, data in found.items())
    assert all(files(other)[name] != data for name, data in found.items())


def test_a_class_is_asked_for_by_its_name(dlcli, game, tmp_path):
    sevens, all_classes = tmp_path / "sevens", tmp_path / "all"
    assert dlcli("generate", game, "-n", "8", "--class", "7", "--each", sevens).code == 0
    assert dlcli("generate", game, "-n", "8", "--each", all_classes).code == 0
    same = [name for name, data in files(sevens).items() if files(all_classes)[name] == data]
    assert same == ["000007.png"]  # sample i is of class i where none is asked for


def test_rows_lead_from_one_picture_to_another(dlcli, game, tmp_path):
    out = tmp_path / "rows.png"
    assert dlcli("generate", game, "-n", "2", "--interpolate", "5", "-o", out).code == 0
    assert size(out) == ((5 * 8 + 8) * 8, (2 * 8 + 2) * 8)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "-o grid.png"),
        (("-o", "grid.jpg"), "PNG"),
        (("--class", "eleven", "-o", "grid.png"), "no class 'eleven'"),
        (("--prompt", "a seven", "-o", "grid.png"), "--prompt does not apply"),
        (("--interpolate", "1", "-o", "grid.png"), "--interpolate"),
    ],
)
def test_what_cannot_be_drawn_is_a_usage_error_that_says_why(
    dlcli, game, elsewhere, arguments, said
):
    result = dlcli("generate", game, *arguments)
    assert result.code == 2
    assert said in result.err
    assert not (elsewhere / "grid.png").exists()


def test_files_are_not_overwritten_and_none_is_left_where_one_fails(dlcli, game, tmp_path):
    there = tmp_path / "there"
    there.mkdir()
    assert dlcli("generate", game, "-n", "2", "--each", there).code == 2
    assert files(there) == {}
    missing = tmp_path / "no" / "such" / "grid.png"
    assert dlcli("generate", game, "-n", "2", "-o", missing).code == 9


def test_a_classifier_generates_nothing_and_a_game_predicts_nothing(dlcli, game, trained):
    assert dlcli("generate", trained, "-o", "grid.png").code == 2
    result = dlcli("predict", game, game / "samples" / "epoch-0001.png")
    assert result.code == 2
    assert "dlcli generate" in result.err


def test_a_model_without_classes_cannot_be_asked_for_one(dlcli, tmp_path):
    run = tmp_path / "run"
    assert dlcli("train", "gan", *SHORT, "--out", run).code == 0
    result = dlcli("generate", run, "--class", "7", "-o", tmp_path / "grid.png")
    assert result.code == 2
    assert "--conditional" in result.err


def test_the_loss_of_a_game_is_an_option_and_of_others_an_error(dlcli, tmp_path):
    run = tmp_path / "run"
    assert dlcli("train", "gan", *SHORT, "--loss", "lsgan", "--out", run).code == 0
    assert 'loss = "lsgan"' in (run / "config.toml").read_text()
    wrong = dlcli("train", "gan", *SHORT, "--loss", "lsgam", "--out", tmp_path / "wrong")
    assert wrong.code == 2
    assert "min-max" in wrong.err
    other = dlcli("train", "cnn", "--loss", "lsgan", "--out", tmp_path / "other")
    assert other.code == 2
    assert "model.loss" in other.err
    assert not (tmp_path / "wrong").exists()


def photos(folder, sizes, n=12):
    rng = np.random.default_rng(0)
    folder.mkdir()
    for i in range(n):
        height, width = sizes[i % len(sizes)]
        pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:02}.png")
    return folder


def test_a_folder_of_pictures_without_classes_is_enough(dlcli, tmp_path):
    folder, run = photos(tmp_path / "photos", [(8, 8)]), tmp_path / "run"
    result = dlcli("train", "dcgan", "--data", folder, "--max-steps", "2", "--out", run)
    assert result.code == 0, result.err
    assert dlcli("generate", run, "-n", "1", "-o", tmp_path / "one.png").code == 0


def test_pictures_of_mixed_sizes_become_squares_of_the_size_that_is_asked_for(dlcli, tmp_path):
    folder = photos(tmp_path / "photos", [(9, 13), (20, 10)])
    wrong = dlcli("train", "dcgan", "--data", folder, "--out", tmp_path / "wrong")
    assert wrong.code == 2
    assert "--image-size" in wrong.err
    given = ("--image-size", "16", "--max-steps", "2", "--set", "model.width=2")
    result = dlcli("train", "dcgan", "--data", folder, *given, "--out", tmp_path / "run")
    assert result.code == 0, result.err


def test_an_empty_folder_and_one_with_too_few_pictures_are_named(dlcli, tmp_path):
    (tmp_path / "empty").mkdir()
    empty = dlcli("train", "dcgan", "--data", tmp_path / "empty")
    few = dlcli("train", "dcgan", "--data", photos(tmp_path / "few", [(8, 8)], n=2))
    assert (empty.code, few.code) == (3, 3)
    assert "empty" in empty.err
    assert "at least 3" in few.err


def test_what_can_be_done_with_a_game_is_said_at_its_end_and_works(dlcli, tmp_path):
    run = tmp_path / "run"
    said = dlcli("train", "gan", *SHORT, "--out", run).err
    commands = [line.strip() for line in said.split("next:")[1].splitlines()]
    assert commands[1] == f"dlcli generate {run} -n 64 -o grid.png"
    assert not any("predict" in command for command in commands)
    assert dlcli("generate", run, *commands[1].split()[3:-1], tmp_path / "grid.png").code == 0
