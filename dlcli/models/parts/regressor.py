"""What models that tell numbers share: one phase that lowers the squared error (or Huber's), and
the errors in the units of the data. No model itself.

A batch has, last among its inputs, the mean and deviation of what is to be told, (N, 2) float64: a
model answers in deviations from the mean, where its weights need not know how large numbers are.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dlcli import nn
from dlcli.engine.tensor import Tensor, made_on_host, on_device
from dlcli.errors import UsageError
from dlcli.nn import losses

LOSSES = {"mse": losses.mse, "huber": losses.huber}


class Lower:
    """The one phase: lower the loss by moving every parameter."""

    name = "train"

    def __init__(self, model: Regressor) -> None:
        self.model = model
        self.parameters: dict[str, Tensor] = dict(model.named_parameters())

    def loss(self, batch: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """A batch, with batch.y (N,) or (N, horizon) in their units → the mean loss in deviations,
        and the answers, of the shape of y.
        """
        model = self.model
        answers = model(*[on_device(array) for array in batch.inputs[:-1]])
        loss: Tensor = LOSSES[model.loss](answers, made_on_host(scaled, batch.y, batch.inputs[-1]))
        return loss, {"answers": answers}


class Regressor(nn.Module):
    """loss: "mse" or "huber"."""

    loss = "mse"

    def phases(self) -> list[Lower]:
        """One."""
        return [Lower(self)]

    def measure(self, outputs: dict[str, Tensor], batch: Any) -> dict[str, float]:
        """Over the batch: the sum of mean squared errors in units, whose root is the RMSE."""
        about = batch.inputs[-1]
        error = outputs["answers"].numpy().astype(np.float64) - _apart(batch.y, about)
        error *= _along(about, 1, batch.y.ndim)
        return {"squares": float(np.square(error).reshape(len(error), -1).mean(axis=1).sum())}


def _along(about: np.ndarray, column: int, axes: int) -> np.ndarray:
    """The mean (0) or the deviation (1) of each sample, with so many axes."""
    return about[:, column].reshape(-1, *(1,) * (axes - 1))


def _apart(y: np.ndarray, about: np.ndarray) -> np.ndarray:
    found: np.ndarray = (y - _along(about, 0, y.ndim)) / _along(about, 1, y.ndim)
    return found


def scaled(y: np.ndarray, about: np.ndarray) -> np.ndarray:
    """y in deviations from the mean, float32; the difference is taken in float64. about (N, 2): the
    mean and the deviation.
    """
    return _apart(y, about).astype(np.float32)


def check_loss(name: str, loss: str) -> None:
    """UsageError: there is no such loss."""
    if loss not in LOSSES:
        why = f"there is {' and '.join(LOSSES)}"
        raise UsageError(f"{name}: there is no loss '{loss}'", why=why)
