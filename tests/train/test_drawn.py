"""What `dlcli eval` says of a model that draws: new images beside real ones, and a judge's view."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from dlcli.data.codes import codes
from dlcli.data.dataset import ArraySplit
from dlcli.data.image_kind import KIND as IMAGES
from dlcli.data.picture_kind import KIND
from dlcli.data.pixels import to_pixels
from dlcli.engine.tensor import Tensor, on_device
from dlcli.errors import DataError, NonFiniteError, UsageError
from dlcli.models.cnn import Config as CnnConfig
from dlcli.models.cnn import build as cnn
from dlcli.train import drawn, likeness
from dlcli.train.drawing import TASK
from dlcli.train.judge import Judge
from dlcli.train.task import Trained, gated, measured_by
from tests.train import small

SHAPE = (4, 4, 1)


class Stamps:
    """Draws one of its pictures by the sign of a code's first number, or that of a class."""

    dims, training, plan = 2, True, False

    def __init__(self, pictures, classes=0):
        self.pictures, self.classes = np.asarray(pictures), classes

    def paint(self, noise, labels):
        which = labels if self.classes else (noise[:, 0] > 0).astype(int)
        return (self.pictures[which] / 127.5 - 1).astype(np.float32)

    def phases(self):
        return [SimpleNamespace(name="only", parameters={}, loss=self.loss)]

    def loss(self, batch):
        return on_device(np.float32(batch.x.mean())), {}

    def measure(self, outputs, batch):
        return {}

    def named_buffers(self):
        return {}

    def train(self, mode=True):
        self.training = mode

    def eval(self):
        self.train(False)


class Strict:
    """A judge that tells images by the brightest half; its features are those brightnesses."""

    training = False

    def look(self, x: Tensor):
        mean = x.numpy().mean(axis=(1, 3))
        found = np.stack([mean[:, :2].mean(1), mean[:, 2:].mean(1), np.full(len(x.data), 0.2)], 1)
        return on_device(found), on_device(100 * found)

    train = eval = lambda self, mode=True: None


def data():
    """Clear images of the classes left, right and none."""
    rng, splits = np.random.default_rng(0), {}
    for name, n in (("train", 90), ("val", 20), ("test", 30)):
        labels = np.arange(n) % 3
        pixels = rng.integers(0, 40, (n, *SHAPE))
        pixels[labels == 0, :, :2] += 200
        pixels[labels == 1, :, 2:] += 200
        splits[name] = ArraySplit(name, pixels.astype(np.uint8), labels)
    return replace(small.dataset(), splits=splits, kind=KIND)


def shares(pixels):
    """Of white, 0 … 1: how the judge has images."""
    return (pixels / 255).astype(np.float32)


def trained(model, kind=KIND, name="stamps", shape=SHAPE, classes=small.CLASSES):
    encode = (
        KIND.fit(SimpleNamespace(shape=shape))
        if kind is KIND
        else lambda x: (x / 255).astype(np.float32)
    )
    run = SimpleNamespace(path="runs/that")
    return Trained(run, model, encode, kind, shape, classes, {"name": name})


def judge(**changes):
    return trained(Strict(), IMAGES, "strict", **changes)


def evaluate(model, part="test", dataset=None, **options):
    asked = {"samples": 60, "judge": None, **options}
    found = trained(model)
    return TASK.evaluate(found, dataset or data(), part, batch_size=7, options=asked)


def test_a_model_that_copies_training_images_lies_at_0_from_them():
    train = data().splits["train"]
    found = evaluate(Stamps(train.pixels[:2]))
    assert found.figures["nearest"] == found.figures["novelty"] == 0
    assert found.real["nearest"] > 0.01
    other = evaluate(Stamps(255 - train.pixels[:2]))
    assert other.figures["novelty"] > 1


def test_a_model_that_makes_one_image_has_no_diversity():
    train = data().splits["train"].pixels
    assert evaluate(Stamps(train[[0, 0]])).figures["diversity"] == pytest.approx(0, abs=1e-3)
    assert 0.3 < evaluate(Stamps(train[[0, 1]])).figures["diversity"] < 1.5


def test_the_judge_counts_what_it_sees_and_is_asked_by_class():
    train = data().splits["train"].pixels
    found = evaluate(Stamps(train[:3], classes=3), judge=judge())
    assert found.figures["confident"] == 1
    assert found.figures["as_asked"] == found.real["as_asked"] == 1
    assert found.figures["rarest_class"] == pytest.approx(1 / 3)
    assert found.to_json()["classes"] == pytest.approx(dict.fromkeys(small.CLASSES, 1 / 3))
    swapped = evaluate(Stamps(train[[1, 0, 2]], classes=3), judge=judge())
    assert swapped.figures["as_asked"] == pytest.approx(1 / 3)
    one = evaluate(Stamps(train[[0, 0]]), judge=judge())
    assert one.figures["rarest_class"] == 0
    assert "as_asked" not in one.figures
    assert one.figures["cnn_frechet"] > 5 * one.real["cnn_frechet"]
    assert (one.figures["recall"], one.real["recall"] > 0.5) == (0, True)


