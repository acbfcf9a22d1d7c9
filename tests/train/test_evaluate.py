"""Evaluation and prediction with a model whose outputs are known."""

import json

import numpy as np
import pytest

from dlcli.data.dataset import ArraySplit
from dlcli.engine.forward import Forward
from dlcli.engine.tensor import Tensor
from dlcli.errors import CheckpointError, DataError
from dlcli.train.evaluate import evaluate, predict_proba

CLASSES = ["a", "b", "c"]


class Known:
    """Logits are the first three pixels; remembers how it was called."""

    def __init__(self):
        self.modes, self.sizes = [], []

    def forward(self, x):
        self.sizes.append(len(x.data))
        return Tensor(x.data.reshape(len(x.data), -1)[:, :3])

    def train(self, mode=True):
        self.modes.append("train" if mode else "eval")

    def eval(self):
        self.train(False)


def known(pixels, labels):
    pixels = np.array(pixels, np.uint8).reshape(len(labels), 1, 3, 1)
    return ArraySplit("test", pixels, np.array(labels))


def plain(x):
    return x.astype(np.float32)


def test_the_figures_are_those_worked_out_by_hand():
    split = known([[9, 0, 0], [9, 0, 0], [0, 9, 0], [5, 5, 0]], [0, 1, 1, 2])
    model, seen = Known(), []
    found = evaluate(
        model, split, plain, classes=CLASSES, batch_size=3, on_batch=lambda *a: seen.append(a)
    )
    assert found.accuracy == 0.5
    np.testing.assert_array_equal(found.confusion, [[1, 0, 0], [1, 1, 0], [1, 0, 0]])
    right = np.log(1 + 2 * np.exp(-9.0))
    tie = np.log(2 * np.exp(5.0) + 1)
    assert found.loss == pytest.approx((2 * right + right + 9 + tie) / 4, rel=1e-12)
    assert found.top_k == {1: 0.5}
    assert found.undefined == {"precision": ["c"]}
    assert found.macro["recall"] == pytest.approx((1 + 0.5 + 0) / 3)
    assert found.weighted["recall"] == pytest.approx(0.5)
    assert seen == [(3, 4), (4, 4)]
    assert model.modes == ["eval", "train"]


def test_the_json_has_loss_and_accuracy_at_its_top_and_no_nan():
    model, split = Known(), known([[9, 0, 0]], [0])
    found = evaluate(model, split, lambda x: x * np.float32("nan"), classes=CLASSES).to_json()
    text = json.dumps(found, allow_nan=False)
    assert json.loads(text)["loss"] is None
    assert found["accuracy"] == 1.0  # argmax of NaN is the first
    assert found["per_class"][0]["class"] == "a"
    assert found["confusion"] == [[1, 0, 0], [0, 0, 0], [0, 0, 0]]
    assert found["top_k"] == {"1": 1.0}


def test_data_that_does_not_fit_the_model_is_an_error():
    with pytest.raises(DataError, match="nothing to evaluate"):
        evaluate(Known(), known(np.zeros((0, 3)), []), plain, classes=CLASSES)
    with pytest.raises(DataError, match="labels"):
        evaluate(Known(), known([[1, 2, 3]], [3]), plain, classes=CLASSES)
    with pytest.raises(CheckpointError, match="does not fit"):
        evaluate(Known(), known([[1, 2, 3]], [0]), plain, classes=["a", "b"])


def test_probabilities_come_in_batches_and_sum_to_one():
    rng, model = np.random.default_rng(0), Known()
    images = rng.integers(0, 9, (7, 1, 3, 1)).astype(np.uint8)
    found = predict_proba(Forward(model), images, plain, batch_size=3)
    assert found.shape == (7, 3)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-12)
    assert model.sizes == [3, 3, 1]
    with pytest.raises(ValueError, match="no samples"):
        predict_proba(Forward(model), images[:0], plain)


def test_what_probabilities_are_worth_is_left_out_where_they_are_nan_or_too_many(monkeypatch):
    split = known([[9, 0, 0], [0, 5, 0]], [0, 0])
    found = evaluate(Known(), split, plain, classes=CLASSES)
    (mistake,) = found.mistakes
    assert (mistake.sample, mistake.true, mistake.predicted) == ("test/1", "a", "b")
    assert mistake.probability == pytest.approx(1 / (1 + 2 * np.exp(-5.0)))
    assert "ece" in found.figures
    nothing = evaluate(Known(), split, lambda x: x * np.float32("nan"), classes=CLASSES)
    monkeypatch.setattr("dlcli.train.evaluate.MOST_SHARES", 5)
    too_many = evaluate(Known(), split, plain, classes=CLASSES)
    for other in (nothing, too_many):
        assert (other.scores, other.mistakes, other.to_json()["scores"]) == (None, (), None)
        assert "ece" not in other.figures
    assert too_many.accuracy == found.accuracy
