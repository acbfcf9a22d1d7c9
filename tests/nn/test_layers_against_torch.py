"""Every layer against PyTorch: the output, the gradient for the input, and every parameter's
gradient, in float64 and float32.
"""

import numpy as np
import pytest

from dlcli import nn
from dlcli.engine.tape import backward
from dlcli.engine.tensor import Tensor

from .torch_pair import copy_weights, from_torch, to_torch

pytestmark = pytest.mark.oracle
torch = pytest.importorskip("torch")
T = torch.nn

IMAGE, SEQUENCE, ROWS = (3, 9, 8, 4), (3, 11, 4), (5, 7)
LAYERS = {
    "linear": (lambda: nn.Linear(7, 6), lambda: T.Linear(7, 6), ROWS),
    "linear relu": (
        lambda: nn.Linear(7, 6, act="relu"),
        lambda: T.Sequential(T.Linear(7, 6), T.ReLU()),
        ROWS,
    ),
    "linear gelu": (
        lambda: nn.Linear(7, 6, act="gelu"),
        lambda: T.Sequential(T.Linear(7, 6), T.GELU()),
        ROWS,
    ),
    "linear without bias": (
        lambda: nn.Linear(7, 6, bias=False),
        lambda: T.Linear(7, 6, bias=False),
        ROWS,
    ),
    "conv valid": (lambda: nn.Conv2d(4, 6, 3), lambda: T.Conv2d(4, 6, 3), IMAGE),
    "conv same": (
        lambda: nn.Conv2d(4, 6, 3, padding="same"),
        lambda: T.Conv2d(4, 6, 3, padding="same"),
        IMAGE,
    ),
    "conv stride, padding": (
        lambda: nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 0)),
        lambda: T.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 0)),
        IMAGE,
    ),
    "conv dilated": (
        lambda: nn.Conv2d(4, 6, 3, dilation=2),
        lambda: T.Conv2d(4, 6, 3, dilation=2),
        IMAGE,
    ),
    "conv groups": (
        lambda: nn.Conv2d(4, 6, 3, groups=2),
        lambda: T.Conv2d(4, 6, 3, groups=2),
        IMAGE,
    ),
    "conv depthwise": (
        lambda: nn.Conv2d(4, 4, 3, groups=4),
        lambda: T.Conv2d(4, 4, 3, groups=4),
        IMAGE,
    ),
    "conv relu": (
        lambda: nn.Conv2d(4, 6, 3, act="relu"),
        lambda: T.Sequential(T.Conv2d(4, 6, 3), T.ReLU()),
        IMAGE,
    ),
    "conv relu pool": (
        lambda: nn.Conv2d(4, 8, 3, act="relu", pool=2),
        lambda: T.Sequential(T.Conv2d(4, 8, 3), T.ReLU(), T.MaxPool2d(2)),
        IMAGE,
    ),
    "conv silu pool": (
        lambda: nn.Conv2d(4, 6, 3, act="silu", pool=2),
        lambda: T.Sequential(T.Conv2d(4, 6, 3), T.SiLU(), T.MaxPool2d(2)),
        IMAGE,
    ),
    "conv tanh pool (3, 2)": (
        lambda: nn.Conv2d(4, 6, 3, act="tanh", pool=(3, 2)),
        lambda: T.Sequential(T.Conv2d(4, 6, 3), T.Tanh(), T.MaxPool2d((3, 2))),
        IMAGE,
    ),
    "conv1d": (
        lambda: nn.Conv1d(4, 6, 3, stride=2, padding=1, dilation=2),
        lambda: T.Conv1d(4, 6, 3, stride=2, padding=1, dilation=2),
        SEQUENCE,
    ),
    "conv1d same groups": (
        lambda: nn.Conv1d(4, 6, 3, padding="same", groups=2, act="relu"),
        lambda: T.Sequential(T.Conv1d(4, 6, 3, padding="same", groups=2), T.ReLU()),
        SEQUENCE,
    ),
    "max pool": (lambda: nn.MaxPool2d(2), lambda: T.MaxPool2d(2), IMAGE),
    "max pool overlapping": (
        lambda: nn.MaxPool2d(3, 2, padding=1),
        lambda: T.MaxPool2d(3, 2, padding=1),
        IMAGE,
    ),
    "average pool": (
        lambda: nn.AvgPool2d((3, 2), (2, 1)),
        lambda: T.AvgPool2d((3, 2), (2, 1)),
        IMAGE,
    ),
    "average pool padded": (
        lambda: nn.AvgPool2d(3, 2, padding=1, count_include_pad=False),
        lambda: T.AvgPool2d(3, 2, padding=1, count_include_pad=False),
        IMAGE,
    ),
    "global average pool": (
        nn.GlobalAvgPool2d,
        lambda: T.Sequential(T.AdaptiveAvgPool2d(1), T.Flatten()),
        IMAGE,
    ),
    "global max pool": (
        nn.GlobalMaxPool2d,
        lambda: T.Sequential(T.AdaptiveMaxPool2d(1), T.Flatten()),
        IMAGE,
    ),
    "batch norm": (lambda: nn.BatchNorm(4), lambda: T.BatchNorm2d(4), IMAGE),
    "batch norm of rows": (lambda: nn.BatchNorm(7), lambda: T.BatchNorm1d(7), ROWS),
    "layer norm": (lambda: nn.LayerNorm(7), lambda: T.LayerNorm(7), ROWS),
    "instance norm": (lambda: nn.InstanceNorm(4), lambda: T.InstanceNorm2d(4), IMAGE),
    "instance norm affine": (
        lambda: nn.InstanceNorm(4, affine=True, eps=1e-3),
        lambda: T.InstanceNorm2d(4, affine=True, eps=1e-3),
        IMAGE,
    ),
    "instance norm of sequences": (
        lambda: nn.InstanceNorm(4),
        lambda: T.InstanceNorm1d(4),
        SEQUENCE,
    ),
    "upsample": (nn.Upsample, lambda: T.Upsample(scale_factor=2), IMAGE),
    "upsample (3, 2)": (
        lambda: nn.Upsample((3, 2)),
        lambda: T.Upsample(scale_factor=(3, 2)),
        IMAGE,
    ),
    "upsample bilinear": (
        lambda: nn.Upsample(2, "bilinear"),
        lambda: T.Upsample(scale_factor=2, mode="bilinear"),
        IMAGE,
    ),
    "upsample bilinear (3, 4)": (
        lambda: nn.Upsample((3, 4), "bilinear"),
        lambda: T.Upsample(scale_factor=(3, 4), mode="bilinear"),
        IMAGE,
    ),
    "reflection pad": (lambda: nn.ReflectionPad2d(3), lambda: T.ReflectionPad2d(3), IMAGE),
    "reflection pad of sides": (
        lambda: nn.ReflectionPad2d(((1, 8), (0, 5))),
        lambda: T.ReflectionPad2d((0, 5, 1, 8)),
        IMAGE,
    ),
    **{
        act: (lambda act=act: nn.Activation(act), theirs, ROWS)
        for act, theirs in {
            "relu": T.ReLU,
            "relu6": T.ReLU6,
            "leaky_relu": T.LeakyReLU,
            "leaky_relu_0.2": lambda: T.LeakyReLU(0.2),
            "elu": T.ELU,
            "selu": T.SELU,
            "gelu": T.GELU,
            "silu": T.SiLU,
            "sigmoid": T.Sigmoid,
            "tanh": T.Tanh,
            "softplus": T.Softplus,
            "hard_tanh": T.Hardtanh,
        }.items()
    },
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_and_its_gradients_equal_torch(name, dtype):
    make, make_theirs, shape = LAYERS[name]
    ours, theirs = make(), make_theirs()
    ours.initialize(3)
    ours.astype(dtype)
    theirs = theirs.to(getattr(torch, dtype))
    pairs = copy_weights(ours, theirs, torch)
    rng = np.random.default_rng(1)
    x = rng.standard_normal(shape).astype(dtype)
    mine, other = Tensor(x, requires_grad=True), to_torch(x, torch).requires_grad_()
    out, want = ours(mine), theirs(other)
    cotangent = rng.standard_normal(out.shape).astype(dtype)
    backward(apply_mul(out, Tensor(cotangent)))
    want.backward(to_torch(cotangent, torch))
    close = {"rtol": 1e-9, "atol": 1e-11} if dtype == "float64" else {"rtol": 1e-4, "atol": 2e-5}
    np.testing.assert_allclose(out.data, from_torch(want), **close)
    np.testing.assert_allclose(mine.grad.data, from_torch(other.grad), **close)
    for parameter, reference in pairs:
        np.testing.assert_allclose(parameter.grad.data, from_torch(reference.grad), **close)
    for buffer, reference in zip(
        ours.named_buffers().values(), [b for b in theirs.buffers() if b.ndim], strict=True
    ):
        np.testing.assert_allclose(buffer.data, from_torch(reference), **close)


def apply_mul(x, y):
    from dlcli.engine.tape import apply

    return apply("mul", x, y)


def test_batch_norm_in_evaluation_uses_the_running_statistics_as_torch_does():
    ours, theirs = nn.BatchNorm(4).astype("float64"), T.BatchNorm2d(4).double()
    ours.initialize(0)
    rng = np.random.default_rng(0)
    for _ in range(3):
        x = 2 + 3 * rng.standard_normal(IMAGE)
        ours(Tensor(x))
        theirs(to_torch(x, torch))
    ours.eval()
    theirs.eval()
    x = rng.standard_normal(IMAGE)
    want = from_torch(theirs(to_torch(x, torch)))
    np.testing.assert_allclose(ours(Tensor(x)).data, want, rtol=1e-9, atol=1e-11)
