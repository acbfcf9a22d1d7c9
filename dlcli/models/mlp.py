"""A feed-forward network: flatten → any number of hidden dense layers → dense classes."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dlcli import nn
from dlcli.errors import UsageError, did_you_mean
from dlcli.models.parts.classifier import Classifier

DESCRIPTION = "a feed-forward network with any number of hidden layers"
ADAPTS = "The image is flattened, whatever its size and channels; a row of a table is as it is."
KINDS = ("image", "table")
ACTIVATIONS = ("relu", "tanh", "sigmoid")


@dataclass(frozen=True)
class Config:
    """hidden: units of each hidden layer, [] for none. activation: relu, tanh or sigmoid. dropout:
    after each hidden layer.
    """

    hidden: tuple[int, ...] = (128, 64)
    activation: str = "relu"
    dropout: float = 0.0


def build(config: Config, shape: tuple[int, ...], classes: int, *, seed: int = 0) -> Classifier:
    """A classifier of images (H, W, C) = shape, or of rows (numbers,), initialised from `seed`.

    UsageError for settings that make no network.
    """
    if config.activation not in ACTIVATIONS:
        raise UsageError(
            f"mlp: unknown activation {config.activation!r}",
            hint=did_you_mean(config.activation, ACTIVATIONS),
        )
    if any(units < 1 for units in config.hidden):
        raise UsageError(
            f"mlp: hidden {config.hidden} do not make a network",
            why="each layer has at least one unit",
        )
    size = math.prod(shape)
    layers: list[nn.Module] = [nn.Flatten()]
    for units in config.hidden:
        layers.append(nn.Linear(size, units, act=config.activation))
        if config.dropout:
            layers.append(nn.Dropout(config.dropout))
        size = units
    model = Classifier(*layers, nn.Linear(size, classes))
    model.initialize(seed)
    return model
