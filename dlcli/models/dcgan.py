"""DCGAN (Radford, Metz & Chintala 2016): images from noise by transposed convolutions with batch
norm, against strided convolutions with leaky relu 0.2.

Generator: dense to the smallest map (4×4 or 7×7), then doublings by 4×4 transposed convolutions,
each with batch norm and relu, the last with tanh. Discriminator: 4×4 convolutions of stride 2,
batch norm on all but the first, dense to a score.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Any

from dlcli import nn
from dlcli.errors import UsageError
from dlcli.models.parts.adversarial import Critic, Game, small_normal
from dlcli.models.parts.conditions import conditions
from dlcli.models.parts.layers import Unflatten
from dlcli.models.parts.rules import rule

DESCRIPTION = "images from noise: transposed convolutions against convolutions"
ADAPTS = (
    "Images of 28, 32 or 64 pixels a side (any square whose side is 4, 5, 6 or 7 doubled up to"
    " five times), grey or in colour."
)
KIND = "picture"
LEAKY = "leaky_relu_0.2"
Norm = Callable[[nn.Conv2d, int], list[nn.Module]]
MOST_DOUBLINGS, SMALLEST, LARGEST = 5, 4, 7


@dataclass(frozen=True)
class Config:
    """width: channels of the largest map within, doubled with every halving. noise: numbers of a
    code. loss: min-max, non-saturating, lsgan or wgan. norm: of the discriminator, batch, or
    spectral, which bounds its slope (Miyato et al. 2018). conditional: whether a class can be
    asked for. clusters: of the images, found without labels, that both sides are told where no
    class is asked for; 0: as in the paper. decay: of the generator's averaged weights.
    """

    width: int = 32
    noise: int = 100
    loss: str = "non-saturating"
    norm: str = "batch"
    conditional: bool = False
    clusters: int = 50
    decay: float = 0.999


def recipe(config: Config) -> dict[str, Any]:
    """Adam by the paper's momentum, at five times its rate, which falls to nothing; the last
    checkpoint is the one.
    """
    return {
        "epochs": 8,
        "batch_size": 64,
        "lr": 1e-3,
        "beta1": 0.5,
        "optimizer": "adam",
        "schedule": "cosine",
        "monitor": "step",
    }


def doublings(name: str, shape: tuple[int, ...]) -> tuple[int, int]:
    """(side of the smallest map, doublings). UsageError: an image is not such a square."""
    height, width, _ = shape
    for times in range(MOST_DOUBLINGS, 0, -1):
        if height == width and height % 2**times == 0 and SMALLEST <= height >> times <= LARGEST:
            return height >> times, times
    raise UsageError(
        f"{name}: images of {height}×{width} do not fit",
        why=ADAPTS.removesuffix("."),
        hint="for a folder: --image-size 32 or 64",
    )


def generator(shape: tuple[int, ...], side: int, times: int, codes: int, width: int) -> nn.Module:
    """Codes (N, codes) to images of `shape`."""
    channels = [width << i for i in reversed(range(times))]
    layers: list[nn.Module] = [
        nn.Linear(codes, side * side * channels[0], bias=False, fill=small_normal),
        Unflatten(side, side, channels[0]),
        nn.BatchNorm(channels[0]),
        nn.Activation("relu"),
    ]
    for before, after in pairwise(channels):
        conv = nn.ConvTranspose2d(
            before, after, 4, stride=2, padding=1, bias=False, fill=small_normal
        )
        layers += [conv, nn.BatchNorm(after), nn.Activation("relu")]
    last = nn.ConvTranspose2d(
        channels[-1], shape[2], 4, stride=2, padding=1, act="tanh", fill=small_normal
    )
    return nn.Sequential(*layers, last)


def critic(
    shape: tuple[int, ...], side: int, times: int, width: int, classes: int, norm: Norm
) -> Critic:
    """Images of `shape` to scores. norm(convolution, channels): the layers in which a convolution
    but the first stands.
    """
    layers: list[nn.Module] = [
        nn.Conv2d(shape[2], width, 4, stride=2, padding=1, act=LEAKY, fill=small_normal)
    ]
    for i in range(times - 1):
        before, after = width << i, width << (i + 1)
        conv = nn.Conv2d(before, after, 4, stride=2, padding=1, fill=small_normal)
        layers += [*norm(conv, after), nn.Activation(LEAKY)]
    features = nn.Sequential(*layers, nn.Flatten())
    return Critic(features, side * side * (width << (times - 1)), classes)


def _batch(conv: nn.Conv2d, channels: int) -> list[nn.Module]:
    return [conv, nn.BatchNorm(channels, track_running_stats=False)]


def _spectral(conv: nn.Conv2d, channels: int) -> list[nn.Module]:
    return [nn.SpectralNorm(conv)]


NORMS: dict[str, Norm] = {"batch": _batch, "spectral": _spectral}


def build(config: Config, shape: tuple[int, int, int], classes: int, *, seed: int = 0) -> Game:
    """The game for images (H, W, C) = shape. UsageError for settings or images that make none."""
    if min(config.width, config.noise) < 1 or not 0 <= config.decay < 1:
        raise UsageError(
            "dcgan: its settings make no network", why="width and noise ≥ 1, 0 ≤ decay < 1"
        )
    if config.norm not in NORMS:
        why = f"there is {' and '.join(NORMS)}"
        raise UsageError(f"dcgan: there is no norm '{config.norm}'", why=why)
    side, times = doublings("dcgan", shape)
    told = conditions(config.conditional, classes, config.clusters, prod(shape))
    model = Game(
        generator(shape, side, times, config.noise + told.size, config.width),
        critic(shape, side, times, config.width, told.size, NORMS[config.norm]),
        rule("dcgan", config.loss),
        dims=config.noise,
        conditions=told,
        decay=config.decay,
    )
    model.initialize(seed)
    return model
