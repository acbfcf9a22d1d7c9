"""GANs: whose parameters move in which phase and by which loss, and what a code decides."""

from types import SimpleNamespace

import numpy as np
import pytest

from dlcli import optim
from dlcli.engine import tape
from dlcli.engine.tensor import Tensor
from dlcli.errors import UsageError
from dlcli.models import dcgan, gan, lsgan, wgan
from dlcli.models.parts.conditions import Clusters
from dlcli.models.parts.rules import RULES
from dlcli.nn.noise import one_hot
from dlcli.nn.spectral import SpectralNorm
from dlcli.train.repeated import others_frozen
from dlcli.train.step import Stepper

SHAPE = (8, 8, 1)
SMALL = gan.Config(hidden=(16,), noise=3, dropout=0.0, clusters=0)


def batch(n=6, shape=SHAPE, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, (n, *shape)).astype(np.float32)
    return SimpleNamespace(x=x, y=np.arange(n) % 3, indices=np.arange(n), inputs=(x,))


def moved(model, stepper, number=0, lr=0.01):
    """The names of the parameters that a step moves."""
    before = {k: t.numpy() for k, t in model.named_parameters().items()}
    stepper.step([batch()], lr, number)
    after = model.named_parameters()
    return {k for k, old in before.items() if not np.array_equal(old, after[k].numpy())}


def stepper_of(model):
    return Stepper(model, lambda phase: optim.make("sgd", phase.parameters))


def log(x):
    return np.log(x.astype(np.float64))


def sigmoid(x):
    return 1 / (1 + np.exp(-x.astype(np.float64)))


FORMULAS = {  # by the papers: of scores of real and generated images
    "min-max": (
        lambda r, f: -(log(sigmoid(r)) + log(1 - sigmoid(f))).mean(),
        lambda f: log(1 - sigmoid(f)).mean(),
    ),
    "non-saturating": (
        lambda r, f: -(log(sigmoid(r)) + log(1 - sigmoid(f))).mean(),
        lambda f: -log(sigmoid(f)).mean(),
    ),
    "lsgan": (
        lambda r, f: (np.square(r - 1) + np.square(f)).mean() / 2,
        lambda f: np.square(f - 1).mean() / 2,
    ),
    "wgan": (lambda r, f: (f - r).mean(), lambda f: -f.mean()),
}


def blobs(rng, n):
    """Images around three points, one class, and of which point each is."""
    points = np.array([[-1.0, -1.0], [1.0, -1.0], [0.0, 1.0]])
    of = rng.choice(3, n, p=[0.2, 0.3, 0.5])
    x = points[of] + 0.05 * rng.standard_normal((n, 2))
    return x.astype(np.float32).reshape(n, 1, 2, 1), np.zeros(n, int), of


def test_clusters_are_found_without_labels_and_drawn_as_often_as_they_are():
    rng = np.random.default_rng(0)
    clusters = Clusters(3, 2)
    clusters.centres.write([[-0.5, -1.0], [0.5, -1.0], [0.0, 0.5]])
    clusters.counts.write([1, 1, 1])
    for _ in range(20):
        clusters.of_images(*blobs(rng, 64)[:2])
    clusters.eval()
    x, y, of = blobs(rng, 64)
    np.testing.assert_array_equal(clusters.of_images(x, y), of)
    want = [[-1, -1], [1, -1], [0, 1]]
    np.testing.assert_allclose(clusters.centres.numpy(), want, atol=0.05)
    drawn = clusters.of_codes(rng.standard_normal((4000, 5)), None)
    shares = clusters.counts.numpy() / clusters.counts.numpy().sum()
    np.testing.assert_allclose(np.bincount(drawn) / 4000, shares, atol=0.03)


