"""`rnn`, `lstm` and `gru` read an image row by row: what their settings make, and that they learn
what only a network with a memory can.
"""

from types import SimpleNamespace

import numpy as np
import pytest

from dlcli import optim
from dlcli.engine.tape import backward, no_grad
from dlcli.engine.tensor import Tensor
from dlcli.errors import UsageError
from dlcli.models import catalog

NAMES = ["gru", "lstm", "rnn"]
GATES = {"gru": 3, "lstm": 4, "rnn": 1}


def build(name, shape=(6, 4, 1), classes=3, seed=0, **settings):
    module = catalog.load(name)
    return module.build(module.Config(**settings), shape, classes, seed=seed)


@pytest.mark.parametrize("name", NAMES)
def test_an_image_is_as_many_steps_as_it_has_rows_of_all_its_channels(name):
    model = build(name, (28, 20, 3), 10)
    rows = catalog.summary(model, (28, 20, 3))
    assert [r.output for r in rows] == [(28, 60), (28, 128), (64,), (10,)]
    gates = GATES[name] * 128
    own = gates * (60 + 128 + 1) + (128 if name == "gru" else 0)
    assert [r.parameters for r in rows] == [0, own, 128 * 64 + 64, 650]


@pytest.mark.parametrize("name", NAMES)
def test_settings_make_the_stack_that_they_say(name):
    model = build(name, hidden=5, layers=2, bidirectional=True, dense=7, dropout=0.5)
    names = set(model.named_parameters())
    layers = ("l0", "l0_reverse", "l1", "l1_reverse")
    assert {f"1.layer.weight_hh_{k}" for k in layers} <= names
    assert model.named_parameters()["2.weight"].shape == (7, 10)
    assert len(model.named_buffers()) == 2  # between the layers, before the last one


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_the_rows_matters(name):
    x = np.random.default_rng(0).standard_normal((2, 6, 4, 1)).astype(np.float32)
    model = build(name)
    with no_grad():
        there, back = (model(Tensor(np.ascontiguousarray(a))).data for a in (x, x[:, ::-1]))
    assert not np.allclose(there, back, atol=1e-3)


def test_an_image_of_two_columns_of_pixels_is_told_by_which_mark_came_first():
    """Both classes have the same rows in another order: a sum over rows could not tell them."""
    rng = np.random.default_rng(1)
    x = np.zeros((64, 6, 2, 1), np.float32)
    y = rng.integers(0, 2, 64)
    for image, label in zip(x, y, strict=True):
        first, second = sorted(rng.choice(6, 2, replace=False))
        image[first, label], image[second, 1 - label] = 1, 1
    model = build("lstm", (6, 2, 1), 2, hidden=16, dense=8)
    (phase,) = model.phases()
    optimizer = optim.make("adam", phase.parameters)
    for _ in range(120):
        optimizer.zero_grad()
        loss, outputs = phase.loss(SimpleNamespace(x=x, y=y))
        backward(loss)
        optimizer.watch(loss)
        optimizer.step(0.02)
    assert (outputs["logits"].numpy().argmax(1) == y).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "bad", [{"hidden": 0}, {"layers": 0}, {"dense": 0}, {"dropout": 1.5}], ids=str
)
def test_settings_that_make_no_network_are_refused(name, bad):
    with pytest.raises(UsageError, match=f"{name}: "):
        build(name, **bad)


def test_an_unknown_activation_of_the_rnn_is_refused_with_a_suggestion():
    with pytest.raises(UsageError) as error:
        build("rnn", activation="rely")
    assert "did you mean 'relu'" in error.value.hint
