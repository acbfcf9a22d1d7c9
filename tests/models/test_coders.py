"""Autoencoders: what a code is, the bound of a VAE and its gradient, what becomes of a code."""

from types import SimpleNamespace

import numpy as np
import pytest

from dlcli.engine.tape import backward
from dlcli.engine.tensor import Tensor, on_device
from dlcli.errors import UsageError
from dlcli.models import autoencoder, vae
from dlcli.models.parts import codec, coding, likelihood
from dlcli.nn import Noise

SHAPE = (6, 5, 2)
TINY = {"code": 3, "hidden": 7, "width": 2}
N = 4


def batch(n=N, shape=SHAPE, dtype=np.float32):
    x = np.random.default_rng(0).uniform(-1, 1, (n, *shape)).astype(dtype)
    return SimpleNamespace(x=x, y=np.arange(n) % 3, indices=np.arange(n), inputs=(x,))


def variational(shape=SHAPE, **settings):
    return vae.build(vae.Config(**{**TINY, **settings}), shape, 3)


def plain(shape=SHAPE, **settings):
    return autoencoder.build(autoencoder.Config(**{**TINY, **settings}), shape, 3)


# --- networks -------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", codec.FORMS)
@pytest.mark.parametrize("shape", [(28, 28, 1), (7, 9, 3), (8, 8, 1), (33, 20, 3), (2, 1, 1)])
def test_images_of_any_size_come_back_in_their_size(form, shape):
    model = plain(shape, form=form)
    assert model(on_device(batch(shape=shape).x)).shape == (N, *shape)
    assert variational(shape, form=form).eval().paint(np.zeros((2, 3), np.float32)).shape == (
        2,
        *shape,
    )


# --- the two parts of the bound -------------------------------------------------------------------


@pytest.mark.oracle
def test_the_divergence_is_pytorchs():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    mean, log = rng.standard_normal((2, 5, 3)) * [[[2.0]], [[3.0]]]
    normal = torch.distributions.Normal
    theirs = torch.distributions.kl_divergence(
        normal(torch.tensor(mean), torch.tensor(np.exp(log / 2))), normal(0.0, 1.0)
    )
    ours = likelihood.divergence(on_device(mean), on_device(log)).numpy()
    np.testing.assert_allclose(ours, theirs.sum(1).numpy(), rtol=1e-12)


@pytest.mark.oracle
@pytest.mark.parametrize("name", likelihood.LIKELIHOODS)
def test_the_likelihood_of_an_image_is_pytorchs(name):
    torch = pytest.importorskip("torch")
    x, values = batch(dtype=np.float64).x, np.random.default_rng(2).standard_normal((N, *SHAPE))
    pixels, given = torch.tensor((x + 1) / 2), torch.tensor(values)
    made = likelihood.LIKELIHOODS[name]()
    if name == "bernoulli":
        theirs = torch.nn.functional.binary_cross_entropy_with_logits(
            given, pixels, reduction="none"
        )
    else:
        made.log_deviation.write(-1.5)
        made.astype(np.float64)
        means = (torch.tanh(given) + 1) / 2
        theirs = -torch.distributions.Normal(means, np.exp(-1.5)).log_prob(pixels)
    ours = made(on_device(values), x).numpy()
    np.testing.assert_allclose(ours, theirs.flatten(1).sum(1).numpy(), rtol=1e-12)


def test_a_code_of_n01_diverges_by_nothing_and_e_to_x_is_numpys():
    zeros = on_device(np.zeros((2, 3)))
    assert likelihood.divergence(zeros, zeros).numpy().tolist() == [0, 0]
    for dtype, rtol in ((np.float64, 1e-13), (np.float32, 1e-6)):
        x = np.linspace(-86, 86, 333).astype(dtype)
        np.testing.assert_allclose(likelihood.exp(on_device(x)).numpy(), np.exp(x), rtol=rtol)


@pytest.mark.parametrize("form", codec.FORMS)
@pytest.mark.parametrize("name", likelihood.LIKELIHOODS)
def test_the_gradient_of_the_bound_is_that_of_differences(form, name):
    """In float64, along a random direction, with the same noise on both sides."""
    model = variational(form=form, likelihood=name, conditional=True, beta=0.7).astype(np.float64)
    parameters, given = model.named_parameters(), batch(dtype=np.float64)
    start = model.noise.rng.numpy()
    rng = np.random.default_rng(3)
    way = {k: rng.standard_normal(p.shape) for k, p in parameters.items()}

    def loss_at(step):
        model.noise.rng.write(start)
        before = {k: p.numpy() for k, p in parameters.items()}
        for k, p in parameters.items():
            p.write(before[k] + step * way[k])
        loss = model.loss(given)[0]
        for k, p in parameters.items():
            p.write(before[k])
        return loss

    backward(loss_at(0.0))
    slope = sum(float((p.grad.numpy() * way[k]).sum()) for k, p in parameters.items())
    step = 1e-6
    measured = (loss_at(step).item() - loss_at(-step).item()) / (2 * step)
    assert slope == pytest.approx(measured, rel=1e-5)


