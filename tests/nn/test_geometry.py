"""What padding means, and which geometries are refused."""

import numpy as np
import pytest

from dlcli import nn
from dlcli.engine.tape import no_grad
from dlcli.engine.tensor import Tensor
from dlcli.nn.functional import resolve_padding


def images(height, width, channels=2):
    return Tensor(np.ones((1, height, width, channels), np.float32))


@pytest.mark.parametrize(
    ("size", "window", "stride", "dilation", "sides"),
    [
        (5, 3, 1, 1, (1, 1)),
        (5, 2, 1, 1, (0, 1)),  # an odd one goes after
        (6, 3, 2, 1, (0, 1)),
        (5, 3, 2, 1, (1, 1)),
        (7, 3, 3, 1, (1, 1)),
        (8, 1, 3, 1, (0, 0)),  # never negative
        (9, 3, 1, 2, (2, 2)),
        (9, 3, 2, 3, (3, 3)),
        (10, 4, 3, 2, (3, 3)),
    ],
)
def test_same_pads_as_tensorflow_does(size, window, stride, dilation, sides):
    """The rule of tf.nn.convolution: of (⌈n/s⌉ − 1)·s + (w − 1)·d + 1 − n in all, half before."""
    found = resolve_padding("same", (size, 4), (window, 1), (stride, 1), (dilation, 1))
    assert found == (sides, (0, 0))


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kernel", [1, 2, 3, 5])
def test_same_gives_the_size_divided_by_the_stride_rounded_up(kernel, stride):
    for size in range(1, 9):
        layers = (
            nn.Conv2d(2, 3, kernel, stride=stride, padding="same"),
            nn.MaxPool2d(kernel, stride, padding="same"),
        )
        for layer in layers:
            with no_grad():
                assert layer(images(size, size)).shape[1:3] == (-(-size // stride),) * 2


def test_padding_is_written_in_four_ways():
    geometry = ((5, 5), (3, 3), (1, 1))
    assert resolve_padding("valid", *geometry) == ((0, 0), (0, 0))
    assert resolve_padding(2, *geometry) == ((2, 2), (2, 2))
    assert resolve_padding((1, 2), *geometry) == ((1, 1), (2, 2))
    assert resolve_padding(((0, 1), (2, 3)), *geometry) == ((0, 1), (2, 3))
    with pytest.raises(ValueError, match="'same', 'valid' or numbers"):
        resolve_padding("full", *geometry)


def test_a_one_dimensional_convolution_pads_its_two_ends_as_told():
    x = Tensor(np.ones((1, 6, 2), np.float32))
    lengths = {3: 10, (0, 3): 7, "valid": 4, "same": 6}
    with no_grad():
        for padding, length in lengths.items():
            assert nn.Conv1d(2, 3, 3, padding=padding)(x).shape == (1, length, 3)


@pytest.mark.parametrize("act", ["relu", "silu"], ids=["fused", "apart"])
def test_a_map_smaller_than_the_pooling_window_is_refused_not_made_empty(act):
    layer = nn.Conv2d(2, 3, 3, act=act, pool=2)
    with pytest.raises(ValueError, match="window"), no_grad():
        layer(images(3, 8))
    with no_grad():
        assert layer(images(4, 9)).shape == (1, 1, 3, 3)  # what is left over is dropped


def test_what_is_no_convolution_is_refused_with_its_figures():
    with pytest.raises(ValueError, match="3 and 4 channels do not split into 2 groups"):
        nn.Conv2d(3, 4, 3, groups=2)
    with pytest.raises(ValueError, match="into 0 groups"):
        nn.Conv1d(3, 4, 3, groups=0)
    with no_grad():
        for layer in (
            nn.Conv2d(2, 3, 3, stride=0),
            nn.Conv2d(2, 3, 3, dilation=0),
            nn.Conv2d(2, 3, 3, padding=-1),
        ):
            with pytest.raises(ValueError, match="must be positive"):
                layer(images(5, 5))
        with pytest.raises(ValueError, match="a filter of 5 does not fit into 4"):
            nn.Conv2d(2, 3, 3, dilation=2)(images(4, 4))
        with pytest.raises(ValueError, match="do not fit together in 1 groups"):
            nn.Conv2d(3, 3, 3)(images(5, 5))
        with pytest.raises(ValueError, match=r"x \(N, H, W, C\)"):
            nn.Conv2d(2, 3, 3)(Tensor(np.ones((5, 5, 2), np.float32)))
