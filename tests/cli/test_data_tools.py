"""`dlcli data check | stats | show | split | export`, and training without what cannot be read."""

import errno
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dlcli.cli.lazy import commands
from dlcli.data import split_folder

CLASSES = {"cat": 24, "dog": 16}


@pytest.fixture
def pets(tmp_path):
    """A folder of pictures: two classes, one exact copy and one that looks the same."""
    random = np.random.default_rng(0)
    for name, count in CLASSES.items():
        (tmp_path / "pets" / name).mkdir(parents=True)
        for i in range(count):
            coarse = Image.fromarray(random.integers(0, 256, (6, 5, 3)).astype(np.uint8))
            large = coarse.resize((40, 48), Image.Resampling.BICUBIC)
            large.save(tmp_path / "pets" / name / f"{i:02}.png")
    cats = tmp_path / "pets" / "cat"
    shutil.copy(cats / "00.png", cats / "copy.png")
    Image.open(cats / "01.png").resize((80, 96)).save(cats / "large.jpg")
    return tmp_path / "pets"


def files(root):
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*.*g"))


def damage(path):
    path.write_bytes(path.read_bytes()[:60])


# --- check --------------------------------------------------------------------------------------


def test_what_was_found_is_shown_with_what_to_do(dlcli, pets):
    damage(pets / "dog" / "03.png")
    result = dlcli("data", "check", pets)
    assert result.code == 0
    for words in (
        "42 images of 2 classes",
        "cat/00.png = cat/copy.png",
        "dog/03.png: the image is",
    ):
        assert words in result.out
    assert "→ remove or replace them" in result.out


def test_the_document_of_a_check_says_the_same(dlcli, pets):
    found = dlcli("data", "check", pets, "--json").json
    assert (found["samples"], found["ok"], found["errors"], found["warnings"]) == (42, False, 0, 2)
    assert [(one["kind"], one["samples"]) for one in found["findings"]] == [
        ("duplicate", ["cat/00.png", "cat/copy.png"]),
        ("near-duplicate", ["cat/01.png", "cat/large.jpg"]),
    ]
    assert found["counts"] == {"all": {"cat": 26, "dog": 16}}


def test_strict_fails_if_and_only_if_something_was_found(dlcli, pets):
    result = dlcli("data", "check", pets, "--strict", "--json")
    assert result.code == 3
    assert result.json["warnings"] == 2
    assert "2 things were found" in result.err
    (pets / "cat" / "copy.png").unlink()
    assert dlcli("data", "check", pets, "--strict", "--no-near").code == 0
    assert dlcli("data", "check", "digits", "--strict").code == 0


def test_long_lists_are_cut_unless_asked_for(dlcli, pets):
    for i in range(8):
        damage(pets / "cat" / f"{i:02}.png")
    assert "… 3 more" in dlcli("data", "check", pets).out
    assert " more, with" not in dlcli("data", "check", pets, "-v").out


@pytest.mark.parametrize("command", ["check", "stats", "show"])
def test_a_mistyped_name_and_a_missing_path_are_told_apart(fails, command):
    assert "did you mean 'digits'?" in fails(2, "data", command, "digitz")
    assert "there is no such file or folder" in fails(3, "data", command, "./digits")


def test_a_mistyped_kind_is_told(fails):
    assert "did you mean 'image'?" in fails(2, "data", "stats", "digits", "--kind", "imgae")


def test_an_empty_folder_and_an_empty_table_are_told(fails, tmp_path):
    (tmp_path / "none").mkdir()
    assert "holds no images" in fails(3, "data", "check", tmp_path / "none")
    (tmp_path / "none.csv").touch()
    assert "is empty" in fails(3, "data", "check", tmp_path / "none.csv")


# --- stats and show -----------------------------------------------------------------------------


def test_statistics_are_those_of_the_pixels(dlcli, tmp_path):
    for name, level in (("dark", 51), ("light", 204)):
        (tmp_path / "x" / name).mkdir(parents=True)
        for i in range(10):
            Image.new("RGB", (4, 4), (level, 0, 255)).save(tmp_path / "x" / name / f"{i}.png")
    found = dlcli("data", "stats", tmp_path / "x", "--json").json
    assert found["counts"]["train"] == {"dark": 8, "light": 8}
    np.testing.assert_allclose(found["figures"]["train"]["mean"], [0.5, 0, 1], atol=1e-9)
    np.testing.assert_allclose(found["figures"]["train"]["std"], [0.3, 0, 0], atol=1e-9)
    assert "0.5000 0.0000 1.0000" in dlcli("data", "stats", tmp_path / "x").out


def test_statistics_of_texts_are_their_words(dlcli, tmp_path):
    rows = [f"{'word ' * (1 + i % 3)},{'a' if i % 2 else 'b'}" for i in range(30)]
    (tmp_path / "t.csv").write_text("text,label\n" + "\n".join(rows) + "\n")
    figures = dlcli("data", "stats", tmp_path / "t.csv", "--json").json["figures"]["train"]
    assert (figures["words"]["min"], figures["words"]["max"]) == (1, 3)
    assert figures["different_words"] == 1
    assert dlcli("data", "show", tmp_path / "t.csv", "-n", "2").out.count("word") >= 2


