"""The classifier of sounds: padding and company change nothing, and PyTorch agrees."""

from types import SimpleNamespace

import numpy as np
import pytest

from dlcli import optim
from dlcli.data.audio import Waves
from dlcli.engine import tape
from dlcli.engine.tensor import Tensor
from dlcli.errors import UsageError
from dlcli.models import audio_cnn, catalog

SMALL = {"channels": (4, 6, 5), "widths": (9, 3, 5), "strides": (4, 2, 1)}
RANDOM = np.random.default_rng(0)
WAVES = [RANDOM.normal(size=n).astype(np.float32) for n in (1000, 61, 1)]
SHAPE, CLASSES = (8000, 8000), 3


def build(seed=0, **settings):
    config = audio_cnn.Config(**{**SMALL, **settings})
    return audio_cnn.build(config, SHAPE, CLASSES, seed=seed)


def inputs(waves, more=0):
    x, present = Waves(*SHAPE)(waves)
    wide = ((0, 0), (0, more), (0, 0))
    return np.pad(x, wide), np.pad(present, wide)


def batch():
    return SimpleNamespace(inputs=inputs(WAVES), y=np.arange(len(WAVES)) % CLASSES)


def trained():
    """A model whose norms have seen something, so that padding would not be zeros by itself."""
    model = build()
    with tape.no_grad():
        for _ in range(3):
            model.train()(*map(Tensor, inputs(WAVES)))
    for name, parameter in model.named_parameters().items():
        if name.endswith("norm.bias"):
            parameter.write(np.full(parameter.shape, 0.5, np.float32))
    return model.eval()


def logits(model, waves, more=0):
    with tape.no_grad():
        return model(*map(Tensor, inputs(waves, more))).numpy()


def test_a_sound_gives_the_same_alone_in_company_and_with_more_padding():
    model = trained()
    together = logits(model, WAVES)
    assert together.shape == (len(WAVES), CLASSES)
    for i, wave in enumerate(WAVES):
        for more in (0, 7, 1024):
            np.testing.assert_allclose(logits(model, [wave], more), together[[i]], atol=1e-5)


def test_how_the_samples_follow_each_other_matters():
    model = trained()
    assert not np.allclose(logits(model, WAVES[:1]), logits(model, [np.sort(WAVES[0])]), atol=1e-3)


def test_every_parameter_has_a_gradient():
    model = build()
    loss, _ = model.phases()[0].loss(batch())
    tape.backward(loss)
    grads = {path: p.grad.numpy() for path, p in model.named_parameters().items()}
    assert [path for path, grad in grads.items() if not grad.any()] == []


def test_a_few_steps_learn_a_few_sounds():
    model = build(dropout=0.0)
    phase = model.phases()[0]
    optimizer = optim.make("adam", phase.parameters)
    losses = []
    for _ in range(50):
        optimizer.zero_grad()
        loss, _ = phase.loss(batch())
        tape.backward(loss)
        optimizer.step(0.02)
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]


@pytest.mark.parametrize(
    "settings",
    [
        {"channels": ()},
        {"channels": (4, 6)},
        {"channels": (4, 0, 5)},
        {"widths": (9, 4, 5)},
        {"strides": (0, 1, 1)},
        {"dropout": 1.0},
        {"dropout": float("nan")},
    ],
)
def test_settings_that_make_no_network_are_usage_errors(settings):
    with pytest.raises(UsageError, match="audio-cnn"):
        build(**settings)


def test_the_summary_names_every_layer_with_parameters():
    model = audio_cnn.build(audio_cnn.Config(), SHAPE, 10)
    rows = catalog.summary(model, SHAPE)
    assert sum(row.parameters for row in rows) == sum(
        p.size for p in model.named_parameters().values()
    )
    assert rows[-1].output == (10,)


@pytest.mark.oracle
@pytest.mark.parametrize("training", [False, True])
def test_logits_and_gradients_are_those_of_pytorch(training):
    torch = pytest.importorskip("torch")
    f = torch.nn.functional
    model = trained() if not training else build(dropout=0.0)
    weights = {k: torch.tensor(v.numpy()) for k, v in model.named_parameters().items()}
    running = {k: torch.tensor(v.numpy()) for k, v in model.named_buffers().items()}
    for weight in weights.values():
        weight.requires_grad_()
    x, mask = (torch.tensor(a[:, :, 0]) for a in inputs(WAVES))
    h = x[:, None]
    for i, (width, stride) in enumerate(zip(SMALL["widths"], SMALL["strides"], strict=True)):
        at = f"blocks.{i}"
        kernel = weights[f"{at}.conv.weight"].permute(0, 2, 1)
        h = f.conv1d(h, kernel, stride=stride, padding=width // 2)
        norm = (weights[f"{at}.norm.weight"], weights[f"{at}.norm.bias"])
        before = (running[f"{at}.norm.running_mean"], running[f"{at}.norm.running_var"])
        mask = mask[:, ::stride]
        h = f.batch_norm(h, *before, *norm, training=training).relu() * mask[:, None]
    features = torch.cat([h.sum(2) / mask.sum(1, keepdim=True), h.amax(2)], 1)
    wanted = features @ weights["head.weight"].T + weights["head.bias"]
    wanted_loss = f.cross_entropy(wanted, torch.tensor(batch().y))
    wanted_loss.backward()
    loss, outputs = model.phases()[0].loss(batch())
    tape.backward(loss)
    np.testing.assert_allclose(outputs["logits"].numpy(), wanted.detach(), atol=1e-5, rtol=1e-5)
    for name, parameter in model.named_parameters().items():
        np.testing.assert_allclose(
            parameter.grad.numpy(), weights[name].grad, atol=1e-5, rtol=1e-3, err_msg=name
        )
