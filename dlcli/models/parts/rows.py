"""What the sequence classifiers share: an image is a sequence of its rows, a stack of recurrent
layers reads it from the top to the bottom, and dense layers judge the state at the end. No model
itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dlcli import nn
from dlcli.engine.tensor import Tensor
from dlcli.errors import UsageError
from dlcli.models.parts.classifier import Classifier

ADAPTS = "An image is read row by row, all pixels and channels of a row in one step."


@dataclass(frozen=True)
class Config:
    """hidden: units of each recurrent layer. layers: how many, one on top of the other.
    bidirectional: each layer also reads from the bottom to the top. dense: units of the hidden
    dense layer. dropout: between recurrent layers and before the last layer.
    """

    hidden: int = 128
    layers: int = 1
    bidirectional: bool = False
    dense: int = 64
    dropout: float = 0.0


class Rows(nn.Module):
    """(N, H, W, C) → (N, H, W·C): a view."""

    def forward(self, x: Tensor) -> Tensor:
        n, height, width, channels = x.shape
        return x.reshape(n, height, width * channels)


def classifier(
    name: str,
    layer: Callable[..., nn.Recurrent],
    config: Config,
    shape: tuple[int, int, int],
    classes: int,
    seed: int,
) -> Classifier:
    """A classifier of images (H, W, C) = shape by recurrent layers, initialised from `seed`.

    layer: makes them, as `nn.LSTM` does. UsageError for settings that make no network.
    """
    if min(config.hidden, config.layers, config.dense) < 1 or not 0 <= config.dropout <= 1:
        raise UsageError(
            f"{name}: hidden {config.hidden}, layers {config.layers}, dense {config.dense} and"
            f" dropout {config.dropout} do not make a network",
            why="each number is 1 or more, dropout from 0 to 1",
        )
    recurrent = layer(
        shape[1] * shape[2],
        config.hidden,
        layers=config.layers,
        bidirectional=config.bidirectional,
        dropout=config.dropout,
    )
    layers: list[nn.Module] = [Rows(), nn.LastState(recurrent)]
    layers.append(nn.Linear(recurrent.outputs, config.dense, act="relu"))
    if config.dropout:
        layers.append(nn.Dropout(config.dropout))
    model = Classifier(*layers, nn.Linear(config.dense, classes))
    model.initialize(seed)
    return model
