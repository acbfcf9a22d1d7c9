"""WGAN (Arjovsky, Chintala & Bottou 2017): a critic whose scores differ by about the distance of
real images from generated ones, as long as its slope is bounded. By clipping its weights, or with
gp by a penalty on its gradient (Gulrajani et al. 2017).

DCGAN's networks; the critic has no batch norm, by which the score of an image would depend on
others: instance norm stands in its place.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

from dlcli import nn
from dlcli.errors import UsageError
from dlcli.models import dcgan
from dlcli.models.parts.adversarial import Game
from dlcli.models.parts.conditions import conditions
from dlcli.models.parts.rules import rule

DESCRIPTION = "images from noise: a Wasserstein critic, with clipped weights or --gp"
ADAPTS = dcgan.ADAPTS
KIND = dcgan.KIND


@dataclass(frozen=True)
class Config:
    """width, noise, conditional, clusters, decay: as of dcgan. gp: a gradient penalty instead of
    clipped weights, of weight `penalty`. clip: the largest weight. every: the critic's steps to one
    of the generator; 0: 5 with clipped weights, 1 with gp, by which it is never far behind.
    """

    width: int = 32
    noise: int = 100
    conditional: bool = False
    clusters: int = 50
    decay: float = 0.999
    gp: bool = False
    penalty: float = 10.0
    clip: float = 0.01
    every: int = 0


def recipe(config: Config) -> dict[str, Any]:
    """RMSprop for clipped weights, since momentum makes them unstable; Adam without it for gp."""
    shared = {"batch_size": 64, "schedule": "cosine", "monitor": "step"}
    if config.gp:
        adam = {"optimizer": "adam", "lr": 4e-4, "beta1": 0.0, "beta2": 0.9}
        return {**shared, "epochs": 6, **adam}
    return {**shared, "epochs": 12, "optimizer": "rmsprop", "lr": 2e-4}


def _instance(conv: nn.Conv2d, channels: int) -> list[nn.Module]:
    return [conv, nn.InstanceNorm(channels, affine=True)]


def build(config: Config, shape: tuple[int, int, int], classes: int, *, seed: int = 0) -> Game:
    """The game for images (H, W, C) = shape. UsageError for settings or images that make none."""
    if min(config.width, config.noise) < 1 or config.every < 0 or not 0 <= config.decay < 1:
        raise UsageError(
            "wgan: its settings make no network", why="width, noise ≥ 1, every ≥ 0, 0 ≤ decay < 1"
        )
    if config.penalty <= 0 or config.clip <= 0:
        why = "the critic's slope would not be bounded"
        raise UsageError("wgan: penalty and clip must be above 0", why=why)
    side, times = dcgan.doublings("wgan", shape)
    told = conditions(config.conditional, classes, config.clusters, prod(shape))
    model = Game(
        dcgan.generator(shape, side, times, config.noise + told.size, config.width),
        dcgan.critic(shape, side, times, config.width, told.size, _instance),
        rule("wgan", "wgan"),
        dims=config.noise,
        conditions=told,
        every=config.every or (1 if config.gp else 5),
        clip=0.0 if config.gp else config.clip,
        penalty=config.penalty if config.gp else 0.0,
        decay=config.decay,
    )
    model.initialize(seed)
    return model
