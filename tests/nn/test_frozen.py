"""A gradient does not depend on which others are wanted: layers with frozen parts."""

import numpy as np
import pytest

from dlcli import nn
from dlcli.engine.tape import apply, backward
from dlcli.engine.tensor import Tensor

IMAGE, ROWS = (3, 7, 6, 4), (5, 4)
LAYERS = {
    "linear": (lambda: nn.Linear(4, 6, act="relu"), ROWS),
    "conv": (lambda: nn.Conv2d(4, 6, 3, act="relu"), IMAGE),
    "conv pool": (lambda: nn.Conv2d(4, 6, 3, act="relu", pool=2), IMAGE),
    "depthwise": (lambda: nn.Conv2d(4, 4, 3, groups=4), IMAGE),
    "batch norm": (lambda: nn.BatchNorm(4), IMAGE),
    "layer norm": (lambda: nn.LayerNorm(4), ROWS),
}


def gradients(name, wanted):
    """The gradients of those of x, weight and bias that are wanted."""
    make, shape = LAYERS[name]
    layer = make().astype("float64")
    layer.initialize(3)
    rng = np.random.default_rng(0)
    x = Tensor(rng.standard_normal(shape))
    leaves = {"x": x, "weight": layer.weight, "bias": layer.bias}
    for leaf_name, leaf in leaves.items():
        leaf.requires_grad = leaf_name in wanted
    out = layer(x)
    backward(apply("mul", out, Tensor(rng.standard_normal(out.shape))))
    assert all(leaf.grad is None for n, leaf in leaves.items() if n not in wanted)
    return {n: leaf.grad.data for n, leaf in leaves.items() if n in wanted}


@pytest.mark.parametrize("wanted", ["x", "weight", "bias"])
@pytest.mark.parametrize("name", LAYERS)
def test_one_gradient_alone_is_what_it_is_among_all(name, wanted):
    everything = gradients(name, {"x", "weight", "bias"})
    alone = gradients(name, {wanted})
    assert np.abs(alone[wanted]).max() > 0
    np.testing.assert_array_equal(alone[wanted], everything[wanted])
