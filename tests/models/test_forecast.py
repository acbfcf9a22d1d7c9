"""The forecasting model: naive at first, its parts against PyTorch, losses in deviations."""

from types import SimpleNamespace

import numpy as np
import pytest

from dlcli import optim
from dlcli.engine import tape
from dlcli.engine.tensor import Tensor
from dlcli.errors import UsageError
from dlcli.models import catalog
from dlcli.models.parts import regressor

SHAPE = (5, 3, 2)  # window, features, horizon


def build(seed=0, shape=SHAPE, **settings):
    module = catalog.load("forecast")
    return module.build(module.Config(**{"hidden": 4, **settings}), shape, 0, seed=seed)


def batch(n=7, shape=SHAPE, seed=0, mean=50.0, std=4.0):
    random = np.random.default_rng(seed)
    x = random.normal(size=(n, *shape[:2])).astype(np.float32)
    y = mean + std * random.normal(size=(n, shape[2]))
    return SimpleNamespace(inputs=(x, np.tile([mean, std], (n, 1))), y=y)


def answers(model, x):
    with tape.no_grad():
        return model.eval()(Tensor(x)).numpy()


def test_without_its_lstm_it_begins_as_the_naive_forecast():
    model = build()
    model.head.weight.write(np.zeros(model.head.weight.shape, np.float32))
    x = batch().inputs[0]
    np.testing.assert_array_equal(answers(model, x), np.repeat(x[:, -1:, 0], 2, axis=1))


@pytest.mark.parametrize("linear", [True, False])
def test_every_parameter_has_a_gradient(linear):
    model = build(linear=linear, dropout=0.0)
    loss, _ = model.phases()[0].loss(batch())
    tape.backward(loss)
    grads = {path: p.grad.numpy() for path, p in model.named_parameters().items()}
    assert [path for path, grad in grads.items() if not grad.any()] == []
    assert ("linear.weight" in grads) is linear


@pytest.mark.parametrize("loss", ["mse", "huber"])
def test_the_loss_is_in_deviations_and_the_error_in_units(loss):
    model = build(loss=loss).eval()
    made = batch()
    found, outputs = model.phases()[0].loss(made)
    error = answers(model, made.inputs[0]) - (made.y - 50) / 4
    size = np.abs(error)
    by_hand = error**2 if loss == "mse" else np.where(size <= 1, size**2 / 2, size - 0.5)
    assert found.item() == pytest.approx(by_hand.mean(), rel=1e-5)
    squares = model.measure(outputs, made)["squares"]
    assert squares == pytest.approx(((4 * error) ** 2).mean(axis=1).sum(), rel=1e-5)


def test_large_numbers_keep_their_small_differences():
    made = batch(mean=1e9, std=1e-2)
    near = regressor.scaled(made.y, made.inputs[-1])
    np.testing.assert_allclose(near, (made.y - 1e9) / 1e-2, rtol=1e-6)
    assert len(np.unique(near)) == near.size


@pytest.mark.parametrize("n", [1, 23, 33])
def test_a_few_steps_learn_a_few_windows_in_batches_of_any_size(n):
    shape = (30, 3, 7)
    model, made = build(shape=shape, hidden=32, dropout=0.0), batch(n, shape)
    phase = model.phases()[0]
    optimizer = optim.make("adam", phase.parameters)
    losses = []
    for _ in range(25):
        optimizer.zero_grad()
        loss, _ = phase.loss(made)
        losses.append(loss.item())
        tape.backward(loss)
        optimizer.step(0.02)
    assert losses[-1] < 0.5 * losses[0]


def test_the_summary_of_the_layers_has_all_parameters():
    model = build(layers=2)
    rows = catalog.summary(model, SHAPE)
    assert sum(r.parameters for r in rows) == sum(p.size for p in model.named_parameters().values())
    assert rows[-1].output == (2,)


@pytest.mark.parametrize(
    "bad", [{"hidden": 0}, {"layers": 0}, {"dropout": 1.0}, {"dropout": -0.1}, {"loss": "mae"}]
)
def test_settings_that_make_no_network_are_usage_errors(bad):
    with pytest.raises(UsageError, match="forecast"):
        build(**bad)


@pytest.mark.oracle
def test_it_is_pytorchs_lstm_beside_a_linear_layer():
    torch = pytest.importorskip("torch")
    model = build(layers=2)
    w = {path: torch.tensor(p.numpy()) for path, p in model.named_parameters().items()}
    lstm = torch.nn.LSTM(3, 4, num_layers=2, batch_first=True)
    for name, parameter in lstm.named_parameters():
        kind, _, rest = name.partition("_l")
        if kind == "bias_hh":
            parameter.data.zero_()
        else:
            own = f"bias_l{rest}" if kind == "bias_ih" else name
            parameter.data = w[f"lstm.layer.{own}"]
    x = torch.tensor(batch().inputs[0])
    _, (h, _) = lstm(x)
    expected = h[-1] @ w["head.weight"].T + w["head.bias"] + x.flatten(1) @ w["linear.weight"].T
    np.testing.assert_allclose(answers(model, x.numpy()), expected.detach().numpy(), atol=1e-6)
