"""`dlcli explain`: a picture for each image, what it says of it, and what is refused."""

import io
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

METHODS = ("saliency", "grad_cam", "occlusion")


@pytest.fixture(scope="module")
def without_convolution(tmp_path_factory):
    from .conftest import call

    run = tmp_path_factory.mktemp("runs") / "mlp"
    assert call("train", "mlp", "--max-steps", "3", "--no-plots", "--out", run).code == 0
    return run


def pixels(path):
    with Image.open(path) as image:
        return np.array(image.convert("RGB"))


def test_an_image_is_explained_by_a_picture_and_by_its_scores(dlcli, trained, digit, tmp_path):
    image, label = digit
    result = dlcli("explain", trained, image, "-o", tmp_path / "why", "--json")
    assert result.code == 0, result.err
    (found,) = result.json["explanations"]
    assert found["class"] == found["predicted"] == found["top"][0]["class"] == label
    assert found["probability"] == found["top"][0]["probability"] > 0.5
    assert [found["methods"][name]["size"] for name in METHODS] == [[8, 8], [3, 3], [8, 8]]
    assert found["methods"]["occlusion"]["most"] <= found["probability"]
    drawn = pixels(found["picture"])
    assert drawn.shape[1] > 2 * drawn.shape[0]
    assert len(np.unique(drawn.reshape(-1, 3), axis=0)) > 200  # it is not blank
    assert found["picture"] == str(tmp_path / "why" / "digit.png")


def test_a_class_that_it_does_not_say_can_be_asked_for(dlcli, trained, digit, tmp_path):
    image, label = digit
    other = "1" if label != "1" else "2"
    call = ("explain", trained, image, "-o", tmp_path / "why", "--json")
    asked, plain = (dlcli(*call, *more).json for more in (("--class", other), ()))
    found, usual = asked["explanations"][0], plain["explanations"][0]
    assert (found["class"], found["predicted"]) == (other, label)
    assert found["probability"] < usual["probability"]
    assert found["top"] == usual["top"]
    assert found["methods"] != usual["methods"]


def test_nothing_is_overwritten_and_the_run_is_where_pictures_go(dlcli, a_copy, digit):
    for _ in range(2):
        assert dlcli("explain", a_copy, digit[0]).code == 0
    names = sorted(path.name for path in (a_copy / "explanations").iterdir())
    assert names == ["digit-2.png", "digit.png"]
    page = dlcli("report", a_copy, "--json").json
    assert "explanations/digit-2.png" in page["pictures"]


def test_a_model_without_a_convolution_says_so_and_draws_the_other_two(
    dlcli, without_convolution, digit
):
    result = dlcli("explain", without_convolution, digit[0], "--json")
    assert result.code == 0
    assert "Grad-CAM: it needs a convolution, and mlp has none" in result.err
    methods = result.json["explanations"][0]["methods"]
    assert methods["grad_cam"] is None
    assert methods["saliency"]["most"] > 0
    assert methods["occlusion"]["size"] == [8, 8]


def test_an_image_that_cannot_be_read_is_an_error_in_its_place(dlcli, trained, digit, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes(digit[0].read_bytes()[:60])
    call = ("explain", trained, bad, digit[0], "-o", tmp_path / "why", "--json")
    result = dlcli(*call)
    assert result.code == 3
    assert "bad.png" in result.err
    first, second = result.json["explanations"]
    assert "error" in first
    assert second["picture"].endswith("digit.png")
    assert dlcli(*call, "--keep-going").code == 0


def test_standard_input_and_a_large_patch(dlcli, trained, digit, monkeypatch, tmp_path):
    stdin = SimpleNamespace(buffer=io.BytesIO(digit[0].read_bytes()))
    monkeypatch.setattr("sys.stdin", stdin)
    call = ("explain", trained, "-", "--patch", "99", "-o", tmp_path / "why", "--json")
    (found,) = dlcli(*call).json["explanations"]
    assert found["picture"].endswith("stdin.png")
    covered = found["methods"]["occlusion"]
    assert (covered["row"], covered["column"]) == (0, 0)  # all is covered at once: no place


def test_what_cannot_be_explained_is_refused_before_anything_is_made(
    dlcli, fails, trained, digit, tmp_path
):
    out = ("-o", tmp_path / "why")
    assert "did you mean" in fails(2, "explain", trained, digit[0], "--clas", "3", *out)
    assert "there is: 0, 1" in fails(2, "explain", trained, digit[0], "--class", "cat", *out)
    assert "at least 1" in fails(2, "explain", trained, digit[0], "--patch", "0", *out)
    assert "not a run" in fails(4, "explain", tmp_path, digit[0], *out)
    run = tmp_path / "gan"
    assert dlcli("train", "vae", "--max-steps", "1", "--no-plots", "--out", run).code == 0
    assert "cannot be explained" in fails(2, "explain", run, digit[0], *out)
    assert not (tmp_path / "why").exists()


def test_a_folder_that_cannot_be_made_is_an_output_error(fails, trained, digit, tmp_path):
    (tmp_path / "file").write_text("")
    assert "cannot be written" in fails(9, "explain", trained, digit[0], "-o", tmp_path / "file")
