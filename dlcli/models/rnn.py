"""An image read row by row by a vanilla recurrent layer (Elman 1990).

RNN 128 over the rows of an image → dense 64 relu → dense classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from dlcli import nn
from dlcli.errors import UsageError, did_you_mean
from dlcli.models.parts import rows
from dlcli.models.parts.classifier import Classifier
from dlcli.models.parts.rows import ADAPTS

__all__ = ["ADAPTS", "DESCRIPTION", "Config", "build"]

DESCRIPTION = "a vanilla recurrent layer over the rows of an image, two dense layers"
ACTIVATIONS = ("tanh", "relu")


@dataclass(frozen=True)
class Config(rows.Config):
    """hidden: units of each recurrent layer. layers: how many, one on top of the other.
    bidirectional: each layer also reads from the bottom to the top. dense: units of the hidden
    dense layer. dropout: between recurrent layers and before the last layer. activation: of the
    recurrent layers, tanh or relu.
    """

    activation: str = "tanh"


def build(
    config: Config, shape: tuple[int, int, int], classes: int, *, seed: int = 0
) -> Classifier:
    """A classifier of images (H, W, C) = shape, initialised from `seed`.

    UsageError for settings that make no network.
    """
    if config.activation not in ACTIVATIONS:
        raise UsageError(
            f"rnn: unknown activation {config.activation!r}",
            hint=did_you_mean(config.activation, ACTIVATIONS),
        )
    layer = partial(nn.RNN, act=config.activation)
    return rows.classifier("rnn", layer, config, shape, classes, seed)
