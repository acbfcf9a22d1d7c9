"""pix2pix (Isola et al. 2017): a picture repainted as another kind of picture, learned from pairs.

A U-Net makes the other picture, dropout its only noise; a PatchGAN is shown either picture beside
the one that it belongs to. The generator is to be taken for real and to come close, by the mean
absolute error. What it makes outside of training comes of its averaged weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dlcli import nn
from dlcli.engine.forward import Forward
from dlcli.engine.tape import apply
from dlcli.engine.tensor import Tensor, made_on_host, on_device
from dlcli.errors import UsageError, did_you_mean
from dlcli.models.parts.jitter import Jitter, Paste, Tint
from dlcli.models.parts.patches import patches
from dlcli.models.parts.repaint import answers, distance, first, second
from dlcli.models.parts.rules import Rule, rule
from dlcli.models.parts.unet import NORMS, UNet, halvings
from dlcli.nn import losses

DESCRIPTION = "pictures repainted, learned from pairs: a U-Net against patches"
ADAPTS = "Pictures whose sides divide by 16, such as 64 or 128 pixels, grey or in colour."
KIND = "picture_pair"
LEAST_HALVINGS, MOST_HALVINGS = 4, 7


WAYS = {"forward": (0, 1)}
LABELS = {
    "discriminator_loss": "loss D",
    "generator_loss": "G",
    "d_real": "D(y)",
    "d_fake": "D(G(x))",
    "score_real": "D(y)",
    "score_fake": "D(G(x))",
    "val_l1": "val l1",
}


@dataclass(frozen=True)
class Config:
    """width: channels of the generator's largest map. critic: of the discriminator's, halved
    `strided` times. l1: weight of the mean absolute error. dropout: in the generator. loss:
    non-saturating, min-max, lsgan or wgan. jitter: whether training pictures are moved and
    mirrored. paste: the share of them that get a part of another pair. tint: how much the light of
    the given picture varies in training, for photos.
    norm: of the generator, "none" or "instance". decay: of the generator's averaged weights.
    """

    width: int = 16
    critic: int = 16
    strided: int = 2
    l1: float = 1000.0
    dropout: float = 0.3
    loss: str = "non-saturating"
    jitter: bool = True
    paste: float = 0.0
    tint: float = 0.0
    norm: str = "none"
    decay: float = 0.998


def recipe(config: Config) -> dict[str, Any]:
    """Adam by the paper's momentum."""
    return {
        "epochs": 120,
        "batch_size": 4,
        "optimizer": "adam",
        "lr": 1e-3,
        "beta1": 0.5,
        "schedule": "cosine",
    }


class Repainter(nn.Module):
    """generator: pictures (N, H, W, C) to others. critic: both, (N, H, W, 2 C), to scores."""

    def __init__(self, generator: nn.Module, critic: nn.Module, rule: Rule, config: Config) -> None:
        self.generator, self.critic, self.rule = generator, critic, rule
        self.l1, self.ways, self.shown = config.l1, WAYS, LABELS
        self.jitter = Jitter() if config.jitter else None
        self.paste = Paste(config.paste) if config.paste else None
        self.tint = Tint(config.tint) if config.tint else None
        self.average = nn.Average(generator, config.decay)
        self._painted = Forward(self, lambda x: [generator(on_device(x))])
        self._last: tuple[Any, tuple[Tensor, Tensor, Tensor]] | None = None

    def initialize(self, seed: int) -> None:
        super().initialize(seed)
        self.average.begin()

    def phases(self) -> list[Any]:
        """The generator's, then the discriminator's, which sees what the first has just made."""
        return [Repaint(self), Discriminate(self)]

    def forward(self, *inputs: Tensor) -> Tensor:
        """Pictures to others."""
        return self.generator(*inputs)

    def blank(self, shape: Any) -> tuple[Tensor, ...]:
        """A picture to show the layers with."""
        return (on_device(np.zeros((1, *shape), np.float32)),)

    def make(self, batch: Any) -> tuple[Tensor, Tensor, Tensor]:
        """A batch's pictures, what is made of them, and the truth: each (N, H, W, C)."""
        both = made_on_host(self._varied, batch.x)
        given, truth = made_on_host(self._seen, both), made_on_host(second, both)
        if self.training:
            made = self.generator(given)
        else:
            with self.average.in_place():
                made = self.generator(given)
        self._last = batch, (given, made, truth)
        return given, made, truth

    def _varied(self, x: np.ndarray) -> np.ndarray:
        """Pairs of pictures; in training moved and mirrored, with parts of others."""
        for vary in (self.jitter, self.paste) if self.training else ():
            x = x if vary is None else vary(x)
        return x

    def _seen(self, x: np.ndarray) -> np.ndarray:
        """Those that are given of pairs; in training in another light."""
        return self.tint(first(x)) if self.training and self.tint is not None else first(x)

    def made(self, batch: Any) -> tuple[Tensor, Tensor, Tensor]:
        """What was made of a batch just now, as it was; made anew if another has been since."""
        if self._last is None or self._last[0] is not batch:
            return self.make(batch)
        given, made, truth = self._last[1]
        return given, Tensor(made.data), truth

    def judge(self, given: Tensor, other: Tensor) -> Tensor:
        """Scores of pictures as belonging to those that are given."""
        scores: Tensor = self.critic(apply("concat", given, other))
        return scores

    def paint(self, x: np.ndarray, way: str = "forward") -> np.ndarray:
        """Pictures (n, H, W, C) float32 in [−1, 1] made of others."""
        with self.average.in_place():
            return self._painted(x)[0]

    def measure(self, outputs: dict[str, Tensor], batch: Any) -> dict[str, float]:
        """Over the batch: how far pictures are from the truth, "l1", in levels of 255; what the
        discriminator says of real and made ones.
        """
        n = len(batch.y)
        if "made" in outputs:
            return {"l1": n * distance(outputs["made"].numpy(), outputs["truth"].numpy())}
        return answers(outputs, n, odds=self.rule.odds)