def test_clusters_begin_with_images_and_rest_in_evaluation():
    clusters = Clusters(4, 64)
    given = batch(6)
    np.testing.assert_array_equal(clusters.of_images(given.x, given.y)[:4], [0, 1, 2, 3])
    before = clusters.centres.numpy()
    clusters.eval()
    clusters.of_images(batch(6, seed=1).x, given.y)
    np.testing.assert_array_equal(clusters.centres.numpy(), before)
    assert clusters.counts.numpy().sum() == 6
    ends = clusters.of_codes(np.array([[-9.0], [9.0]]), None)
    np.testing.assert_array_equal(ends, [0, 3])


@pytest.mark.parametrize("name", FORMULAS)
def test_a_loss_is_that_of_its_paper(name):
    rng = np.random.default_rng(0)
    real, fake = (rng.standard_normal((9, 1)).astype(np.float32) for _ in range(2))
    rule, (critic, generator) = RULES[name], FORMULAS[name]
    found = rule.critic(Tensor(real), Tensor(fake)).item(), rule.generator(Tensor(fake)).item()
    np.testing.assert_allclose(found, (critic(real, fake), generator(fake)), rtol=1e-5)


@pytest.mark.parametrize("name", FORMULAS)
def test_the_generator_is_drawn_to_higher_scores_and_the_critic_to_a_wider_gap(name):
    rule = RULES[name]
    real, fake = (Tensor(np.full((4, 1), v, np.float32), requires_grad=True) for v in (0.3, 0.2))
    tape.backward(rule.critic(real, fake))
    assert (real.grad.numpy() < 0).all()
    assert (fake.grad.numpy() > 0).all()
    scores = Tensor(np.full((4, 1), 0.2, np.float32), requires_grad=True)
    tape.backward(rule.generator(scores))
    assert (scores.grad.numpy() < 0).all()


def test_each_phase_moves_its_own_side_and_computes_no_gradient_of_the_other():
    model = gan.build(SMALL, SHAPE, 3)
    stepper = stepper_of(model)
    names = set(model.named_parameters())
    assert moved(model, stepper) == names
    for phase, optimizer in zip(stepper.phases, stepper.optimizers, strict=True):
        for other in stepper.optimizers:
            other.zero_grad()
        with others_frozen(phase, stepper.phases):
            loss, _ = phase.loss(batch())
            tape.backward(loss)
        fresh = {k for k, t in model.named_parameters().items() if not t.grad_is_stale}
        assert fresh == {
            k
            for k in names
            if k.startswith(("generator.", "critic.")[phase.name == "discriminator"])
        }
        assert optimizer.flat.grad.numpy().any()
    assert all(t.requires_grad for t in model.named_parameters().values())


def test_both_sides_see_the_same_images_and_the_generator_gets_their_gradient():
    model, twin = (gan.build(SMALL, SHAPE, 3) for _ in range(2))
    given, seen = batch(), []
    forward = model.critic.forward
    model.critic.forward = lambda x, columns=None: (seen.append(x.numpy()), forward(x))[1]
    for phase in model.phases():
        for tensor in model.named_parameters().values():
            tensor.requires_grad = any(tensor is own for own in phase.parameters.values())
        tape.backward(phase.loss(given)[0])
    assert np.array_equal(seen[1], seen[2])
    made, _ = twin.new(given)  # the same code, by itself
    assert np.array_equal(made.numpy(), seen[1])
    tape.backward(twin.rule.generator(twin.critic(made)))
    wanted = twin.generator.named_parameters()
    for name, tensor in model.generator.named_parameters().items():
        np.testing.assert_allclose(tensor.grad.numpy(), wanted[name].grad.numpy(), rtol=1e-5)


def test_images_of_a_step_that_was_broken_off_are_not_taken_for_those_of_the_next():
    model = gan.build(SMALL, SHAPE, 3)
    first, second = batch(), batch(seed=1)
    discriminate, imitate = model.phases()
    discriminate.loss(first)
    tape.clear()
    _, outputs = discriminate.loss(second)
    tape.clear()
    seen, forward = [], model.critic.forward
    model.critic.forward = lambda x, columns=None: (seen.append(x.numpy()), forward(x))[1]
    imitate.loss(second)
    tape.clear()
    assert np.array_equal(seen[0], outputs["made"].numpy())


