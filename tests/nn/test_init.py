"""First values: their spread follows the fans, each parameter has a random stream of its own."""

import numpy as np
import pytest

from dlcli import nn
from dlcli.engine.tape import no_grad
from dlcli.engine.tensor import Tensor
from dlcli.nn import init

DENSE, FILTERS = (64, 256), (96, 3, 5, 32)  # fans 256 and 64; 480 and 1440


def draw(fill, shape):
    return fill(init.stream(0, "w"), shape)


def test_fans_count_the_window():
    assert init.fans(DENSE) == (256, 64)
    assert init.fans(FILTERS) == (480, 1440)


@pytest.mark.parametrize("shape", [DENSE, FILTERS], ids=["dense", "filters"])
def test_the_deviation_is_that_of_the_paper(shape):
    fan_in, fan_out = init.fans(shape)
    for fill, variance in (
        (init.glorot_uniform, 2 / (fan_in + fan_out)),
        (init.glorot_normal, 2 / (fan_in + fan_out)),
        (init.he_uniform, 2 / fan_in),
        (init.he_normal, 2 / fan_in),
        (init.fan_in_uniform, 1 / (3 * fan_in)),  # of U(±1/√fan in)
    ):
        values = draw(fill, shape)
        assert values.shape == shape
        np.testing.assert_allclose(values.var(), variance, rtol=0.05)
        assert abs(values.mean()) < 0.05 * variance**0.5


@pytest.mark.parametrize("fill", [init.glorot_uniform, init.he_uniform, init.fan_in_uniform])
def test_uniform_values_fill_their_interval_and_stay_inside(fill):
    values = draw(fill, FILTERS)
    limit = (3 * values.var()) ** 0.5
    assert 0.99 < np.abs(values).max() / limit < 1.02
    assert (values < 0).any()


def test_parameters_of_one_shape_differ_and_do_not_depend_on_the_others():
    two = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    one = nn.Sequential(nn.Linear(4, 4))
    two.initialize(5)
    one.initialize(5)
    assert not np.array_equal(two.layers[0].weight.data, two.layers[1].weight.data)
    np.testing.assert_array_equal(two.layers[0].weight.data, one.layers[0].weight.data)


def test_dropout_layers_drop_different_elements_by_their_path_and_the_seed():
    x = Tensor(np.ones(1000, np.float32))

    def kept(seed):
        model = nn.Sequential(nn.Dropout(0.5), nn.Dropout(0.5))
        model.initialize(seed)
        with no_grad():
            return [layer(x).data != 0 for layer in model.layers]

    first, second = kept(0)
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, kept(1)[0])
    np.testing.assert_array_equal(first, kept(0)[0])
    assert 0.4 < first.mean() < 0.6
