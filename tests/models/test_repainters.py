"""pix2pix and CycleGAN: shapes, losses by the papers, whose parameters move, what is carried."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from dlcli import optim
from dlcli.engine import tape
from dlcli.engine.tensor import on_device
from dlcli.errors import UsageError
from dlcli.models import cyclegan, pix2pix
from dlcli.models.parts.history import History
from dlcli.models.parts.jitter import Jitter, Tint
from dlcli.models.parts.patches import patches
from dlcli.models.parts.unet import UNet, halvings
from dlcli.train.step import Stepper

PIX = pix2pix.Config(width=2, critic=2, l1=100.0, dropout=0.0, jitter=False)
CYCLE = cyclegan.Config(width=2, blocks=1, critic=2, pool=3)
MODELS = {
    "pix2pix": lambda: pix2pix.build(PIX, (32, 32, 1), 0, seed=3),
    "cyclegan": lambda: cyclegan.build(CYCLE, (16, 16, 1), 0, seed=3),
}
GENERATORS = {"pix2pix": ("generator.",), "cyclegan": ("there.", "back.")}


def batch(side, n=2, seed=0, channels=1):
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, (n, 2, side, side, channels)).astype(np.float32)
    return SimpleNamespace(x=x, y=np.zeros(n, np.int64), indices=np.arange(n), inputs=(x,))


def side_of(name):
    return 32 if name == "pix2pix" else 16


def bce(scores, target):
    s = scores.astype(np.float64)
    return (np.logaddexp(0, s) - target * s).mean()


def mae(x, y):
    return np.abs(x.astype(np.float64) - y).mean()


# --- shapes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("side", "times", "scores"), [(32, 4, 6), (64, 5, 14), (128, 6, 30)])
def test_a_u_net_keeps_the_size_and_patches_are_scored(side, times, scores):
    assert halvings(side, side, 7) == times
    net, critic = UNet(3, 1, times, 2, 0.5), patches(4, 2, 2)
    net.initialize(0)
    critic.initialize(0)
    with tape.no_grad():
        x = on_device(np.ones((1, side, side, 3), np.float32))
        made = net(x)
        found = critic(tape.apply("concat", x, made))
    assert (made.shape, found.shape) == ((1, side, side, 1), (1, scores, scores, 1))
    assert np.abs(made.numpy()).max() <= 1


@pytest.mark.parametrize(("norm", "same"), [("instance", True), ("none", False)])
def test_with_instance_norm_the_light_of_a_picture_means_less(norm, same):
    net = UNet(1, 1, 4, 4, 0.0, norm)
    net.initialize(0)
    x = np.random.default_rng(0).uniform(-0.3, 0.3, (1, 32, 32, 1)).astype(np.float32)
    with tape.no_grad():  # a layer's map, whatever its input is multiplied by
        plain, lit = (net.down[0](net.first(on_device(v))).numpy() for v in (x, 3 * x))
    first = net.first.bias.data
    assert np.abs(first).max() < 0.5  # little beside the picture
    assert (np.abs(lit - plain).mean() < 0.25 * np.abs(plain).mean()) == same


def test_a_score_sees_a_patch_of_34_pixels():
    critic = patches(1, 2, 2)
    critic.initialize(0)
    for module in [m for _, m in critic.modules() if type(m).__name__ == "InstanceNorm"]:
        module.forward = lambda x: x  # by which every score depends on all pixels
    at = np.zeros((1, 64, 64, 1), np.float32)
    at[0, 32, 32] = 1
    with tape.no_grad():
        blank, dotted = (critic(on_device(x)).numpy()[0, ..., 0] for x in (at * 0, at))
    rows = np.flatnonzero((blank != dotted).any(axis=1))
    assert 34 / 4 - 1 <= rows.max() - rows.min() + 1 <= 34 / 4 + 1


@pytest.mark.parametrize(
    ("module", "shape"),
    [
        (pix2pix, (24, 24, 3)),
        (pix2pix, (16, 16, 1)),
        (cyclegan, (30, 30, 1)),
        (cyclegan, (8, 8, 1)),
    ],
)
def test_pictures_that_do_not_fit_are_named_with_a_size_that_does(module, shape):
    with pytest.raises(UsageError) as caught:
        module.build(module.Config(), shape, 0)
    assert f"{shape[0]}×{shape[1]}" in caught.value.what
    assert "--image-size" in caught.value.hint


@pytest.mark.parametrize(
    ("module", "settings"),
    [
        (pix2pix, {"width": 0}),
        (pix2pix, {"dropout": 1.0}),
        (pix2pix, {"norm": "instanse"}),
        (pix2pix, {"strided": 5}),
        (pix2pix, {"loss": "l7"}),
        (cyclegan, {"pool": -1}),
        (cyclegan, {"decay": 1.0}),
        (cyclegan, {"strided": 4}),
    ],
)
def test_settings_that_make_no_network_are_usage_errors(module, settings):
    with pytest.raises(UsageError):
        module.build(module.Config(**settings), (32, 32, 3), 0)


# --- a step ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_each_phase_moves_its_own_networks(name):
    model = MODELS[name]()
    given = batch(side_of(name))
    for phase in model.phases():
        before = {k: t.numpy() for k, t in model.named_parameters().items()}
        optimizer = optim.make("sgd", phase.parameters)
        optimizer.zero_grad()
        loss, _ = phase.loss(given)
        tape.backward(loss)
        optimizer.step(0.1)
        after = model.named_parameters()
        moved = {k for k in before if not np.array_equal(before[k], after[k].numpy())}
        begins = GENERATORS[name] if phase.name.startswith("gen") else ("critic",)
        want = {k for k in before if k.startswith(begins)}
        assert moved <= want
        assert {k for k in want if k.endswith("weight")} == {
            k for k in moved if k.endswith("weight")
        }


def test_pix2pix_is_to_be_taken_for_real_and_to_come_close():
    model, given = MODELS["pix2pix"](), batch(32)
    x, truth = given.x[:, 0], given.x[:, 1]
    with tape.no_grad():
        made = model(on_device(x)).numpy()
        real, fake = (
            model.critic(on_device(np.concatenate([x, other], axis=-1))).numpy()
            for other in (truth, made)
        )
        generate, discriminate = model.phases()
        first, outputs = generate.loss(given)
        second, _ = discriminate.loss(given)
    assert first.item() == pytest.approx(bce(fake, 1) + 100 * mae(made, truth), rel=1e-5)
    assert second.item() == pytest.approx((bce(real, 1) + bce(fake, 0)) / 2, rel=1e-5)
    l1 = model.measure(outputs, given)["l1"]
    assert l1 == pytest.approx(2 * 127.5 * mae(made, truth), rel=1e-5)


def test_cyclegan_is_to_come_back_and_to_leave_alone_what_is_there():
    model, given = MODELS["cyclegan"](), batch(16)
    a, b = (on_device(np.ascontiguousarray(given.x[:, i])) for i in (0, 1))
    with tape.no_grad():
        fake_b, fake_a = model.there(a), model.back(b)
        back, again = model.back(fake_b).numpy(), model.there(fake_a).numpy()
        same = [mae(model.there(b).numpy(), b.numpy()), mae(model.back(a).numpy(), a.numpy())]
        scores = [model.critic_b(fake_b).numpy(), model.critic_a(fake_a).numpy()]
        real = [model.critic_b(b).numpy(), model.critic_a(a).numpy()]
        generate, discriminate = model.phases()
        first, _ = generate.loss(given)
        second, _ = discriminate.loss(given)
    deceive = np.mean([((s - 1) ** 2).mean() / 2 for s in scores])
    cycle = np.mean([mae(back, a.numpy()), mae(again, b.numpy())])
    assert first.item() == pytest.approx(deceive + 10 * cycle + 5 * np.mean(same), rel=1e-5)
    told = [((r - 1) ** 2).mean() + (s**2).mean() for r, s in zip(real, scores, strict=True)]
    assert second.item() == pytest.approx(np.mean(told) / 4, rel=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_discriminators_see_what_has_just_been_made_of_the_batch(name, monkeypatch):
    model, given = MODELS[name](), batch(side_of(name))
    generate, discriminate = model.phases()
    generate.loss(given)
    tape.clear()
    generator = model.generator if name == "pix2pix" else model.there
    monkeypatch.setattr(generator, "forward", lambda *x: pytest.fail("made again"))
    discriminate.loss(given)
    tape.clear()
    with pytest.raises(pytest.fail.Exception, match="made again"):
        discriminate.loss(batch(side_of(name)))


@pytest.mark.parametrize("name", MODELS)
def test_a_step_with_several_batches_moves_everything(name):
    model = MODELS[name]()
    stepper = Stepper(model, lambda phase: optim.make("adam", phase.parameters))
    group = [batch(side_of(name), seed=seed) for seed in (0, 1)]
    loss, sums, images = stepper.step(group, 0.01, 0)
    assert (np.isfinite(loss), images) == (True, 4)
    assert {"d_real", "d_fake"} <= sums.keys() or {"score_real", "score_fake"} <= sums.keys()


# --- what is carried ------------------------------------------------------------------------------


def test_both_pictures_of_a_pair_are_moved_alike():
    jitter = Jitter()
    jitter.seed(0, "jitter")
    x = np.random.default_rng(0).uniform(size=(40, 1, 16, 16, 1)).repeat(2, axis=1)
    moved = jitter(x)
    np.testing.assert_array_equal(moved[:, 0], moved[:, 1])
    assert not np.array_equal(jitter(x), moved)
    again = Jitter()
    again.seed(0, "jitter")
    np.testing.assert_array_equal(again(x), moved)


def test_pictures_are_mirrored_moved_and_stretched_within_bounds():
    jitter = Jitter()
    jitter.seed(0, "jitter")
    ramp = np.linspace(-1, 1, 32, dtype=np.float32)  # from left to right
    x = np.broadcast_to(ramp[:, None], (300, 1, 32, 32, 1)).copy()
    moved = jitter(x)
    assert (moved.shape, moved.dtype) == (x.shape, np.float32)
    assert np.abs(moved).max() <= 1
    slopes = np.diff(moved[:, 0, 16, :, 0], axis=1)[:, 10:20].mean(axis=1) / np.diff(ramp).mean()
    assert 100 < (slopes < 0).sum() < 200  # turned
    assert (np.abs(slopes).min() >= 0.79, np.abs(slopes).max() <= 1.21) == (True, True)
    assert np.abs(slopes).std() > 0.05
    middle = moved[:, 0, 16, 16, 0] * np.sign(slopes)
    assert 0.1 < np.abs(middle).max() < 0.6


def test_a_picture_in_another_light_shows_the_same():
    tint = Tint(0.4)
    tint.seed(0, "tint")
    x = np.random.default_rng(0).uniform(-0.4, 0.4, size=(50, 6, 6, 3)).astype(np.float32)
    lit = tint(x)
    assert (lit.dtype, np.abs(lit).max() <= 1) == (np.float32, True)
    for before, after in zip(x.reshape(50, -1, 3), lit.reshape(50, -1, 3), strict=True):
        for channel in range(3):
            gain, shift = np.polyfit(before[:, channel], after[:, channel], 1)
            assert (abs(gain - 1) < 0.401, abs(shift) < 0.401) == (True, True)
            line = gain * before[:, channel] + shift
            np.testing.assert_allclose(after[:, channel], line, atol=1e-5)
    assert not np.array_equal(tint(x), lit)


def test_only_the_given_picture_is_lit_otherwise_and_only_in_training():
    model = pix2pix.build(replace(PIX, tint=0.5), (32, 32, 1), 0, seed=0)
    x = batch(32)
    given, _, truth = model.make(x)
    tape.clear()
    assert np.array_equal(truth.numpy(), x.x[:, 1])
    assert not np.array_equal(given.numpy(), x.x[:, 0])
    model.eval()
    assert np.array_equal(model.make(x)[0].numpy(), x.x[:, 0])
    tape.clear()


def test_a_pool_gives_the_new_until_it_is_full_and_then_earlier_ones_too():
    pool = History(4, (1,))
    pool.seed(0, "pool")
    first = np.arange(4.0, dtype=np.float32)[:, None]
    np.testing.assert_array_equal(pool.mix(first), first)
    shown, kept = [], set(range(4))
    for value in range(4, 60):
        given = np.full((1, 1), value, np.float32)
        shown.append(int(pool.mix(given)[0, 0]))
        assert shown[-1] in kept | {value}
        kept |= {value}
    earlier = [s for s, value in zip(shown, range(4, 60), strict=True) if s != value]
    assert 15 < len(earlier) < 41
    assert len(set(earlier)) == len(earlier)  # what was shown has left the pool


def test_a_pool_of_none_gives_the_new():
    pool, given = History(0, (1,)), np.ones((2, 1), np.float32)
    assert pool.mix(given) is given


# --- against PyTorch ------------------------------------------------------------------------------


@pytest.mark.oracle
def test_a_step_of_pix2pix_has_pytorch_s_losses_and_gradients():
    torch = pytest.importorskip("torch")
    F = torch.nn.functional
    model, given = MODELS["pix2pix"](), batch(32)
    ours = {k: t for k, t in model.named_parameters().items() if "average" not in k}
    theirs = {}
    for name, tensor in ours.items():
        array = tensor.numpy()
        if array.ndim == 4:  # OHWI, or (in, R, S, out) of a transposed convolution
            array = array.transpose(0, 3, 1, 2)
        theirs[name] = torch.tensor(array.copy(), requires_grad=True)

    def at(path):
        return theirs[f"{path}.weight"], theirs.get(f"{path}.bias")

    def generator(x):
        x = F.leaky_relu(F.conv2d(x, *at("generator.first"), padding=1), 0.2)
        across = []
        for i in range(4):
            across.append(x)
            x = F.leaky_relu(F.conv2d(x, *at(f"generator.down.{i}"), stride=2, padding=1), 0.2)
        for i in range(4):
            up = F.conv_transpose2d(x, *at(f"generator.up.{i}.conv"), stride=2, padding=1)
            x = torch.cat([F.relu(up), across.pop()], 1)
        return torch.tanh(F.conv2d(x, *at("generator.last"), padding=1))

    def critic(x, y):
        x = F.leaky_relu(F.conv2d(torch.cat([x, y], 1), *at("critic.0"), stride=2, padding=1), 0.2)
        for conv, stride in ((1, 2), (4, 1)):
            x = F.conv2d(x, *at(f"critic.{conv}"), stride=stride, padding=1)
            x = F.leaky_relu(F.instance_norm(x, None, None, *at(f"critic.{conv + 1}")), 0.2)
        return F.conv2d(x, *at("critic.7"), padding=1)

    def odds(scores, value):
        return F.binary_cross_entropy_with_logits(scores, torch.full_like(scores, value))

    x, truth = (torch.tensor(given.x[:, i].transpose(0, 3, 1, 2).copy()) for i in (0, 1))
    made = generator(x)
    wanted = [odds(critic(x, made), 1.0) + 100 * (made - truth).abs().mean()]
    wanted += [(odds(critic(x, truth), 1.0) + odds(critic(x, made.detach()), 0.0)) / 2]
    for phase, loss in zip(model.phases(), wanted, strict=True):
        for tensor in (*ours.values(), *theirs.values()):
            tensor.grad = None
        found, _ = phase.loss(given)
        assert found.item() == pytest.approx(loss.item(), rel=1e-5)
        tape.backward(found)
        loss.backward(retain_graph=True)
        prefix = "generator." if phase.name == "generator" else "critic."
        for name, tensor in ours.items():
            if name.startswith(prefix):
                grad = theirs[name].grad.numpy()
                grad = grad.transpose(0, 2, 3, 1) if grad.ndim == 4 else grad
                np.testing.assert_allclose(tensor.grad.numpy(), grad, rtol=1e-3, atol=2e-5)