def test_a_grid_shows_the_classes_in_turn_and_is_never_overwritten(dlcli, fails, tmp_path):
    out = tmp_path / "new folder" / "grid.png"
    made = dlcli("data", "show", "digits", "-n", "12", "-o", out, "--json").json
    assert [one["label"] for one in made["samples"]] == [*"0123456789", "0", "1"]
    with Image.open(out) as grid:
        assert grid.format == "PNG"
        assert min(grid.size) >= 3 * 64
        assert grid.convert("L").getextrema() == (0, 255)
    before = out.read_bytes()
    assert "exists" in fails(2, "data", "show", "digits", "-o", out)
    assert out.read_bytes() == before


def test_the_same_seed_shows_the_same_samples(dlcli):
    first, again, other = (
        dlcli("data", "show", "digits", "-n", "5", "--seed", seed).out for seed in (3, 3, 4)
    )
    assert first == again != other


def test_words_cannot_be_drawn_and_a_grid_is_a_png(fails, tmp_path):
    rows = [f"word {i},{'a' if i % 2 else 'b'}" for i in range(30)]
    (tmp_path / "t.csv").write_text("text,label\n" + "\n".join(rows) + "\n")
    assert "nothing to draw" in fails(2, "data", "show", tmp_path / "t.csv", "-o", "x.png")
    assert "a grid is a PNG file" in fails(2, "data", "show", "digits", "-o", "x.jpg")
    assert not os.path.exists("x.png")


def test_a_folder_of_ones_own_is_shown_as_training_would_read_it(dlcli, pets):
    found = dlcli("data", "show", pets, "--json").json
    assert (found["shape"], found["classes"]) == ([48, 48, 3], ["cat", "dog"])
    assert sum(found["counts"].values()) == 42
    sized = dlcli("data", "show", pets, "-n", "1", "--image-size", "16", "--grayscale", "--json")
    assert sized.json["shape"] == [16, 16, 1]


# --- split --------------------------------------------------------------------------------------


def test_a_folder_is_divided_with_copies_on_one_side(dlcli, pets):
    before = files(pets)
    found = dlcli("data", "split", pets, "--out", "out", "--json").json
    assert files(pets) == before
    assert {part: sum(of.values()) for part, of in found["counts"].items()} == {
        "train": 34,
        "val": 4,
        "test": 4,
    }
    assert ["cat/00.png", "cat/copy.png"] in found["kept_together"]
    assert ["cat/01.png", "cat/large.jpg"] in found["kept_together"]
    inside = json.loads(Path("out/split.json").read_text())
    assert inside == {key: value for key, value in found.items() if key != "out"}
    checked = dlcli("data", "check", "out", "--json").json
    assert not {one["kind"] for one in checked["findings"]} & {"leak", "near-leak"}
    assert dlcli("train", "mlp", "--data", "out", "--dry-run").code == 0


def test_the_same_seed_divides_alike_and_another_does_not(dlcli, pets):
    for out, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        assert dlcli("data", "split", pets, "--out", out, "--seed", seed).code == 0
    assert files(Path("a")) == files(Path("b")) != files(Path("c"))


@pytest.mark.parametrize("way", ["--copy", "--move", "--link"])
def test_files_are_copied_moved_or_linked(dlcli, pets, tmp_path, way):
    contents = {path.parts[-2:]: path.read_bytes() for path in pets.rglob("*.*g")}
    assert dlcli("data", "split", pets, "--out", "out", way).code == 0
    there = list((tmp_path / "out").rglob("*.*g"))
    assert {path.parts[-2:]: path.read_bytes() for path in there} == contents
    assert all(path.is_symlink() for path in there) == (way == "--link")
    assert (pets / "cat").exists() == (way != "--move")


def test_a_part_with_no_share_is_not_made(dlcli, pets):
    found = dlcli("data", "split", pets, "--out", "out", "--val", "0", "--json").json
    assert list(found["counts"]) == ["train", "test"]
    assert not os.path.exists("out/val")


