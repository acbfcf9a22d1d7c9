"""The pictures of a classifier: drawn by default, whole, and fit for 2, 10 and 100 classes."""

import json
from contextlib import contextmanager
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from dlcli.cli import plot
from dlcli.train.evaluate import Mistake
from dlcli.train.metrics import confusion_matrix
from dlcli.train.scores import Scores

DRAWN = ["curves", "confusion", "roc", "calibration", "mistakes"]


def drawn(path):
    with Image.open(path) as image:
        return np.array(image.convert("L"))


def labels_of(figure):
    """Where the visible words of a figure's axes stand: (x0, y0, x1, y1) by axis."""
    for panel in figure.axes:
        for axis in (panel.xaxis, panel.yaxis):
            ticks = [t for t in axis.get_ticklabels() if t.get_text()]
            yield [tick.get_window_extent().extents for tick in ticks]


@pytest.mark.parametrize("classes", [2, 10, 100])
def test_no_two_class_names_of_a_confusion_matrix_overlap(classes, tmp_path, monkeypatch):
    figures = []
    original = plot.figure_at

    @contextmanager
    def kept(path, inches):
        with original(path, inches) as figure:
            figures.append(figure)
            yield figure

    monkeypatch.setattr(plot, "figure_at", kept)
    names = [f"a class with a long name, number {n}" for n in range(classes)]
    matrix = np.random.default_rng(0).integers(0, 50, (classes, classes))
    plot.confusion(matrix, names, tmp_path / "c.png", "a title $x$")
    height, width = drawn(tmp_path / "c.png").shape
    assert max(height, width) <= 1_000  # so that letters can be read at 800 pixels
    for boxes in labels_of(figures[0]):
        for (x0, y0, x1, y1), (u0, v0, u1, v1) in pairwise(boxes):
            assert x1 <= u0 or u1 <= x0 or y1 <= v0 or v1 <= y0


@pytest.mark.parametrize("classes", [1, 100])
def test_scores_of_any_number_of_classes_are_drawn(classes, tmp_path):
    rng = np.random.default_rng(1)
    labels = rng.integers(0, classes, 150)
    shares = rng.dirichlet(np.ones(classes), 150).astype(np.float32)
    scores = Scores(shares, labels)
    names = [f"$class_{{{n}}}$" for n in range(classes)]
    plot.roc(scores, names, tmp_path / "roc.png", "title")
    plot.calibration(scores.calibration, tmp_path / "calibration.png", "title")
    plot.confusion(
        confusion_matrix(labels, scores.predicted, classes), names, tmp_path / "c.png", "title"
    )
    for path in tmp_path.glob("*.png"):
        assert 400 < drawn(path).shape[1] <= 1_000
        assert drawn(path).std() > 5
        assert drawn(path)[0, 0] == 255  # a light background


@pytest.mark.parametrize("shape", [(8, 8, 1), (10, 30, 3), (1, 1, 3)])
@pytest.mark.parametrize("count", [1, 7])
def test_mistakes_of_any_shape_and_number_are_drawn(shape, count, tmp_path):
    pictures = [np.full(shape, 90, np.uint8)] * count
    found = [Mistake(f"test/{n}", n, "a\nb", "x" * 80, 1.0) for n in range(count)]
    plot.mistakes(pictures, found, tmp_path / "m.png", "title")
    seen = drawn(tmp_path / "m.png").astype(int)
    assert (abs(seen - 90) <= 1).sum() > 1_000  # no pixel is blended with its neighbours


def test_training_draws_all_pictures_and_keeps_the_figures(dlcli, trained, tmp_path):
    names = {path.stem for path in (trained / "plots").glob("*.png")}
    assert set(DRAWN) <= names
    kept = json.loads((trained / "evaluations" / "test.json").read_text())
    again = dlcli("eval", trained, "--no-plots", "--json").json
    assert {key: again[key] for key in kept} == kept
    assert 0.9 < kept["scores"]["macro_auc"] <= 1
    assert 0 < kept["scores"]["ece"] < 0.5
    first = kept["mistakes"][0]
    assert first["true"] != first["predicted"]
    assert first["sample"] == f"test/{first['index']}"
    sure = [mistake["probability"] for mistake in kept["mistakes"]]
    assert sure == sorted(sure, reverse=True)


def test_without_plots_nothing_is_drawn(dlcli, a_copy, tmp_path):
    run = tmp_path / "bare"
    call = ("train", "cnn-small", "--max-steps", "2", "--no-plots", "--out", run, "--json")
    assert dlcli(*call).json["plots"] == []
    assert not (run / "plots").exists()
    assert dlcli("eval", run, "--split", "val", "--no-plots", "--json").json["plots"] == []
    assert sorted(path.name for path in (run / "evaluations").iterdir()) == ["test.json"]


def test_another_part_has_pictures_of_its_own(dlcli, a_copy):
    found = dlcli("eval", a_copy, "--split", "val", "--json").json
    assert found["plot"] == found["plots"][0]
    assert [path.rpartition("/")[2] for path in found["plots"]] == [
        f"{name}-val.png" for name in DRAWN[1:]
    ]
    assert (a_copy / "evaluations" / "val.json").exists()


def test_probabilities_can_be_gated(dlcli, fails, trained):
    gates = ("--fail-under", "macro_auc=0.9", "--fail-over", "ece=0.9", "--fail-under")
    assert dlcli("eval", trained, "--no-plots", *gates, "macro_ap=0.5").code == 0
    assert dlcli("eval", trained, "--no-plots", "--fail-over", "ece=0.000001").code == 8
    assert "did you mean 'macro_auc'" in fails(2, "eval", trained, "--fail-under", "macro_aux=1")


def test_event_files_are_written_where_they_are_asked_for(dlcli, fails, tmp_path):
    run = tmp_path / "run"
    call = ("train", "cnn-small", "--max-steps", "3", "--no-plots", "--out", run)
    assert dlcli(*call, "--log", "tensorboard").code == 0
    (file,) = (run / "tensorboard").iterdir()
    assert b"loss/step" in file.read_bytes()
    more = ("--resume", run, "--max-steps", "5", "--no-plots", "--log", "tensorboard")
    assert dlcli("train", *more).code == 0
    assert len(list((run / "tensorboard").iterdir())) == 2
    assert "did you mean 'tensorboard'" in fails(2, *call, "--log", "tensorbord")
