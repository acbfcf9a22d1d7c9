"""A forecast of a series by an LSTM (Hochreiter & Schmidhuber 1997) with a linear autoregression
beside it (Lai et al. 2018), which keeps the level: the LSTM adds what a straight line cannot say.

    forecast = W · window + b + V · h,   h the LSTM's last state.   W begins as the naive forecast,
in which every step ahead is the last value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dlcli import nn
from dlcli.engine.tape import apply
from dlcli.engine.tensor import Tensor, zeros
from dlcli.errors import UsageError
from dlcli.models.parts.regressor import Regressor, check_loss

DESCRIPTION = "a time series: an LSTM beside a linear autoregression, all steps ahead at once"
ADAPTS = "It takes as many rows, and tells as many steps ahead, as --window and --horizon say."
KIND = "series"


@dataclass(frozen=True)
class Config:
    """hidden: units of an LSTM layer. layers: how many. dropout: between them and of what the
    dense layer takes. linear: with the autoregression beside it. loss: mse or huber.
    """

    hidden: int = 32
    layers: int = 1
    dropout: float = 0.2
    linear: bool = True
    loss: str = "mse"


class Forecast(Regressor):
    """Windows (N, window, features), the target first → (N, horizon)."""

    def __init__(self, config: Config, shape: tuple[int, ...]) -> None:
        window, features, horizon = shape
        self.loss = config.loss
        self.lstm = nn.LastState(
            nn.LSTM(features, config.hidden, layers=config.layers, dropout=config.dropout)
        )
        self.drop = nn.Dropout(config.dropout)
        self.head = nn.Linear(config.hidden, horizon)
        self.linear = None
        if config.linear:
            self.linear = nn.Linear(window * features, horizon, bias=False, fill=naive(features))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.drop(self.lstm(x)))
        if self.linear is not None:
            flat = x.reshape(x.shape[0], x.shape[1] * x.shape[2])
            out = apply("add", out, self.linear(flat))
        return out

    def blank(self, shape: tuple[int, ...]) -> tuple[Tensor]:
        """A window of zeros, for a summary of the layers."""
        return (zeros((1, *shape[:2])),)


def naive(features: int) -> nn.init.Fill:
    """A fill (horizon, window · features) with which every step ahead is the last target."""

    def fill(rng: Any, shape: tuple[int, ...]) -> np.ndarray:
        weights = np.zeros(shape)
        weights[:, -features] = 1
        return weights

    return fill


def build(config: Config, shape: tuple[int, ...], classes: int, *, seed: int = 0) -> Forecast:
    """A forecast of series, shape = (rows of a window, numbers of a row, steps of the horizon),
    initialised from `seed`. UsageError for settings that make no network.
    """
    if min(config.hidden, config.layers) < 1 or not 0 <= config.dropout < 1:
        what = f"hidden {config.hidden}, layers {config.layers} and dropout {config.dropout}"
        why = "each number is 1 or more, dropout 0 or more and below 1"
        raise UsageError(f"forecast: {what} do not make a network", why=why)
    check_loss("forecast", config.loss)
    model = Forecast(config, shape)
    model.initialize(seed)
    return model
