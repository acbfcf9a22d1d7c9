"""The first GAN (Goodfellow et al. 2014): dense networks, for small images of any shape.

Generator: dense layers with leaky relu and batch norm, the last with tanh. Discriminator: dense
layers with leaky relu and dropout, to a score.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

from dlcli import nn
from dlcli.errors import UsageError
from dlcli.models.parts.adversarial import Critic, Game
from dlcli.models.parts.conditions import conditions
from dlcli.models.parts.layers import Unflatten
from dlcli.models.parts.rules import rule

DESCRIPTION = "images from noise: dense networks, the first GAN"
ADAPTS = "Images of any size, as rows of numbers; above some 32 pixels a side take dcgan."
KIND = "picture"
LEAKY = "leaky_relu_0.2"


@dataclass(frozen=True)
class Config:
    """hidden: units of the generator's layers, those of the discriminator in reverse. noise:
    numbers of a code. loss: min-max (the paper's first), non-saturating (its second), lsgan or
    wgan. dropout: in the discriminator. conditional: whether a class can be asked for. clusters:
    of the images, that both sides are told where none is asked for, as of dcgan; 0: as in the
    paper. decay: of the generator's averaged weights.
    """

    hidden: tuple[int, ...] = (256, 512, 1024)
    noise: int = 64
    loss: str = "non-saturating"
    dropout: float = 0.3
    conditional: bool = False
    clusters: int = 50
    decay: float = 0.999


def recipe(config: Config) -> dict[str, Any]:
    """Adam with less momentum than usual; the last checkpoint is the one."""
    return {
        "epochs": 15,
        "batch_size": 128,
        "optimizer": "adam",
        "lr": 3e-4,
        "beta1": 0.5,
        "schedule": "cosine",
        "monitor": "step",
    }


def build(config: Config, shape: tuple[int, int, int], classes: int, *, seed: int = 0) -> Game:
    """The game for images (H, W, C) = shape. UsageError for settings that make no network."""
    if not config.hidden or min(*config.hidden, config.noise) < 1 or not 0 <= config.decay < 1:
        raise UsageError(
            "gan: its settings make no network", why="hidden and noise ≥ 1, 0 ≤ decay < 1"
        )
    told = conditions(config.conditional, classes, config.clusters, prod(shape))
    pixels = prod(shape)
    model = Game(
        _generator(config, shape, config.noise + told.size),
        Critic(_features(config, pixels), config.hidden[0], told.size),
        rule("gan", config.loss),
        dims=config.noise,
        conditions=told,
        decay=config.decay,
    )
    model.initialize(seed)
    return model


def _generator(config: Config, shape: tuple[int, int, int], codes: int) -> nn.Module:
    layers: list[nn.Module] = []
    for units in config.hidden:
        layers += [nn.Linear(codes, units, bias=False), nn.BatchNorm(units), nn.Activation(LEAKY)]
        codes = units
    return nn.Sequential(*layers, nn.Linear(codes, prod(shape), act="tanh"), Unflatten(*shape))


def _features(config: Config, pixels: int) -> nn.Module:
    layers: list[nn.Module] = [nn.Flatten()]
    for units in reversed(config.hidden):
        layers += [nn.Linear(pixels, units, act=LEAKY), nn.Dropout(config.dropout)]
        pixels = units
    return nn.Sequential(*layers)