def test_beta_weighs_the_divergence():
    found = {}
    for beta in (0.0, 1.0, 4.0):
        model = variational(beta=beta).eval()
        loss, parts = model.loss(batch())
        sums = model.measure(parts, batch())
        found[beta] = loss.item()
        assert found[beta] == pytest.approx((sums["reconstruction"] + beta * sums["kl"]) / N)
    assert found[0.0] < found[1.0] < found[4.0]


def test_an_autoencoders_loss_is_the_mean_squared_difference_of_pixels():
    model, given = plain().eval(), batch()
    made = model.forward(on_device(given.x)).numpy()
    loss = model.loss(given)[0].item()
    assert loss == pytest.approx(np.square((made - given.x) / 2).mean(), rel=1e-5)
    assert model.measure({}, given)["squares"] == pytest.approx(N * loss, rel=1e-5)


# --- noise ----------------------------------------------------------------------------------------


def test_noise_is_new_in_training_and_each_images_own_in_evaluation():
    model = variational()
    assert model.loss(batch())[0].item() != model.loss(batch())[0].item()
    model.eval()
    whole = model.loss(batch())[1]["reconstruction"].numpy()
    np.testing.assert_array_equal(whole, model.loss(batch())[1]["reconstruction"].numpy())
    last = batch()
    last.x, last.y, last.indices = last.x[3:], last.y[3:], last.indices[3:]
    alone = model.loss(last)[1]["reconstruction"].numpy()
    np.testing.assert_allclose(alone, whole[3:], rtol=1e-6)


def test_the_noise_of_samples_is_normal_and_independent_of_others():
    noise = Noise(5)
    noise.seed(7, "here")
    many = noise.at(np.arange(20_000))
    assert (many.shape, many.dtype) == ((20_000, 5), np.float32)
    np.testing.assert_allclose(many.mean(axis=0), 0, atol=0.03)
    np.testing.assert_allclose(np.cov(many.T), np.eye(5), atol=0.04)
    np.testing.assert_array_equal(noise.at(np.array([900, 3, 17])), many[[900, 3, 17]])


# --- codes and images -----------------------------------------------------------------------------


def test_a_class_changes_the_image_and_only_where_there_are_classes():
    model, code = variational(conditional=True).eval(), np.ones((2, 3), np.float32)
    first, second = model.paint(code, np.array([0, 1]))
    assert not np.array_equal(first, second)
    free = variational().eval().paint(code, np.array([0, 1]))
    np.testing.assert_array_equal(free[0], free[1])


def test_an_image_is_taken_for_the_class_of_the_highest_bound():
    model, given = variational(conditional=True).eval(), batch()
    codes, images, labels = model.recode(given.x)
    for i in range(N):
        bounds = []
        for label in range(3):
            one, x = np.array([label]), given.x[i : i + 1]
            mean, log = model.posterior(on_device(x), one)
            values = model.decoder(coding.with_class(mean, one, 3))
            nats = model.likelihood(values, x).item()
            bounds.append(nats + likelihood.divergence(mean, log).item())
        assert labels[i] == int(np.argmin(bounds))
    np.testing.assert_array_equal(codes, model.encode(given.x, labels))
    np.testing.assert_array_equal(images, model.decode(codes, labels))


def test_an_autoencoder_paints_codes_of_the_mean_and_covariance_of_those_it_has_seen():
    model = plain().train()
    given = batch(64)
    for _ in range(600):  # nothing moves but what is known of the codes
        model.loss(given)
    codes = model.encode(given.x, None).astype(np.float64)
    np.testing.assert_allclose(model.mean.numpy(), codes.mean(axis=0), rtol=1e-3, atol=1e-5)
    covariance = np.cov(codes.T, bias=True)
    np.testing.assert_allclose(model.covariance.numpy(), covariance, rtol=1e-2, atol=1e-4)
    model.decode = lambda codes, labels: codes
    noise = np.random.default_rng(5).standard_normal((4_000, 3))
    noise -= noise.mean(axis=0)
    painted = model.paint(noise)
    np.testing.assert_allclose(painted.mean(axis=0), model.mean.numpy(), atol=1e-4)
    root = np.linalg.cholesky(np.cov(noise.T, bias=True))
    exact = model.paint(noise @ np.linalg.inv(root).T)
    np.testing.assert_allclose(np.cov(exact.T, bias=True), model.covariance.numpy(), atol=1e-5)


def test_evaluation_moves_nothing_of_what_is_known_of_the_codes():
    model = plain().eval()
    model.loss(batch())
    assert not model.mean.numpy().any()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"form": "flat"}, "there is dense, conv"),
        ({"code": 0}, "1 or more"),
        ({"likelihood": "poisson"}, "there is bernoulli, gaussian"),
        ({"beta": -1.0}, "0 or more"),
        ({"beta": float("nan")}, "0 or more"),
    ],
)
def test_settings_that_make_no_model_are_refused(settings, said):
    with pytest.raises(UsageError) as caught:
        variational(**settings)
    assert said in caught.value.why


def test_every_parameter_takes_part():
    for model in (plain(), variational(conditional=True, likelihood="gaussian")):
        backward(model.loss(batch(32))[0])
        for name, parameter in model.named_parameters().items():
            assert isinstance(parameter.grad, Tensor), name
            assert np.abs(parameter.grad.numpy()).sum() > 0, name
