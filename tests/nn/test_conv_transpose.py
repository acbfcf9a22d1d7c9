"""Transposed convolution against PyTorch's, and against the convolution that it transposes."""

import numpy as np
import pytest

from dlcli import nn
from dlcli.engine.tape import apply, backward, no_grad
from dlcli.engine.tensor import Tensor

from .torch_pair import copy_weights, from_torch, to_torch

GEOMETRIES = [  # kernel, stride, padding, output padding
    (4, 2, 1, 0),
    (4, 1, 0, 0),
    (3, 1, 1, 0),
    (3, 2, 1, 1),
    (5, 2, 2, 1),
    (2, 2, 0, 0),
    (2, 3, 0, 1),
    (3, 3, 2, 2),
    (1, 1, 0, 0),
    (1, 2, 0, 1),
    ((3, 2), (2, 1), (1, 0), (1, 0)),
    ((2, 5), (1, 3), (0, 2), (0, 2)),
]
ACTIVATIONS = [None, "tanh", "leaky_relu_0.2", "silu"]


def compare(torch, ours, theirs, shape, dtype):
    """Outputs and all gradients of a layer and PyTorch's, which has its weights."""
    ours.initialize(3)
    ours.astype(dtype)
    theirs = theirs.to(getattr(torch, dtype))
    pairs = copy_weights(ours, theirs, torch)
    rng = np.random.default_rng(1)
    x = rng.standard_normal(shape).astype(dtype)
    mine, other = Tensor(x, requires_grad=True), to_torch(x, torch).requires_grad_()
    out, want = ours(mine), theirs(other)
    assert out.shape == from_torch(want).shape
    cotangent = rng.standard_normal(out.shape).astype(dtype)
    backward(apply("mul", out, Tensor(cotangent)))
    want.backward(to_torch(cotangent, torch))
    close = {"rtol": 1e-9, "atol": 1e-11} if dtype == "float64" else {"rtol": 1e-4, "atol": 2e-5}
    np.testing.assert_allclose(out.data, from_torch(want), **close)
    np.testing.assert_allclose(mine.grad.data, from_torch(other.grad), **close)
    for parameter, reference in pairs:
        np.testing.assert_allclose(parameter.grad.data, from_torch(reference.grad), **close)


@pytest.mark.oracle
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("kernel", "stride", "padding", "more"), GEOMETRIES)
def test_outputs_and_gradients_are_those_of_pytorch(kernel, stride, padding, more, dtype):
    torch = pytest.importorskip("torch")
    settings = {"stride": stride, "padding": padding, "output_padding": more}
    ours = nn.ConvTranspose2d(6, 5, kernel, **settings)
    theirs = torch.nn.ConvTranspose2d(6, 5, kernel, **settings)
    compare(torch, ours, theirs, (3, 5, 4, 6), dtype)


@pytest.mark.oracle
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("act", ACTIVATIONS)
def test_bias_and_activation_follow_whether_fused_or_not(act, bias):
    torch = pytest.importorskip("torch")
    T = torch.nn
    after = {"tanh": T.Tanh(), "leaky_relu_0.2": T.LeakyReLU(0.2), "silu": T.SiLU()}
    ours = nn.ConvTranspose2d(4, 3, 4, stride=2, padding=1, bias=bias, act=act)
    theirs = T.Sequential(
        T.ConvTranspose2d(4, 3, 4, stride=2, padding=1, bias=bias), after.get(act, T.Identity())
    )
    compare(torch, ours, theirs, (2, 4, 3, 4), "float64")


@pytest.mark.parametrize(("kernel", "stride", "padding", "more"), GEOMETRIES)
def test_it_is_the_transpose_of_the_convolution_with_its_filters(kernel, stride, padding, more):
    """⟨convᵀ(x), y⟩ = ⟨x, conv(y)⟩."""
    layer = nn.ConvTranspose2d(
        3, 2, kernel, stride=stride, padding=padding, output_padding=more, bias=False
    ).astype("float64")
    layer.initialize(0)
    back = nn.Conv2d(2, 3, kernel, stride=stride, padding=layer.padding, bias=False)
    back.weight = layer.weight
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 4, 5, 3))
    with no_grad():
        out = layer(Tensor(x))
        y = rng.standard_normal(out.shape)
        there = back(Tensor(y))
    assert out.shape[1:3] == layer.size(4, 5)
    np.testing.assert_allclose(np.sum(out.data * y), np.sum(x * there.data), rtol=1e-11)


def test_one_pixel_spreads_its_filter_over_a_stride_apart():
    layer = nn.ConvTranspose2d(1, 1, 2, stride=3, bias=False)
    layer.weight.write(np.array([[1, 2], [3, 4]], np.float32).reshape(1, 2, 2, 1))
    x = Tensor(np.array([1, 10], np.float32).reshape(1, 1, 2, 1))
    with no_grad():
        out = layer(x).data[0, :, :, 0]
    np.testing.assert_array_equal(out, [[1, 2, 0, 10, 20], [3, 4, 0, 30, 40]])


def test_padding_of_each_side_takes_that_side_away():
    whole = nn.ConvTranspose2d(2, 3, 3, stride=2, bias=False)
    whole.initialize(0)
    cut = nn.ConvTranspose2d(2, 3, 3, stride=2, padding=((1, 0), (2, 1)), bias=False)
    cut.weight.write(whole.weight.data)
    x = Tensor(np.random.default_rng(0).standard_normal((1, 3, 4, 2)).astype(np.float32))
    with no_grad():
        np.testing.assert_allclose(cut(x).data, whole(x).data[:, 1:, 2:-1], rtol=1e-6)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"output_padding": 1}, "not below the stride"),
        ({"stride": (2, 1), "output_padding": (1, 1)}, "not below the stride"),
        ({"padding": "same"}, "number of pixels"),
    ],
)
def test_settings_without_a_meaning_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        nn.ConvTranspose2d(2, 3, 3, **settings)