def test_a_generator_that_waits_moves_in_every_third_step_from_the_first_on():
    model = wgan.build(wgan.Config(width=2, noise=3, every=3), SHAPE, 3)
    stepper = stepper_of(model)
    sides = [{name.split(".")[0] for name in moved(model, stepper, i)} for i in range(5)]
    both, critic = {"generator", "critic"}, {"critic"}
    assert sides == [both, critic, critic, both, critic]


def test_a_wgan_step_leaves_no_weight_beyond_the_clip():
    model = wgan.build(wgan.Config(width=2, noise=3, clip=0.005), SHAPE, 3)
    stepper = stepper_of(model)
    stepper.step([batch()], 0.1, 0)
    weights = [t.numpy() for t in model.critic.named_parameters().values()]
    assert max(np.abs(w).max() for w in weights) <= np.float32(0.005)
    assert max(np.abs(t.numpy()).max() for t in model.generator.named_parameters().values()) > 0.01


def test_the_penalty_is_in_the_loss_of_training_alone():
    model = wgan.build(wgan.Config(width=2, noise=3, gp=True), SHAPE, 3)
    phase = model.phases()[0]
    with_it = phase.loss(batch())[0].item()
    tape.clear()
    model.initialize(0)
    model.penalty = 0.0
    without = phase.loss(batch())[0].item()
    tape.clear()
    assert with_it - without == pytest.approx(10.0, rel=0.2)  # a flat critic has a slope near 0


def test_an_image_depends_on_its_code_and_class_and_on_no_other_image():
    model = dcgan.build(dcgan.Config(width=2, noise=5, conditional=True), SHAPE, 3).eval()
    noise = np.random.default_rng(0).standard_normal((4, 5)).astype(np.float32)
    labels = np.array([0, 1, 2, 0])
    whole = model.paint(noise, labels)
    assert whole.shape == (4, *SHAPE)
    assert np.abs(whole).max() <= 1
    np.testing.assert_allclose(model.paint(noise[1:2], labels[1:2]), whole[1:2], atol=1e-6)
    other = model.paint(noise, np.array([0, 2, 2, 0]))
    assert np.array_equal(other[2], whole[2])
    assert not np.array_equal(other[1], whole[1])


def test_a_conditional_score_is_that_of_all_plus_that_of_the_class():
    model = gan.build(gan.Config(hidden=(16,), noise=3, dropout=0.0, conditional=True), SHAPE, 3)
    critic, x, labels = model.critic.eval(), batch().x, np.array([2, 0, 1, 1, 2, 0])
    features = critic.features(Tensor(x)).numpy()
    weight, bias = critic.head.weight.numpy(), critic.head.bias.numpy()
    columns = features @ weight.T + bias
    want = columns[:, 0] + columns[np.arange(6), 1 + labels]
    of = Tensor(np.concatenate([np.ones((6, 1)), one_hot(labels, 3)], axis=1).astype(np.float32))
    np.testing.assert_allclose(critic(Tensor(x), columns=of).numpy()[:, 0], want, rtol=1e-4)


def test_images_are_painted_with_the_averaged_weights_and_the_trained_ones_come_back():
    model = gan.build(gan.Config(hidden=(16,), noise=3, decay=0.5), SHAPE, 3)
    stepper = stepper_of(model)
    before = {k: t.numpy() for k, t in model.generator.named_parameters().items()}
    stepper.step([batch()], 0.1, 0)
    after = {k: t.numpy() for k, t in model.generator.named_parameters().items()}
    model.eval()
    with model.average.in_place():
        for name, tensor in model.generator.named_parameters().items():
            want = (before[name] + after[name]) / 2
            np.testing.assert_allclose(tensor.numpy(), want, rtol=1e-6, atol=1e-7)
    for name, tensor in model.generator.named_parameters().items():
        np.testing.assert_array_equal(tensor.numpy(), after[name])


