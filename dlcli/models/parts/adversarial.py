"""The game of a generator against a discriminator (Goodfellow et al. 2014): what GANs share.

Two phases to a step: the discriminator learns to tell real images from generated ones, then the
generator learns to be taken for real; by whose losses, `rules` says.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from dlcli import nn
from dlcli.engine import tape
from dlcli.engine.forward import Forward
from dlcli.engine.tape import apply, no_grad
from dlcli.engine.tensor import Tensor, made_on_host, on_device
from dlcli.models.parts.conditions import Conditions
from dlcli.models.parts.rules import Rule, add


class Critic(nn.Module):
    """Images (N, H, W, C) to scores (N, 1): features, and a dense layer. With conditions, the score
    is of the image as one of its own: a column for all, and one for each condition, of which two
    count (a projection, Miyato & Koyama 2018): columns (N, 1 + conditions) of 0 and 1 say which.
    """

    def __init__(self, features: nn.Module, width: int, conditions: int = 0) -> None:
        self.features, self.conditions = features, conditions
        self.head = nn.Linear(width, 1 + conditions)

    def forward(self, *inputs: Tensor, columns: Tensor | None = None) -> Tensor:
        scores = self.head(self.features(inputs[0]))
        if not self.conditions:
            return scores
        assert columns is not None
        return apply("sum", apply("mul", scores, columns), axes=(1,), keepdims=True)


class Discriminate:
    """The discriminator's move."""

    name = "discriminator"

    def __init__(self, game: Game) -> None:
        self.game = game
        self.parameters: dict[str, Tensor] = dict(game.critic.named_parameters())

    def loss(self, batch: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """batch.x (N, H, W, C) in [−1, 1] → the rule's loss, with the penalty while training, and
        the scores of the real and the generated images.
        """
        game = self.game
        made, columns = game.draft(batch)
        x = on_device(batch.x)
        real, fake = game.critic(x, columns=columns), game.critic(made, columns=columns)
        loss = game.rule.critic(real, fake)
        if game.penalty and game.training:
            loss = add(loss, apply("scale", self._penalty(x, made, columns), by=game.penalty))
        return loss, {"real": real, "fake": fake, "images": x, "made": made}

    def _penalty(self, x: Tensor, made: Tensor, columns: Tensor | None) -> Tensor:
        """Of the gradient at points on the lines between real and generated images."""
        points = made_on_host(self.game.between, x, made)
        return nn.gradient_penalty(lambda p: self.game.critic(p, columns=columns), points)

    def after(self) -> None:
        """Clips the weights, where that is what keeps the critic smooth."""
        if self.game.clip:
            with no_grad():
                for parameter in self.parameters.values():
                    apply("clip_by_value", parameter.reshape(-1), limit=self.game.clip)


@contextmanager
def _required(module: nn.Module) -> Iterator[None]:
    """The module's parameters require gradients within this, whoever moves; frozen ones do not."""
    before = [(p, p.requires_grad) for p in module.named_parameters().values() if not p.frozen]
    for parameter, _ in before:
        parameter.requires_grad = True
    try:
        yield
    finally:
        for parameter, required in before:
            parameter.requires_grad = required


class Imitate:
    """The generator's move."""

    name = "generator"

    def __init__(self, game: Game) -> None:
        self.game, self.every = game, game.every
        self.parameters: dict[str, Tensor] = dict(game.generator.named_parameters())

    def loss(self, batch: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """The rule's loss on as many new images as the batch has: those that the discriminator saw
        in this step, if it moved in training.
        """
        game = self.game
        made, columns = game.drafted(batch)
        scores = game.critic(made, columns=columns)
        return game.rule.generator(scores), {}

    def after(self) -> None:
        """The average follows."""
        self.game.average.follow()


LABELS = {
    "discriminator_loss": "loss D",
    "generator_loss": "G",
    "d_real": "D(x)",
    "d_fake": "D(G(z))",
    "score_real": "D(x)",
    "score_fake": "D(G(z))",
    "discriminator_grad_norm": "|∇D|",
    "generator_grad_norm": "|∇G|",
    "val_diversity": "diversity",
}


Images = tuple[Tensor, Tensor | None]  # (N, H, W, C), and the critic's columns for them


class Game(nn.Module):
    """generator: codes (N, dims + conditions) → images (N, H, W, C) in [−1, 1]. critic: images to
    scores. dims: numbers of a code. conditions: what tells images apart for both. every: steps of
    the discriminator to one of the generator. clip: of the critic's weights, 0 for none. penalty:
    weight of the gradient's. decay: of the average of the generator's weights, with which images
    are made.
    """

    def __init__(
        self,
        generator: nn.Module,
        critic: Critic,
        rule: Rule,
        *,
        dims: int,
        conditions: Conditions,
        every: int = 1,
        clip: float = 0.0,
        penalty: float = 0.0,
        decay: float = 0.999,
    ) -> None:
        self.shown = LABELS
        self.generator, self.critic, self.rule = generator, critic, rule
        self.conditions = conditions
        self.noise = nn.Noise(dims, conditions.size)
        self.average = nn.Average(generator, decay)
        self._images = Forward(self, lambda codes: [generator(on_device(codes))])
        self.every, self.clip, self.penalty = every, clip, penalty
        self._drafts: list[tuple[Any, Images, list[tape.Node]]] = []

    @property
    def classes(self) -> int:
        """How many there are to choose from; 0: it takes none."""
        return self.conditions.asked

    @property
    def dims(self) -> int:
        """Numbers of a code."""
        return self.noise.dims

    def initialize(self, seed: int) -> None:
        super().initialize(seed)
        self.average.begin()

    def new(self, batch: Any) -> Images:
        """As many new images as a batch has, of its conditions."""
        codes = made_on_host(self._codes, batch.x, batch.y)
        columns = made_on_host(self._columns, codes) if self.conditions.size else None
        return self.generator(codes), columns

    def _codes(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """For new images of the conditions of images x (N, H, W, C) of classes y (N,)."""
        return self.noise.draw(len(y), self.conditions.of_images(x, y))

    def _columns(self, codes: np.ndarray) -> np.ndarray:
        """What the critic is to look at: all, and the conditions of codes, which are one-hot."""
        ones = np.ones((len(codes), 1), codes.dtype)
        return np.concatenate([ones, codes[:, self.dims :]], axis=1)

    def between(self, x: np.ndarray, made: np.ndarray) -> np.ndarray:
        """Images on the lines from some to others, one on each."""
        share = self.noise.uniform(len(x)).reshape(-1, *(1,) * (x.ndim - 1))
        found: np.ndarray = share * x + (1 - share) * made
        return found

    def draft(self, batch: Any) -> Images:
        """New images, constants, for the discriminator's move; where the generator moves in every
        step, they are kept for it with the tape of how they were made.
        """
        if not self.training or self.every > 1:
            return self.new(batch)
        with _required(self.generator), tape.aside() as nodes:
            made, columns = self.new(batch)
        self._drafts.append((batch, (made, columns), nodes))
        return Tensor(made.data), columns

    def drafted(self, batch: Any) -> Images:
        """The draft of that batch, or new images where there is none."""
        while self._drafts:  # an earlier batch's, where a step was broken off
            of, images, nodes = self._drafts.pop(0)
            if of is batch:
                tape.put_back(nodes)
                return images
        return self.new(batch)

    def forget(self) -> None:
        """Drops the drafts."""
        self._drafts.clear()

    def phases(self) -> list[Any]:
        """The discriminator's, then the generator's."""
        return [Discriminate(self), Imitate(self)]

    def forward(self, *inputs: Tensor) -> Tensor:
        """Codes to images."""
        return self.generator(*inputs)

    def blank(self, shape: Any) -> tuple[Tensor, ...]:
        """A code to show the layers with."""
        return (on_device(np.zeros((1, self.dims + self.conditions.size), np.float32)),)

    def paint(self, noise: np.ndarray, labels: np.ndarray | None = None) -> np.ndarray:
        """Images (n, H, W, C) float32 in [−1, 1] of noise (n, dims), by the averaged weights, of
        classes where they can be asked for. In evaluation mode an image depends on nothing else.
        """
        codes = self.noise.of(noise, self.conditions.of_codes(noise, labels))
        with self.average.in_place():
            return self._images(codes)[0]

    def measure(self, outputs: dict[str, Tensor], batch: Any) -> dict[str, float]:
        """Over the batch: what the discriminator says of real and generated images, "d_real" and
        "d_fake" as probabilities where its scores are log odds, else "score_real" and "score_fake";
        and, not in training, the "diversity": how far generated images lie from each other, as a
        share of how far real ones do.
        """
        if "real" not in outputs:
            return {}
        n = len(batch.y)
        answers = {}
        for name in ("real", "fake"):
            scores = outputs[name].numpy().astype(np.float64)
            key, said = ("d", _sigmoid(scores)) if self.rule.odds else ("score", scores)
            answers[f"{key}_{name}"] = float(said.sum())
        if self.training or n < 2:
            return answers
        spread = {name: _spread(outputs[name].numpy()) for name in ("images", "made")}
        share = spread["made"] / spread["images"] if spread["images"] else 0.0
        return {**answers, "diversity": n * share}


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(0.5 * x))  # without overflow


def _spread(images: np.ndarray) -> float:
    """The mean distance of neighbours in a batch."""
    apart = (images - np.roll(images, 1, axis=0)).reshape(len(images), -1)
    return float(np.sqrt(np.square(apart.astype(np.float64)).sum(axis=1)).mean())


def small_normal(rng: Any, shape: tuple[int, ...]) -> np.ndarray:
    """N(0, 0.02²), as Radford et al. 2016 begin."""
    found: np.ndarray = rng.normal(*shape) * 0.02
    return found
