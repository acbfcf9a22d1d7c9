"""Losses and their gradients against PyTorch, through the tape."""

import numpy as np
import pytest

from dlcli.engine.tape import backward
from dlcli.engine.tensor import Tensor
from dlcli.nn import losses

N, K = 9, 5


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


def draw(seed=0):
    rng = np.random.default_rng(seed)
    return 3 * rng.standard_normal((N, K)), rng.uniform(0, 1, (N, K)), rng.integers(0, K, N)


def compare(ours, theirs, x, torch):
    """The loss and its gradient; `ours` and `theirs` are functions of the prediction x."""
    mine, other = Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    loss, want = ours(mine), theirs(other)
    assert loss.shape == ()
    backward(loss)
    want.backward()
    np.testing.assert_allclose(loss.item(), want.item(), rtol=1e-12)
    np.testing.assert_allclose(mine.grad.data, other.grad.numpy(), rtol=1e-9, atol=1e-14)


@pytest.mark.oracle
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weighted", [False, True])
def test_cross_entropy_with_class_weights_and_smoothing_equals_torch(torch, weighted, smoothing):
    x, _, y = draw()
    w = np.random.default_rng(1).uniform(0.2, 3.0, K) if weighted else None
    if weighted:
        y[2] = -100  # ignored: neither a loss nor a share of the mean
    compare(
        lambda t: losses.cross_entropy(
            t, Tensor(y), None if w is None else Tensor(w), label_smoothing=smoothing
        ),
        lambda t: torch.nn.functional.cross_entropy(
            t,
            torch.tensor(y),
            None if w is None else torch.tensor(w),
            label_smoothing=smoothing,
        ),
        x,
        torch,
    )


@pytest.mark.oracle
@pytest.mark.parametrize("name", ["soft", "bce", "bce with weights", "mse", "mae", "huber"])
def test_a_loss_of_a_target_and_its_gradient_equal_torch(torch, name):
    x, target, _ = draw(2)
    p = np.random.default_rng(3).uniform(0.2, 3.0, K)
    t, other, f = Tensor(target), torch.tensor(target), torch.nn.functional
    ours, theirs = {
        "soft": (losses.soft_cross_entropy, f.cross_entropy),
        "bce": (losses.bce_with_logits, f.binary_cross_entropy_with_logits),
        "bce with weights": (
            lambda x, y: losses.bce_with_logits(x, y, Tensor(p)),
            lambda x, y: f.binary_cross_entropy_with_logits(x, y, pos_weight=torch.tensor(p)),
        ),
        "mse": (losses.mse, f.mse_loss),
        "mae": (losses.mae, f.l1_loss),
        "huber": (
            lambda x, y: losses.huber(x, y, 0.7),
            lambda x, y: f.huber_loss(x, y, delta=0.7),
        ),
    }[name]
    compare(lambda x: ours(x, t), lambda x: theirs(x, other), x, torch)


def test_class_weights_of_one_change_nothing_and_scaling_them_all_changes_nothing():
    x, _, y = draw()
    plain = losses.cross_entropy(Tensor(x), Tensor(y)).item()
    for w in (1.0, 7.0):
        weighted = losses.cross_entropy(Tensor(x), Tensor(y), Tensor(np.full(K, w))).item()
        np.testing.assert_allclose(weighted, plain, rtol=1e-13)


def test_a_weighted_loss_reads_nothing_back_from_the_device(monkeypatch):
    def read(self):
        raise AssertionError("the host read a tensor")

    monkeypatch.setattr(Tensor, "item", read)
    x, _, y = draw()
    logits = Tensor(x, requires_grad=True)
    backward(losses.cross_entropy(logits, Tensor(y), Tensor(np.ones(K))))
    np.testing.assert_allclose(logits.grad.data.sum(1), 0, atol=1e-15)
