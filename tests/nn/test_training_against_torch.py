"""Twenty training steps of the CNN from the same weights follow PyTorch's losses, for several
optimisers, in float64 and float32.
"""

from types import SimpleNamespace

import numpy as np
import pytest

from dlcli import optim
from dlcli.engine.tape import backward
from dlcli.models import cnn

from .torch_pair import to_torch

pytestmark = pytest.mark.oracle
torch = pytest.importorskip("torch")
T = torch.nn

SHAPE, CLASSES, BATCH, STEPS = (20, 20, 1), 10, 16, 20
CONFIG = cnn.Config(channels=(8, 16, 16), dense=32)
OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.02),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9),
    "nesterov": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9, nesterov=True),
    "adam": lambda p: torch.optim.Adam(p, lr=0.002),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.002, weight_decay=0.0),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.001),
}
LR = {
    "sgd": 0.02,
    "momentum": 0.01,
    "nesterov": 0.01,
    "adam": 0.002,
    "adamw": 0.002,
    "rmsprop": 0.001,
}


def torch_cnn(model, dtype):
    a, b, c = CONFIG.channels
    flat = c  # 20 → 18 → 9 → 7 → 3 → 1 pixel
    net = T.Sequential(
        T.Conv2d(1, a, 3), T.ReLU(), T.MaxPool2d(2), T.Conv2d(a, b, 3), T.ReLU(), T.MaxPool2d(2),
        T.Conv2d(b, c, 3), T.ReLU(), T.Flatten(), T.Linear(flat, CONFIG.dense), T.ReLU(),
        T.Linear(CONFIG.dense, CLASSES),
    ).to(dtype)  # fmt: skip
    with torch.no_grad():
        for mine, other in zip(model.named_parameters().values(), net.parameters(), strict=True):
            other.copy_(to_torch(mine.data, torch))
    return net


def batches(dtype):
    rng = np.random.default_rng(7)
    for _ in range(STEPS):
        x = rng.standard_normal((BATCH, *SHAPE)).astype(dtype)
        yield SimpleNamespace(x=x, y=rng.integers(0, CLASSES, BATCH))


def our_losses(model, name, dtype):
    (phase,) = model.phases()
    optimizer = optim.make(name, phase.parameters)
    losses = []
    for batch in batches(dtype):
        optimizer.zero_grad()
        loss, _ = phase.loss(batch)
        backward(loss)
        optimizer.step(LR[name])
        losses.append(loss.item())
    return losses


def torch_losses(net, name, dtype):
    optimizer = OPTIMIZERS[name](net.parameters())
    losses = []
    for batch in batches(dtype):
        optimizer.zero_grad()
        loss = T.functional.cross_entropy(net(to_torch(batch.x, torch)), torch.tensor(batch.y))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize(("dtype", "rtol"), [("float64", 1e-8), ("float32", 1e-3)])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_twenty_steps_of_the_cnn_follow_torchs_losses(name, dtype, rtol):
    model = cnn.build(CONFIG, SHAPE, CLASSES, seed=1).astype(dtype)
    net = torch_cnn(model, getattr(torch, dtype))
    want = torch_losses(net, name, dtype)
    got = our_losses(model, name, dtype)
    assert (
        abs(want[-1] - want[0]) > 1e-3
    )  # it does learn something, so that agreement says something
    np.testing.assert_allclose(got, want, rtol=rtol)