def test_a_dry_run_writes_nothing(dlcli, pets, tmp_path):
    before = sorted(os.listdir(tmp_path))
    result = dlcli("data", "split", pets, "--dry-run")
    assert result.code == 0
    assert "nothing was written" in result.err
    assert sorted(os.listdir(tmp_path)) == before


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["pets", "--out", "pets/inside"], 2, "lies in pets"),
        (["pets", "--out", "pets"], 2, "exists"),
        (["pets"], 2, "--out is missing"),
        (["pets", "--out", "o", "--val", "0", "--test", "0"], 2, "nothing to divide"),
        (["pets", "--out", "o", "--val", "0.6", "--test", "0.6"], 2, "too much"),
        (["pets", "--out", "o", "--val", "1.5"], 2, "--val: '1.5' is not allowed"),
        (["pets", "--out", "o", "--val", "nan"], 2, "--val: 'nan' is not allowed"),
        (["pets", "--out", "o", "--move", "--link"], 2, "cannot be used together"),
        (["pets", "--out", "o", "--sed", "1"], 2, "did you mean '--seed'?"),
        (["none", "--out", "o"], 3, "there is no such folder"),
        (["pets/cat", "--out", "o"], 3, "holds no classes"),
    ],
)
def test_what_cannot_be_divided_is_refused_before_anything_is_written(
    fails, pets, tmp_path, arguments, code, words
):
    assert words in fails(code, "data", "split", *arguments)
    assert sorted(os.listdir(tmp_path)) == ["pets"]


def test_a_folder_that_is_divided_already_is_refused(dlcli, fails, pets):
    assert dlcli("data", "split", pets, "--out", "out").code == 0
    assert "divided already" in fails(3, "data", "split", "out", "--out", "again")


@pytest.mark.parametrize("at", [0, 1, 20, 41])
@pytest.mark.parametrize("way", ["copy", "move"])
@pytest.mark.parametrize("what", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
def test_whatever_stops_it_nothing_is_left_and_nothing_is_lost(
    dlcli, pets, tmp_path, monkeypatch, at, way, what
):
    before = files(pets)
    real, done = split_folder.WAYS[way], []

    def stop(source, target):
        done.append(source)
        if len(done) > at:
            raise what
        real(source, target)

    monkeypatch.setitem(split_folder.WAYS, way, stop)
    result = dlcli("data", "split", pets, "--out", "out", f"--{way}")
    assert result.code == (9 if isinstance(what, OSError) else 130)
    assert files(pets) == before
    assert os.listdir(tmp_path) == ["pets"]


# --- export and training ------------------------------------------------------------------------


def test_a_dataset_is_exported_as_a_folder_that_can_be_trained_on(dlcli, fails, tmp_path):
    found = dlcli("data", "export", "digits", "-n", "40", "-o", "out", "--json").json
    assert found["counts"] == {"train": 40, "val": 40, "test": 40}
    assert dlcli("train", "mlp", "--data", "out", "--dry-run").code == 0
    assert "exists" in fails(2, "data", "export", "digits", "-o", "out")


SMALL = ("--epochs", "1", "--image-size", "8", "--no-plots", "--threads", "1")


def test_training_goes_on_without_what_cannot_be_read_and_says_so(dlcli, fails, pets):
    damage(pets / "cat" / "05.png")
    damage(pets / "dog" / "05.png")
    assert "2 images cannot be read" in fails(3, "train", "mlp", "--data", pets, *SMALL)
    assert not os.path.exists("runs/mlp-pets-1")
    skip = ("--on-bad-sample", "skip", "--out", "runs/skip")
    result = dlcli("train", "mlp", "--data", pets, *SMALL, *skip)
    assert result.code == 0, result.err
    assert "2 files that cannot be read are left out" in result.err
    listed = json.loads(Path("runs/skip/left_out.json").read_text())
    assert listed["count"] == 2
    assert [one["path"][-10:] for one in listed["samples"]] == ["cat/05.png", "dog/05.png"]
    assert not os.path.exists("runs/skip/quarantine")
    for again in (("eval", "runs/skip", "--no-plots"), ("train", "--resume", "runs/skip")):
        more = ("--epochs", "2", "--no-plots") if again[0] == "train" else ()
        result = dlcli(*again, *more)
        assert result.code == 0, result.err
        assert "2 files that cannot be read are left out" in result.err


def test_a_quarantine_holds_copies_and_moves_nothing(dlcli, pets):
    damage(pets / "cat" / "05.png")
    content = (pets / "cat" / "05.png").read_bytes()
    quarantine = ("--on-bad-sample", "quarantine", "--out", "run")
    assert dlcli("train", "mlp", "--data", pets, *SMALL, *quarantine).code == 0
    assert Path("run/quarantine/cat/05.png").read_bytes() == content
    assert (pets / "cat" / "05.png").read_bytes() == content


def test_a_mistyped_policy_and_one_that_does_not_apply_are_told(dlcli, fails, pets):
    said = fails(2, "train", "mlp", "--data", pets, "--on-bad-sample", "skp")
    assert "did you mean 'skip'?" in said
    assert dlcli("train", "mlp", "--on-bad-sample", "error", "--dry-run").code == 0
    pairs = ("train", "pix2pix", "--data", pets, "--on-bad-sample", "skip")
    assert "on_bad_sample does not apply" in fails(2, *pairs)


def test_every_command_of_the_group_is_listed(dlcli):
    shown = dlcli("data", "--help").out
    assert {"check", "export", "list", "show", "split", "stats"} <= set(commands("data"))
    assert all(f"\n  {name}" in shown for name in commands("data"))
