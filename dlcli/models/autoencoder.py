"""An autoencoder (Hinton & Salakhutdinov 2006): images through a code of few numbers and back.

Images → dense layers or convolutions → code → the same in reverse, tanh → images; the loss is the
mean squared difference. Nothing in it says how codes are distributed. To draw new images the model
follows the mean and covariance of the codes of the training images, and takes codes from the
Gaussian that has them: of the distributions that can be fitted afterwards the simplest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dlcli import nn
from dlcli.engine.forward import Forward
from dlcli.engine.tape import apply, no_grad
from dlcli.engine.tensor import Tensor, made_on_host, on_device
from dlcli.models.parts import codec
from dlcli.models.parts.coding import KIND, Coder
from dlcli.nn import losses
from dlcli.nn.functional import activation

__all__ = ["ADAPTS", "DESCRIPTION", "KIND", "Autoencoder", "Config", "build", "recipe"]

DESCRIPTION = "images through a code of few numbers and back"
ADAPTS = "Images of any size; convolutions halve them until no side is above 7 pixels."
MOMENTUM = 0.02  # of the codes' mean and covariance: about the last 50 batches count


@dataclass(frozen=True)
class Config(codec.Sizes):
    """form: dense, two layers each way, or conv. code: its numbers. hidden: units of the dense
    layers, one each way where there are convolutions. width: channels of the largest map of the
    convolutions, doubled with every halving.
    """


def recipe(config: Config) -> dict[str, Any]:
    """Adam with a falling rate, for as many epochs as the data say."""
    return {"optimizer": "adam", "lr": 1e-3, "schedule": "cosine"}


class Autoencoder(Coder):
    """dims: numbers of a code."""

    notes = (
        "an autoencoder knows no distribution of codes: these come from a Gaussian with the mean"
        " and covariance of the training images'",
    )

    def __init__(self, networks: codec.Codec, dims: int) -> None:
        self.encoder, self.decoder = networks.encoder, networks.decoder
        self.head = nn.Linear(networks.units, dims)
        self.dims = dims
        self._encoded = Forward(self, lambda x: [self._codes(on_device(x))])
        self._decoded = Forward(self, lambda codes: [self._images(on_device(codes))])
        self.mean = nn.Buffer(np.zeros(dims, np.float32))
        self.covariance = nn.Buffer(np.eye(dims, dtype=np.float32))

    def forward(self, *inputs: Tensor) -> Tensor:
        """Images to what becomes of them."""
        return self._images(self._codes(inputs[0]))

    def _codes(self, x: Tensor) -> Tensor:
        return self.head(self.encoder(x))

    def _images(self, codes: Tensor) -> Tensor:
        return activation(self.decoder(codes), "tanh")

    def loss(self, batch: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """batch.x (N, H, W, C) in [−1, 1] → the mean squared difference, black and white 1 apart.
        In training the codes' mean and covariance follow.
        """
        x = on_device(batch.x)
        codes = self._codes(x)
        if self.training:
            with no_grad():
                apply("assign", self.covariance, made_on_host(self._scatter, codes))
                apply("assign", self.mean, made_on_host(self._centre, codes))
        return apply("scale", losses.mse(self._images(codes), x), by=0.25), {}

    def _centre(self, codes: np.ndarray) -> np.ndarray:
        """The mean, moved towards that of these codes."""
        found = (1 - MOMENTUM) * self.mean.numpy() + MOMENTUM * codes.mean(axis=0)
        return found.astype(self.mean.dtype)

    def _scatter(self, codes: np.ndarray) -> np.ndarray:
        """The covariance around the mean that will be, moved towards that of these codes."""
        away = codes - self._centre(codes)
        covariance = MOMENTUM * (away.T @ away) / len(codes)
        return ((1 - MOMENTUM) * self.covariance.numpy() + covariance).astype(self.covariance.dtype)

    def encode(self, x: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        return self._encoded(x)[0]

    def decode(self, codes: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        return self._decoded(codes)[0]

    def paint(self, noise: np.ndarray, labels: np.ndarray | None = None) -> np.ndarray:
        """By the codes mean + covariance^½ · noise, the symmetric root."""
        values, vectors = np.linalg.eigh(self.covariance.numpy().astype(np.float64))
        root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
        return self.decode((self.mean.numpy() + noise @ root).astype(np.float32), None)


def build(
    config: Config, shape: tuple[int, int, int], classes: int, *, seed: int = 0
) -> Autoencoder:
    """The model for images (H, W, C) = shape. UsageError for settings that make none."""
    networks = codec.build("autoencoder", config, shape, config.code)
    model = Autoencoder(networks, config.code)
    model.initialize(seed)
    return model
