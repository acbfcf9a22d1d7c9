"""Rare classes that count: weights in the loss, the figures that tell, what chooses the best."""

from types import SimpleNamespace

import numpy as np
import pytest
from sklearn import metrics as sk
from sklearn.utils.class_weight import compute_class_weight

from dlcli.engine.forward import Forward
from dlcli.errors import UsageError
from dlcli.models import mlp
from dlcli.train import metrics, prepare
from dlcli.train import task as tasks
from dlcli.train.evaluate import evaluate, predict_proba
from dlcli.train.metrics import Sums
from dlcli.train.recipe import Recipe
from tests.train import small

LABELS = np.array([0] * 12 + [1] * 3 + [2])


@pytest.fixture
def model():
    return mlp.build(mlp.Config(hidden=(4,)), (2,), 3, seed=0)


@pytest.fixture
def batch():
    x = np.random.default_rng(0).standard_normal((16, 2)).astype(np.float32)
    return SimpleNamespace(x=x, y=LABELS)


def dataset(classes):
    labels = SimpleNamespace(labels=LABELS)
    return SimpleNamespace(splits={"train": labels}, classes=list(classes))


def test_balanced_weights_are_scikit_learns_and_sqrt_their_roots():
    want = compute_class_weight("balanced", classes=np.arange(3), y=LABELS)
    found = prepare.class_weight(dataset("abc"), "balanced")
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, want, rtol=1e-6)
    np.testing.assert_allclose(prepare.class_weight(dataset("abc"), "sqrt"), want**0.5, rtol=1e-6)


def test_a_class_without_samples_weighs_nothing_and_changes_no_other():
    found = prepare.class_weight(dataset("abcd"), "balanced")
    assert found[3] == 0
    assert found[:3].tolist() == prepare.class_weight(dataset("abc"), "balanced").tolist()


def test_the_loss_is_weighed_in_training_alone(model, batch):
    (phase,) = model.phases()
    weight = prepare.class_weight(dataset("abc"), "balanced")
    plain = phase.loss(batch)[0].item()
    model.class_weight = weight
    loss, outputs = phase.loss(batch)
    each = metrics.cross_entropy(outputs["logits"].numpy(), LABELS)
    shares = weight[LABELS].astype(np.float64)
    assert loss.item() == pytest.approx((each * shares).sum() / shares.sum(), rel=1e-5)
    assert loss.item() != pytest.approx(plain, rel=1e-3)
    model.eval()
    assert phase.loss(batch)[0].item() == pytest.approx(each.mean(), rel=1e-5)


def test_sums_of_classes_come_to_the_macro_f1_of_all_batches(model, batch):
    model.eval()
    (phase,) = model.phases()
    total, said = Sums(), []
    for rows in (slice(0, 5), slice(5, 16)):
        part = SimpleNamespace(x=batch.x[rows], y=batch.y[rows])
        outputs = phase.loss(part)[1]
        total.add(model.measure(outputs, part), len(part.y))
        said.append(outputs["logits"].numpy().argmax(1))
    want = sk.f1_score(LABELS, np.concatenate(said), average="macro", zero_division=0)
    assert total.means("val_")["val_macro_f1"] == pytest.approx(want)
    assert set(total.means()) == {"accuracy", "macro_f1"}


def test_training_sums_no_classes(model, batch):
    outputs = model.phases()[0].loss(batch)[1]
    assert set(model.measure(outputs, batch)) == {"correct"}


class Rows:
    """Samples that are numbers already, with labels."""

    lengths = None

    def __init__(self, labels):
        self.labels = np.array(labels)
        self.x = np.random.default_rng(1).standard_normal((len(labels), 2)).astype(np.float32)

    def __len__(self):
        return len(self.labels)

    def samples(self, rows):
        return self.x[rows]

    def id(self, i):
        return f"row {i}"


def test_the_rarest_class_of_two_has_its_f1_and_the_area_under_its_curve():
    two = mlp.build(mlp.Config(hidden=(4,)), (2,), 2, seed=0)
    rows = Rows([1] * 30 + [0] * 5)
    found = evaluate(two, rows, lambda x: x, classes=["rare", "usual"], batch_size=8)
    scores = predict_proba(Forward(two), rows.x, lambda x: x)[:, 0]
    want = sk.average_precision_score(rows.labels == 0, scores)
    assert found.figures["pr_auc"] == pytest.approx(want)
    assert found.rarest == 0
    assert found.figures["rare_f1"] == found.per_class["f1"][0]
    assert found.figures["pr_auc"] == found.to_json()["rarest"]["pr_auc"]
    assert "rarest    rare, 14.3% of the rows: F1" in found.shown("rows")[0]


def test_more_classes_have_no_such_curve_and_equal_ones_no_line(model):
    found = evaluate(model, Rows(LABELS), lambda x: x, classes=list("abc"))
    assert "pr_auc" not in found.figures
    assert found.to_json()["rarest"] == {
        "class": "c",
        "f1": found.figures["rare_f1"],
        "pr_auc": None,
    }
    even = evaluate(model, Rows([0, 1, 2] * 4), lambda x: x, classes=list("abc"))
    assert "rarest" not in even.shown("rows")[0]


def test_the_best_is_chosen_by_a_figure_in_which_rare_classes_count():
    task = tasks.of(small.dataset().kind)
    assert prepare.monitor(task, {}) == "val_accuracy"
    assert prepare.monitor(task, {"class_weight": "none", "sampling": "none"}) == "val_accuracy"
    assert prepare.monitor(task, {"class_weight": "sqrt"}) == "val_macro_f1"
    assert prepare.monitor(task, {"sampling": "over"}) == "val_macro_f1"
    assert "val_macro_f1" in tasks.names(task)
    assert "macro_f1" not in tasks.names(task)


def test_a_recipe_balances_in_one_way_at_most():
    assert Recipe(class_weight="sqrt").to_dict()["class_weight"] == "sqrt"
    with pytest.raises(UsageError, match="class_weight = 'balance'") as raised:
        Recipe(class_weight="balance")
    assert raised.value.why == "did you mean 'balanced'?"
    with pytest.raises(UsageError, match="sampling = 3"):
        Recipe(sampling=3)
    with pytest.raises(UsageError, match="class_weight = 'balanced' and sampling = 'over'"):
        Recipe(class_weight="balanced", sampling="over")


def test_a_validation_without_the_figure_to_go_by_is_refused():
    recipe = Recipe(sampling="over", monitor="val_macro_f1")
    prepare.check_validated(recipe, {"val_macro_f1": 0.5})
    with pytest.raises(UsageError, match="no figure 'val_macro_f1'"):
        prepare.check_validated(recipe, {"val_loss": 0.5})
