"""The recommender: its formula, who is not known, what one user's list holds."""

from types import SimpleNamespace

import numpy as np
import pytest

from dlcli import optim
from dlcli.engine import tape
from dlcli.engine.tensor import Tensor
from dlcli.errors import UsageError
from dlcli.models import catalog

SHAPE = (6, 5)  # ids of users and of items, the unknown ones among them


def build(seed=0, **settings):
    module = catalog.load("recommend")
    model = module.build(module.Config(**{"factors": 3, **settings}), SHAPE, 0, seed=seed)
    random = np.random.default_rng(seed)
    for table in (model.user_bias, model.item_bias):
        table.weight.write(random.normal(size=table.weight.shape).astype(np.float32))
        table.weight.data[0] = 0
    return model


def pairs():
    return [side.astype(np.int64) for side in np.meshgrid(np.arange(6), np.arange(5))]


def rated(model, users, items):
    with tape.no_grad():
        return model.eval()(Tensor(users), Tensor(items)).numpy()


def test_a_rating_is_the_sum_of_biases_and_the_product_of_factors():
    model = build()
    w = {path: p.numpy() for path, p in model.named_parameters().items()}
    users, items = (side.reshape(-1) for side in pairs())
    expected = (
        w["user_bias.weight"][users, 0]
        + w["item_bias.weight"][items, 0]
        + (w["users.weight"][users] * w["items.weight"][items]).sum(axis=1)
    )
    np.testing.assert_allclose(rated(model, users, items), expected, atol=1e-6)


def test_the_scores_of_a_user_are_the_ratings_of_all_items():
    model = build()
    users, items = pairs()
    with tape.no_grad():
        scores = model.eval().scores(Tensor(np.arange(6))).numpy()
    flat = rated(model, users.reshape(-1), items.reshape(-1)).reshape(users.shape)
    np.testing.assert_allclose(scores, flat.T, atol=1e-6)


def test_who_is_not_known_has_the_bias_of_the_other_side_and_nothing_else():
    model = build()
    users, items = np.array([0, 3, 0]), np.array([2, 0, 0])
    found = rated(model, users, items)
    bias = [model.item_bias.weight.numpy()[2, 0], model.user_bias.weight.numpy()[3, 0], 0]
    np.testing.assert_allclose(found, bias, atol=1e-7)


def train(model, users, items, y, steps, lr=0.05):
    batch = SimpleNamespace(inputs=(users, items, np.tile([3.0, 2.0], (len(y), 1))), y=y)
    phase = model.phases()[0]
    optimizer = optim.make("adam", phase.parameters)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss, _ = phase.loss(batch)
        losses.append(loss.item())
        tape.backward(loss)
        optimizer.step(lr)
    return losses


def test_a_few_steps_learn_a_few_ratings():
    users, items = (side[1:, 1:].reshape(-1) for side in pairs())
    y = 3 + 2 * np.sin(users * items)
    losses = train(build(), users, items, y, 150)
    assert losses[-1] < 0.05 * losses[0]


def test_training_moves_nothing_of_who_is_not_known():
    model = build()
    users, items = (side.reshape(-1) for side in pairs())
    train(model, users, items, np.arange(30.0), 5)
    for path, parameter in model.named_parameters().items():
        assert not parameter.numpy()[0].any(), path
        assert parameter.numpy()[1:].any(axis=1).all(), path


def test_the_summary_of_the_layers_has_all_parameters():
    model = build()
    rows = catalog.summary(model, SHAPE)
    assert sum(r.parameters for r in rows) == sum(p.size for p in model.named_parameters().values())


@pytest.mark.parametrize("bad", [{"factors": 0}, {"dropout": 1.0}, {"loss": "mae"}])
def test_settings_that_make_no_model_are_usage_errors(bad):
    with pytest.raises(UsageError, match="recommend"):
        build(**bad)
