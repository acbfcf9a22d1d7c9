"""Gradients of gradients of critics: against PyTorch's, against differences, end to end."""

import numpy as np
import pytest

from dlcli import nn
from dlcli.engine import tape
from dlcli.engine.tape import apply, backward, grad
from dlcli.engine.tensor import Tensor
from dlcli.nn.functional import mean

from .torch_pair import copy_weights, from_torch, to_torch

IMAGES = (4, 8, 8, 3)


def leaky(inputs, outputs, **more):
    return nn.Conv2d(inputs, outputs, 4, stride=2, padding=1, act="leaky_relu_0.2", **more)


def of_nhwc(torch, kind):
    """Layer norm over channels, or the flattening of NHWC, as a PyTorch module of NCHW."""

    class OfNHWC(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = torch.nn.LayerNorm(6) if kind == "layer norm" else None

        def forward(self, x):
            x = x.permute(0, 2, 3, 1)
            return x.flatten(1) if self.norm is None else self.norm(x).permute(0, 3, 1, 2)

    return OfNHWC()


CRITICS = {
    "convolutions": (
        lambda: nn.Sequential(leaky(3, 6), leaky(6, 5), nn.Flatten(), nn.Linear(20, 1)),
        lambda t: [
            t.nn.Conv2d(3, 6, 4, 2, 1),
            t.nn.LeakyReLU(0.2),
            t.nn.Conv2d(6, 5, 4, 2, 1),
            t.nn.LeakyReLU(0.2),
            of_nhwc(t, "flatten"),
            t.nn.Linear(20, 1),
        ],
    ),
    "instance norm": (
        lambda: nn.Sequential(
            leaky(3, 6), nn.InstanceNorm(6, affine=True), nn.Activation("tanh"),
            nn.Flatten(), nn.Linear(96, 1),
        ),
        lambda t: [
            t.nn.Conv2d(3, 6, 4, 2, 1), t.nn.LeakyReLU(0.2), t.nn.InstanceNorm2d(6, affine=True),
            t.nn.Tanh(), of_nhwc(t, "flatten"), t.nn.Linear(96, 1),
        ],
    ),
    "layer norm": (
        lambda: nn.Sequential(
            leaky(3, 6), nn.LayerNorm(6), nn.Activation("softplus"), nn.Flatten(), nn.Linear(96, 1),
        ),
        lambda t: [
            t.nn.Conv2d(3, 6, 4, 2, 1), t.nn.LeakyReLU(0.2), of_nhwc(t, "layer norm"),
            t.nn.Softplus(), of_nhwc(t, "flatten"), t.nn.Linear(96, 1),
        ],
    ),
    "smooth activations and a pool": (
        lambda: nn.Sequential(
            nn.Conv2d(3, 6, 3, padding="same", act="silu"), nn.AvgPool2d(2),
            nn.Conv2d(6, 5, 3, act="sigmoid", pool=2), nn.Flatten(), nn.Linear(5, 1, act="elu"),
        ),
        lambda t: [
            t.nn.Conv2d(3, 6, 3, padding=1), t.nn.SiLU(), t.nn.AvgPool2d(2),
            t.nn.Conv2d(6, 5, 3), t.nn.Sigmoid(), t.nn.MaxPool2d(2), t.nn.Flatten(),
            t.nn.Linear(5, 1), t.nn.ELU(),
        ],
    ),
    "resampling": (
        lambda: nn.Sequential(
            nn.ReflectionPad2d(1), nn.Conv2d(3, 4, 3, act="gelu"), nn.Upsample(2, "bilinear"),
            nn.ConvTranspose2d(4, 3, 4, stride=2, padding=1, act="tanh"), nn.Upsample(2),
            nn.GlobalAvgPool2d(), nn.Linear(3, 1),
        ),
        lambda t: [
            t.nn.ReflectionPad2d(1), t.nn.Conv2d(3, 4, 3), t.nn.GELU(),
            t.nn.Upsample(scale_factor=2, mode="bilinear"),
            t.nn.ConvTranspose2d(4, 3, 4, 2, 1), t.nn.Tanh(), t.nn.Upsample(scale_factor=2),
            t.nn.AdaptiveAvgPool2d(1), t.nn.Flatten(), t.nn.Linear(3, 1),
        ],
    ),
}  # fmt: skip


def critics(torch, name):
    """Ours and PyTorch's with equal weights, in float64."""
    make, parts = CRITICS[name]
    ours = make()
    ours.initialize(4)
    ours.astype("float64")
    theirs = torch.nn.Sequential(*parts(torch)).double()
    return ours, theirs, copy_weights(ours, theirs, torch)


def samples(seed=0):
    return np.random.default_rng(seed).standard_normal(IMAGES)


def their_penalty(torch, critic, points):
    points = points.clone().requires_grad_()
    (slope,) = torch.autograd.grad(critic(points).sum(), points, create_graph=True)
    return ((slope.flatten(1).norm(dim=1) - 1) ** 2).mean()


@pytest.mark.oracle
@pytest.mark.parametrize("name", CRITICS)
def test_a_gradient_and_its_gradients_are_those_of_autograd_grad(name):
    torch = pytest.importorskip("torch")
    ours, theirs, pairs = critics(torch, name)
    x, direction = samples(1), samples(2)
    mine, other = Tensor(x, requires_grad=True), to_torch(x, torch).requires_grad_()
    (slope,) = grad(ours(mine), [mine], create_graph=True)
    (want,) = torch.autograd.grad(theirs(other).sum(), other, create_graph=True)
    np.testing.assert_allclose(slope.data, from_torch(want), rtol=1e-9, atol=1e-12)
    backward(apply("mul", slope, Tensor(direction)))
    (want * to_torch(direction, torch)).sum().backward()
    compare([(mine, other), *pairs])


def compare(pairs):
    """The gradients of each pair; PyTorch's are None where they are zero."""
    some = 0
    for own, reference in pairs:
        if reference.grad is None or own.grad is None:
            given = own.grad if reference.grad is None else reference.grad
            assert given is None or not np.any(np.asarray(getattr(given, "data", given)))
            continue
        some += 1
        np.testing.assert_allclose(own.grad.data, from_torch(reference.grad), rtol=1e-8, atol=1e-11)
    assert some >= 2


@pytest.mark.oracle
@pytest.mark.parametrize("name", CRITICS)
def test_the_penalty_and_its_gradients_are_those_of_pytorch(name):
    torch = pytest.importorskip("torch")
    ours, theirs, pairs = critics(torch, name)
    x = samples(3)
    penalty = nn.gradient_penalty(ours, Tensor(x))
    want = their_penalty(torch, theirs, to_torch(x, torch))
    assert penalty.item() == pytest.approx(want.item(), rel=1e-9)
    backward(penalty)
    want.backward()
    compare(pairs)


@pytest.mark.oracle
def test_a_critic_trained_with_the_penalty_takes_the_steps_that_it_takes_in_pytorch():
    """The Wasserstein loss, with the penalty on lines between real and generated samples."""
    torch = pytest.importorskip("torch")
    ours, theirs, pairs = critics(torch, "instance norm")
    rng = np.random.default_rng(5)
    optimizer = torch.optim.SGD(theirs.parameters(), lr=0.05)
    losses = []
    for _ in range(4):
        real, fake = rng.standard_normal((2, *IMAGES))
        share = rng.uniform(size=(IMAGES[0], 1, 1, 1))
        between = share * real + (1 - share) * fake
        score = apply(
            "add", mean(ours(Tensor(fake))), apply("scale", mean(ours(Tensor(real))), by=-1.0)
        )
        penalty = nn.gradient_penalty(ours, Tensor(between))
        loss = apply("add", score, apply("scale", penalty, by=10.0))
        for own, _ in pairs:
            own.grad = None
        backward(loss)
        optimizer.zero_grad()
        t = [to_torch(a, torch) for a in (real, fake, between)]
        want = theirs(t[1]).mean() - theirs(t[0]).mean() + 10 * their_penalty(torch, theirs, t[2])
        want.backward()
        assert loss.item() == pytest.approx(want.item(), rel=1e-8)
        losses.append(loss.item())
        compare(pairs)
        optimizer.step()
        for own, _ in pairs:
            if own.grad is not None:
                own.data -= 0.05 * own.grad.data
        for own, other in pairs:
            np.testing.assert_allclose(own.data, from_torch(other), rtol=1e-8, atol=1e-11)
    assert losses[-1] < losses[0]


def test_a_linear_critic_has_the_penalty_of_its_weight():
    critic = nn.Linear(3, 1, bias=False)
    critic.weight.write(np.array([[3.0, 0.0, 4.0]], np.float32))
    penalty = nn.gradient_penalty(critic, Tensor(np.zeros((5, 3), np.float32)))
    assert penalty.item() == pytest.approx(16.0)
    backward(penalty)
    np.testing.assert_allclose(critic.weight.grad.data, [[4.8, 0.0, 6.4]], rtol=1e-6)


def test_a_critic_that_is_flat_has_a_finite_gradient():
    critic = nn.Linear(3, 1)
    critic.weight.write(np.zeros((1, 3), np.float32))
    penalty = nn.gradient_penalty(critic, Tensor(np.ones((5, 3), np.float32)))
    assert penalty.item() == pytest.approx(1.0)
    backward(penalty)
    assert np.isfinite(critic.weight.grad.data).all()


def test_the_points_themselves_get_no_gradient():
    critic = nn.Linear(3, 1)
    critic.initialize(0)
    points = Tensor(np.ones((2, 3), np.float32), requires_grad=True)
    backward(nn.gradient_penalty(critic, points))
    assert points.grad is None
    assert not tape._tape


def test_a_critic_with_an_op_that_has_no_second_derivative_is_told_so():
    recurrent = nn.LSTM(3, 4)
    recurrent.initialize(0)

    def critic(x):
        return apply("sum", recurrent(x)[0], axes=(1, 2), keepdims=False)

    points = Tensor(np.ones((2, 5, 3), np.float32))
    with pytest.raises(NotImplementedError, match=r"lstm_\w+ has no gradient"):
        backward(nn.gradient_penalty(critic, points))
    tape.clear()