def test_the_judges_figures_are_of_its_features_of_pixels():
    """Through uint8 and the judge's own encoder, not in the range that the model draws in."""
    model, told = Stamps(data().splits["train"].pixels[:2]), data().splits["test"]
    found = evaluate(model, judge=judge())
    made = to_pixels(model.paint(codes(0, range(60), 2), None))
    features = [Strict().look(on_device(shares(x)))[0].numpy() for x in (told.pixels, made)]
    assert found.figures["cnn_frechet"] == pytest.approx(likeness.frechet(*features), rel=1e-6)
    expected = likeness.precision_recall(*features)
    assert (found.figures["precision"], found.figures["recall"]) == expected


def test_figures_do_not_depend_on_the_batch_size():
    model = Stamps(data().splits["train"].pixels[:2])
    asked = {"samples": 50, "judge": judge()}
    found = [
        TASK.evaluate(trained(model), data(), "test", batch_size=n, options=asked) for n in (3, 64)
    ]
    for name, value in found[0].figures.items():
        assert found[1].figures[name] == pytest.approx(value, rel=1e-6), name


def test_real_training_images_are_not_compared_with_themselves():
    found = evaluate(Stamps(data().splits["train"].pixels[:2]), part="train")
    assert "novelty" not in found.figures
    assert "nearest" not in found.real


def test_everything_is_shown_and_the_pictures_are_drawn(tmp_path):
    found = evaluate(Stamps(data().splits["train"].pixels[:3], classes=3), judge=judge())
    means, _, table, *notes = found.shown("images")
    assert [row[0] for row in means.rows] == ["loss"]
    assert [row[0] for row in table.rows] == list(drawn.ROWS)
    assert any("nearest among 90 training images" in line for line in notes)
    assert any("no FID" in line for line in notes)
    assert not any("rough" in line for line in notes)
    few = evaluate(Stamps(data().splits["train"].pixels[:2]), judge=judge(), samples=3)
    assert few.notes[-1] == "cnn_frechet is rough: 3 images, 3 features"
    paths = found.draw(None, tmp_path, ["val"], "")
    assert [path.name for path in paths] == ["samples-val.png", "nearest-val.png"]
    assert all(path.read_bytes()[:4] == b"\x89PNG" for path in paths)


def test_at_the_end_of_training_only_losses_are_measured():
    found = TASK.evaluate(trained(Stamps(np.zeros((2, *SHAPE)))), data(), "test", batch_size=9)
    assert list(found.figures) == ["loss"]
    assert len(found.shown("images")) == 1


def test_images_that_are_no_numbers_are_an_error():
    broken = Stamps(np.full((2, *SHAPE), np.nan))
    with pytest.raises(NonFiniteError), np.errstate(invalid="ignore"):
        evaluate(broken)


def test_a_part_with_fewer_than_two_images_is_refused():
    found = data()
    test = found.splits["test"]
    found.splits["test"] = ArraySplit("test", test.pixels[:1], test.labels[:1])
    with pytest.raises(DataError, match="nothing to evaluate"):
        evaluate(Stamps(np.zeros((2, *SHAPE))), dataset=found)


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (judge(shape=(8, 8, 1)), "8×8×1, and the model draws 4×4×1"),
        (judge(classes=["a", "b", "c"]), "its classes are others"),
        (trained(Stamps([])), "does not tell images apart"),
    ],
)
def test_a_judge_of_other_images_is_refused(other, why):
    with pytest.raises(UsageError, match="cannot judge") as caught:
        evaluate(Stamps(np.zeros((2, *SHAPE))), judge=other)
    assert why in caught.value.why


def test_a_figure_that_needs_a_judge_is_refused_without_one():
    gated({"confident": 0.9}, TASK.least, "--fail-under")
    with pytest.raises(UsageError) as caught:
        measured_by(TASK, {"judge": None}, ["diversity", "confident"])
    assert "--judge" in caught.value.why
    with_one = measured_by(TASK, {"judge": "x", "samples": 9}, ["confident"])
    assert with_one == {"options": {"samples": 9, "judge": "x"}}


def test_a_task_without_such_options_takes_none():
    classify = SimpleNamespace()
    assert measured_by(classify, {"judge": None, "samples": None}, ["accuracy"]) == {}
    with pytest.raises(UsageError, match="--judge does not apply"):
        measured_by(classify, {"judge": "x"}, [])


def test_a_classifier_shows_the_features_before_its_last_layer():
    model = cnn(CnnConfig(channels=(2, 2, 2), dense=5, dropout=0.5), (8, 8, 1), 3).eval()
    x = on_device(np.random.default_rng(0).standard_normal((4, 8, 8, 1)).astype(np.float32))
    features, logits = model.look(x)
    assert features.shape == (4, 5)
    np.testing.assert_array_equal(logits.numpy(), model(x).numpy())
    opinion = Judge(trained(model, IMAGES, "cnn")).of(np.zeros((3, 8, 8, 1), np.uint8), 2)
    assert opinion.shares.sum(axis=1) == pytest.approx(1)
    assert opinion.features.shape == (3, 5)
