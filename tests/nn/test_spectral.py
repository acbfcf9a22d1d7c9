"""Spectral norm: against PyTorch's parametrisation, and against singular values."""

import numpy as np
import pytest

from dlcli import nn
from dlcli.engine import tape
from dlcli.engine.tape import apply, backward, no_grad
from dlcli.engine.tensor import Tensor

from .torch_pair import from_torch, to_torch

LAYERS = {
    "linear": (lambda: nn.Linear(7, 5), lambda T: T.Linear(7, 5), (4, 7)),
    "convolution": (
        lambda: nn.Conv2d(3, 5, 4, stride=2, padding=1, act="leaky_relu_0.2"),
        lambda T: T.Conv2d(3, 5, 4, stride=2, padding=1),
        (2, 6, 8, 3),
    ),
    "transposed convolution": (
        lambda: nn.ConvTranspose2d(3, 5, 3, stride=2),
        lambda T: T.ConvTranspose2d(3, 5, 3, stride=2),
        (2, 4, 3, 3),
    ),
}


def pair(torch, name):
    """Our wrapped layer and PyTorch's with its weights and vectors, in float64."""
    make, make_theirs, shape = LAYERS[name]
    ours = nn.SpectralNorm(make())
    ours.initialize(1)
    ours.astype("float64")
    theirs = torch.nn.utils.parametrizations.spectral_norm(make_theirs(torch.nn).double())
    norm = theirs.parametrizations.weight[0]
    weight = theirs.parametrizations.weight.original
    rest = torch.moveaxis(weight, ours.axis and 1, 0).shape[1:]  # NCHW, as `v` is laid out
    v = ours.v.data.ravel()
    if len(rest) == 3:
        laid = (*rest[1:], rest[0]) if ours.axis == 0 else (rest[0], *rest[1:])
        v = v.reshape(laid).transpose((2, 0, 1) if ours.axis == 0 else (0, 1, 2)).ravel()
    with torch.no_grad():
        weight.copy_(to_torch(ours.layer.weight.data, torch))
        theirs.bias.copy_(torch.tensor(ours.layer.bias.data))
        norm._u.copy_(torch.tensor(ours.u.data.ravel()))
        norm._v.copy_(torch.tensor(v.copy()))
    return ours, theirs, shape


@pytest.mark.oracle
@pytest.mark.parametrize("name", LAYERS)
def test_two_steps_in_training_and_one_in_evaluation_are_those_of_pytorch(name):
    torch = pytest.importorskip("torch")
    ours, theirs, shape = pair(torch, name)
    rng = np.random.default_rng(2)
    for training in (True, True, False):
        ours.train(training)
        theirs.train(training)
        x = rng.standard_normal(shape)
        mine, other = Tensor(x, requires_grad=True), to_torch(x, torch).requires_grad_()
        out, want = ours(mine), theirs(other)
        if getattr(ours.layer, "act", None):
            want = torch.nn.functional.leaky_relu(want, 0.2)
        cotangent = rng.standard_normal(out.shape)
        for tensor in (*ours.named_parameters().values(), mine):
            tensor.grad = None
        theirs.zero_grad()
        backward(apply("mul", out, Tensor(cotangent)))
        want.backward(to_torch(cotangent, torch))
        close = {"rtol": 1e-8, "atol": 1e-10}
        np.testing.assert_allclose(out.data, from_torch(want), **close)
        np.testing.assert_allclose(mine.grad.data, from_torch(other.grad), **close)
        slope = theirs.parametrizations.weight.original.grad
        np.testing.assert_allclose(ours.layer.weight.grad.data, from_torch(slope), **close)
        np.testing.assert_allclose(ours.layer.bias.grad.data, theirs.bias.grad.numpy(), **close)
        u = theirs.parametrizations.weight[0]._u.numpy()
        np.testing.assert_allclose(ours.u.data.ravel(), u, **close)


@pytest.mark.parametrize("name", LAYERS)
def test_after_many_passes_the_largest_singular_value_of_the_weight_is_one(name):
    make, _, shape = LAYERS[name]
    layer = nn.SpectralNorm(make(), iterations=20)
    layer.initialize(0)
    x = Tensor(np.zeros(shape, np.float32))
    with no_grad():
        for _ in range(5):
            layer(x)
        matrix = layer.normalised().reshape(*layer.matrix().shape).data
    assert np.linalg.svd(matrix)[1][0] == pytest.approx(1.0, abs=1e-4)


def test_evaluation_changes_no_state_and_training_does():
    layer = nn.SpectralNorm(nn.Linear(6, 4))
    layer.initialize(0)
    x = Tensor(np.ones((2, 6), np.float32))
    before = layer.state_dict()
    assert sorted(before) == ["layer.bias", "layer.weight", "u", "v"]
    layer.eval()
    with no_grad():
        layer(x)
    assert all(np.array_equal(before[k], v) for k, v in layer.state_dict().items())
    layer.train()
    with no_grad():
        layer(x)
    assert not np.array_equal(before["u"], layer.u.data)
    assert np.array_equal(before["layer.weight"], layer.layer.weight.data)


def test_a_state_that_is_loaded_goes_on_as_the_one_that_was_saved():
    first, second = (nn.SpectralNorm(nn.Linear(6, 4)) for _ in range(2))
    first.initialize(0)
    second.initialize(9)
    second.load_state_dict(first.state_dict())
    x = Tensor(np.ones((2, 6), np.float32))
    with no_grad():
        for _ in range(3):
            np.testing.assert_array_equal(first(x).data, second(x).data)


def test_two_passes_before_one_backward_keep_each_its_own_vectors():
    """As a discriminator does with real and generated images: the sum of what each gives alone."""
    x, y = (np.random.default_rng(i).standard_normal((3, 6)) for i in range(2))

    def gradient(*passes):
        layer = nn.SpectralNorm(nn.Linear(6, 4))
        layer.initialize(0)
        layer.astype("float64")
        out = None
        for array, counts in passes:
            found = apply("mul", *2 * [layer(Tensor(array))])
            found = apply("scale", found, by=float(counts))
            out = found if out is None else apply("add", out, found)
        backward(out)
        return layer.layer.weight.grad.data

    both = gradient((x, 1), (y, 1))
    np.testing.assert_allclose(
        both, gradient((x, 1), (y, 0)) + gradient((x, 0), (y, 1)), rtol=1e-12
    )


def test_the_layer_has_its_own_weight_back_after_a_pass_and_after_a_failure():
    layer = nn.SpectralNorm(nn.Linear(6, 4))
    layer.initialize(0)
    own = layer.layer.weight
    with pytest.raises(ValueError, match="do not fit"):
        layer(Tensor(np.ones((2, 5), np.float32)))
    assert layer.layer.weight is own
    assert list(layer.named_parameters()) == ["layer.weight", "layer.bias"]
    tape.clear()


def test_no_iterations_are_refused():
    with pytest.raises(ValueError, match="at least one"):
        nn.SpectralNorm(nn.Linear(2, 2), iterations=0)