def test_the_answers_are_probabilities_only_where_scores_are_log_odds():
    squares = gan.Config(hidden=(16,), loss="lsgan")
    for config, keys in ((SMALL, {"d_real", "d_fake"}), (squares, {"score_real", "score_fake"})):
        model = gan.build(config, SHAPE, 3)
        _, outputs = model.phases()[0].loss(batch())
        tape.clear()
        found = model.measure(outputs, batch())
        assert set(found) == keys
        scores = outputs["real"].numpy()
        want = sigmoid(scores).sum() if config is SMALL else scores.sum()
        assert next(iter(found.values())) == pytest.approx(float(want), rel=1e-5)


def test_equal_images_have_no_diversity_and_the_real_ones_have_one():
    model = gan.build(SMALL, SHAPE, 3).eval()
    real = batch().x
    score = Tensor(np.zeros((6, 1), np.float32))
    for made, want in ((np.repeat(real[:1], 6, axis=0), 0.0), (real, 1.0), (real * 0.5, 0.5)):
        outputs = {"real": score, "fake": score, "images": Tensor(real), "made": Tensor(made)}
        assert model.measure(outputs, batch())["diversity"] / 6 == pytest.approx(want)


@pytest.mark.parametrize(
    ("side", "want"), [(8, (4, 1)), (28, (7, 2)), (32, (4, 3)), (64, (4, 4)), (48, (6, 3))]
)
def test_an_image_is_a_small_map_doubled(side, want):
    assert dcgan.doublings("dcgan", (side, side, 3)) == want
    model = dcgan.build(dcgan.Config(width=1, noise=2), (side, side, 3), 2).eval()
    assert model.paint(np.zeros((1, 2), np.float32)).shape == (1, side, side, 3)


@pytest.mark.parametrize("shape", [(28, 32, 1), (27, 27, 1), (9, 9, 3), (300, 300, 3)])
def test_an_image_that_is_none_is_refused_with_what_would_do(shape):
    with pytest.raises(UsageError, match="do not fit") as caught:
        dcgan.build(dcgan.Config(), shape, 2)
    assert "--image-size" in caught.value.hint


@pytest.mark.parametrize(
    ("module", "settings"),
    [
        (dcgan, {"width": 0}),
        (dcgan, {"loss": "hinge"}),
        (dcgan, {"norm": "layer"}),
        (gan, {"hidden": ()}),
        (gan, {"decay": 1.0}),
        (lsgan, {"noise": 0}),
        (wgan, {"every": -1}),
        (wgan, {"clip": 0.0}),
    ],
)
def test_settings_that_make_no_game_are_refused(module, settings):
    with pytest.raises(UsageError, match=r"(d|w|^)c?gan"):
        module.build(module.Config(**settings), SHAPE, 3)


def test_a_discriminator_with_spectral_norm_bounds_each_inner_convolution():
    model = dcgan.build(dcgan.Config(width=2, noise=3, norm="spectral"), (16, 16, 1), 3)
    (layer,) = [m for _, m in model.critic.modules() if isinstance(m, SpectralNorm)]
    layer.train()
    for _ in range(30):
        layer(Tensor(np.zeros((1, 8, 8, 2), np.float32)))
    weight = layer.normalised().numpy().reshape(4, -1)
    assert np.linalg.svd(weight, compute_uv=False)[0] == pytest.approx(1, rel=1e-3)


def test_lsgan_is_dcgan_with_another_loss():
    assert lsgan.build(lsgan.Config(width=1), SHAPE, 3).rule is RULES["lsgan"]


def test_a_label_is_one_in_its_place():
    np.testing.assert_array_equal(one_hot(np.array([1, 0]), 3), [[0, 1, 0], [1, 0, 0]])