class Repaint:
    """The generator's move."""

    name = "generator"

    def __init__(self, model: Repainter) -> None:
        self.model = model
        self.parameters: dict[str, Tensor] = dict(model.generator.named_parameters())

    def loss(self, batch: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """batch.x (N, 2, H, W, C) in [−1, 1], what is given and the truth → the rule's loss and the
        weighted L1.
        """
        model = self.model
        given, made, truth = model.make(batch)
        close = apply("scale", losses.mae(made, truth), by=model.l1)
        real = model.rule.generator(model.judge(given, made))
        return apply("add", real, close), {"made": made, "truth": truth}

    def after(self) -> None:
        """The average follows."""
        self.model.average.follow()


class Discriminate:
    """The discriminator's move."""

    name = "discriminator"

    def __init__(self, model: Repainter) -> None:
        self.model = model
        self.parameters: dict[str, Tensor] = dict(model.critic.named_parameters())

    def loss(self, batch: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """Half the rule's loss, so that it learns more slowly than the generator."""
        model = self.model
        given, made, truth = model.made(batch)
        real, fake = model.judge(given, truth), model.judge(given, made)
        return apply("scale", model.rule.critic(real, fake), by=0.5), {"real": real, "fake": fake}


def build(config: Config, shape: tuple[int, int, int], classes: int, *, seed: int = 0) -> Repainter:
    """The model for pictures (H, W, C) = shape. UsageError for settings or sizes that make none."""
    height, width, channels = shape
    whole = min(config.width, config.critic, config.strided) >= 1 and config.l1 >= 0
    shares = 0 <= config.decay < 1 and 0 <= config.dropout < 1 and 0 <= config.paste <= 1
    if not whole or not shares:
        why = "width, critic and strided ≥ 1, l1 ≥ 0, 0 ≤ dropout, decay < 1, 0 ≤ paste ≤ 1"
        raise UsageError("pix2pix: its settings make no network", why=why)
    if config.norm not in NORMS:
        why = f"there is no norm {config.norm!r}"
        raise UsageError(f"pix2pix: {why}", why=did_you_mean(config.norm, NORMS))
    times = halvings(height, width, MOST_HALVINGS)
    if times < LEAST_HALVINGS:
        raise UsageError(
            f"pix2pix: pictures of {height}×{width} do not fit",
            why=ADAPTS.removesuffix("."),
            hint="add --image-size 64",
        )
    if min(height, width) >> config.strided < 3:
        why = f"halved {config.strided} times, {height}×{width} pixels leave no patch to look at"
        raise UsageError(f"pix2pix: strided = {config.strided} is not possible", why=why)
    model = Repainter(
        UNet(channels, channels, times, config.width, config.dropout, config.norm),
        patches(2 * channels, config.critic, config.strided),
        rule("pix2pix", config.loss),
        config,
    )
    model.initialize(seed)
    return model
