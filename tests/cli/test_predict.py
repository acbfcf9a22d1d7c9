"""`dlcli predict`: a line of JSON for each input, whatever the input is."""

import errno
import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image


def test_an_image_gives_its_class_and_the_most_probable_ones(dlcli, trained, digit):
    result = dlcli("predict", trained, digit[0])
    assert result.code == 0, result.err
    (line,) = result.lines
    assert line["input"] == str(digit[0])
    assert line["class"] == digit[1] == line["top"][0]["class"]
    shares = [entry["probability"] for entry in line["top"]]
    assert len(shares) == 3
    assert line["probability"] == shares[0]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) <= 1 + 1e-9


def test_top_k_is_at_most_the_number_of_classes(dlcli, trained, digit):
    for k, count in ((1, 1), (10, 10), (99, 10)):
        (line,) = dlcli("predict", trained, digit[0], "--top-k", k).lines
        assert len(line["top"]) == count


def test_standard_input_is_one_image(dlcli, trained, digit, monkeypatch):
    stdin = SimpleNamespace(buffer=io.BytesIO(digit[0].read_bytes()))
    monkeypatch.setattr(sys, "stdin", stdin)
    (line,) = dlcli("predict", trained, "-").lines
    assert (line["input"], line["class"]) == ("-", digit[1])


def test_standard_input_that_is_no_image_is_said_as_of_a_file(dlcli, trained, monkeypatch):
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"")))
    result = dlcli("predict", trained, "-")
    assert result.code == 3
    assert result.lines == [{"input": "-", "error": "is empty"}]


def test_a_folder_is_searched_with_all_below_it_in_the_order_of_names(dlcli, trained, digit):
    for name in ("b/2.png", "b/10.png", "a.PNG", "中 文\n.png", "notes.txt", "b/.x/c.jpeg"):
        path = Path("images", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(digit[0].read_bytes())
    result = dlcli("predict", trained, "images")
    names = [line["input"].removeprefix("images/") for line in result.lines]
    assert names == ["a.PNG", "中 文\n.png", "b/10.png", "b/2.png", "b/.x/c.jpeg"]


def test_a_bad_input_is_an_error_in_its_place_and_the_others_go_on(dlcli, trained, digit):
    Path("broken.png").write_bytes(digit[0].read_bytes()[:60])
    Path("text.png").write_text("not an image")
    Path("empty").mkdir()
    inputs = [digit[0], "broken.png", "absent.png", "text.png", "empty", digit[0]]
    result = dlcli("predict", trained, *inputs)
    assert result.code == 3
    lines = result.lines
    assert [line["input"] for line in lines] == [str(name) for name in inputs]
    assert ["error" in line for line in lines] == [False, True, True, True, True, False]
    assert "4 of 6" in result.err
    assert dlcli("predict", trained, *inputs, "--keep-going").code == 0


def test_images_of_any_size_and_kind_become_the_model_s(dlcli, trained):
    for mode in ("RGB", "RGBA", "L", "1", "P", "CMYK"):
        Image.new(mode, (37, 11)).save(f"{mode}.{'tif' if mode == 'CMYK' else 'png'}")
    result = dlcli("predict", trained, ".")
    assert result.code == 0, result.out
    assert len(result.lines) == 6


def test_more_images_than_a_batch_come_in_their_order(dlcli, trained, digit, monkeypatch):
    from dlcli.data import file_inputs

    monkeypatch.setattr(file_inputs, "BATCH", 3)
    inputs = [digit[0], "absent.png"] * 4
    lines = dlcli("predict", trained, *inputs).lines
    assert [line["input"] for line in lines] == [str(name) for name in inputs]


def test_a_batch_gives_the_same_as_one_by_one(dlcli, trained, digit):
    Image.new("L", (8, 8), 99).save("grey.png")
    together = dlcli("predict", trained, digit[0], "grey.png").lines
    apart = [dlcli("predict", trained, name).lines[0] for name in (digit[0], "grey.png")]
    for one, other in zip(together, apart, strict=True):
        assert one["class"] == other["class"]
        assert one["probability"] == pytest.approx(other["probability"], rel=1e-5)


def test_a_file_gets_its_name_when_all_is_in_it(dlcli, fails, trained, digit):
    result = dlcli("predict", trained, digit[0], "-o", "out.jsonl")
    assert (result.code, result.out) == (0, "")
    assert json.loads(Path("out.jsonl").read_text())["class"] == digit[1]
    assert "exists" in fails(2, "predict", trained, digit[0], "-o", "out.jsonl")
    assert "absent" in fails(9, "predict", trained, digit[0], "-o", "absent/out.jsonl")


def test_a_file_in_a_folder_that_cannot_be_written_is_an_output_error_that_names_it(
    dlcli, trained, digit, monkeypatch
):
    def read_only(self, *args, **options):
        raise OSError(errno.EROFS, "Read-only file system", str(self))

    monkeypatch.setattr(Path, "unlink", read_only)
    result = dlcli("predict", trained, digit[0], "-o", "absent/out.jsonl")
    assert result.code == 9
    assert "absent/out.jsonl: cannot be written" in result.err


def test_a_failure_in_the_middle_leaves_no_file(dlcli, trained, digit, monkeypatch):
    from dlcli.train import evaluate

    def fail(*arguments):
        raise MemoryError

    monkeypatch.setattr(evaluate, "predict_proba", fail)
    before = sorted(Path().iterdir())
    assert dlcli("predict", trained, digit[0], "-o", "out.jsonl").code == 6
    assert sorted(Path().iterdir()) == before


def test_what_is_no_run_or_damaged_is_a_checkpoint_error(fails, a_copy, digit, tmp_path):
    assert "not a run" in fails(4, "predict", tmp_path, digit[0])
    path = a_copy / "checkpoints" / "best" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    fails(4, "predict", a_copy, digit[0])


def test_without_plans_every_answer_is_the_same(dlcli, trained, plans, tmp_path):
    dlcli("data", "export", "digits", "--split", "test", "-o", tmp_path / "many")
    plain = dlcli("predict", trained, tmp_path / "many", "--no-plan")
    assert not plans
    assert len(plain.lines) == 359
    assert len({line["probability"] for line in plain.lines}) > 100
    assert dlcli("predict", trained, tmp_path / "many").out == plain.out
    assert len(plans) == 1  # of five batches of 64 two are taken as they come, two written down
