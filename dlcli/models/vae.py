"""A variational autoencoder (Kingma & Welling 2014): codes of images, and images of codes from
N(0, 1).

Images → dense layers or convolutions → mean and log variance of a code, which is drawn from that
Gaussian as mean + deviation · noise, so that gradients pass → the same in reverse → images. The
loss is a bound on the images' negative log likelihood, in nats per image: how improbable the image
is by its code, and the divergence of the code's distribution from N(0, 1), times beta (Higgins et
al. 2017).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dlcli import nn
from dlcli.engine.forward import Forward
from dlcli.engine.tape import apply
from dlcli.engine.tensor import Tensor, made_on_host, on_device
from dlcli.errors import UsageError
from dlcli.models.parts import codec
from dlcli.models.parts.coding import KIND, Coder, with_class
from dlcli.models.parts.likelihood import LIKELIHOODS, divergence, exp
from dlcli.nn.functional import mean as mean_of

__all__ = ["ADAPTS", "DESCRIPTION", "KIND", "VAE", "Config", "build", "recipe"]

DESCRIPTION = "codes of images, and new images of codes from N(0, 1)"
ADAPTS = "Images of any size; convolutions halve them until no side is above 7 pixels."


@dataclass(frozen=True)
class Config(codec.Sizes):
    """form: dense, two layers each way, or conv. code: its numbers. hidden: units of the dense
    layers, one each way where there are convolutions. width: channels of the largest map of the
    convolutions, doubled with every halving. likelihood: of a pixel, bernoulli or gaussian. beta:
    weight of the divergence; 1 is the bound. conditional: whether a class can be asked for.
    """

    likelihood: str = "bernoulli"
    beta: float = 1.0
    conditional: bool = False


def recipe(config: Config) -> dict[str, Any]:
    """Adam with a falling rate, for as many epochs as the data say."""
    return {"optimizer": "adam", "lr": 1e-3, "schedule": "cosine"}


class VAE(Coder):
    """dims: numbers of a code. classes: how many there are to choose from; 0: it takes none."""

    def __init__(
        self, networks: codec.Codec, likelihood: nn.Module, dims: int, classes: int, beta: float
    ) -> None:
        self.encoder, self.decoder = networks.encoder, networks.decoder
        self.head = nn.Linear(networks.units + classes, 2 * dims)
        self.likelihood: Any = likelihood
        self.noise = nn.Noise(dims, classes)
        self.dims, self.classes, self.beta = dims, classes, beta
        self._encoded = Forward(self, lambda x, *of: [self.posterior(on_device(x), *of)[0]])
        self._decoded = Forward(self, lambda codes: [self.decoder(on_device(codes))])
        self._bounded = Forward(self, self._bound)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Codes, with their classes, to what the likelihood makes images of."""
        return self.decoder(*inputs)

    def blank(self, shape: Any) -> tuple[Tensor, ...]:
        """A code to show the decoder's layers with."""
        return (on_device(np.zeros((1, self.dims + self.classes), np.float32)),)

    def posterior(self, x: Tensor, labels: np.ndarray | None = None) -> tuple[Tensor, Tensor]:
        """Mean and log variance of the codes of images (N, H, W, C): each (N, dims)."""
        both = self.head(with_class(self.encoder(x), labels, self.classes))
        mean = apply("columns", both, start=0, stop=self.dims)
        return mean, apply("columns", both, start=self.dims, stop=2 * self.dims)

    def loss(self, batch: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """batch.x (N, H, W, C) in [−1, 1] → the negative bound in nats per image, the divergence
        times beta; and its two parts. In evaluation mode each image has noise of its own, the same
        each time.
        """
        labels = self.labels(batch)
        mean, log_variance = self.posterior(on_device(batch.x), labels)
        noise = made_on_host(self._drawn if self.training else self._own, batch.indices)
        deviation = exp(apply("scale", log_variance, by=0.5))
        code = apply("add", mean, apply("mul", deviation, noise))
        values = self.decoder(with_class(code, labels, self.classes))
        nats, kl = self.likelihood(values, batch.x), divergence(mean, log_variance)
        loss = mean_of(apply("add", nats, apply("scale", kl, by=self.beta)))
        return loss, {"reconstruction": nats, "kl": kl}

    def _drawn(self, indices: np.ndarray) -> np.ndarray:
        """Noise for the codes of images, other each time."""
        found: np.ndarray = self.noise.next().normal(len(indices), self.dims)
        return found.astype(self.head.weight.dtype)

    def _own(self, indices: np.ndarray) -> np.ndarray:
        """Noise for the codes of images, the same each time."""
        return self.noise.at(indices).astype(self.head.weight.dtype)

    def measure(self, outputs: dict[str, Tensor], batch: Any) -> dict[str, float]:
        """Over the batch: "reconstruction" and "kl" in nats; not in training, "squares"."""
        sums = {name: float(nats.numpy().sum()) for name, nats in outputs.items()}
        return sums | super().measure(outputs, batch)

    def encode(self, x: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        return self._encoded(x, *([] if labels is None else [labels]))[0]

    def decode(self, codes: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        return self.likelihood.picture(self._decoded(self.noise.of(codes, labels))[0])

    def recode(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """See `Coder`; the class of an image is the one by which it is the most probable."""
        if not self.classes:
            return super().recode(x)
        every = [np.full(len(x), label) for label in range(self.classes)]
        bounds = np.stack([self._bounded(x, labels)[0] for labels in every])
        labels = bounds.argmin(axis=0)
        codes = self.encode(x, labels)
        return codes, self.decode(codes, labels), labels

    def _bound(self, x: np.ndarray, labels: np.ndarray) -> list[Tensor]:
        """Of each image as one of its class, by the mean of its code: (n,), in nats."""
        mean, log_variance = self.posterior(on_device(x), labels)
        values = self.decoder(with_class(mean, labels, self.classes))
        return [apply("add", self.likelihood(values, x), divergence(mean, log_variance))]


def build(config: Config, shape: tuple[int, int, int], classes: int, *, seed: int = 0) -> VAE:
    """The model for images (H, W, C) = shape. UsageError for settings that make none."""
    if config.likelihood not in LIKELIHOODS:
        why = f"there is {', '.join(LIKELIHOODS)}"
        raise UsageError(f"vae: there is no likelihood '{config.likelihood}'", why=why)
    if not 0 <= config.beta < float("inf"):
        raise UsageError(f"vae: beta {config.beta} is not possible", why="it is 0 or more")
    wanted = classes if config.conditional else 0
    networks = codec.build("vae", config, shape, config.code + wanted)
    likelihood = LIKELIHOODS[config.likelihood]()
    model = VAE(networks, likelihood, config.code, wanted, config.beta)
    model.initialize(seed)
    return model
