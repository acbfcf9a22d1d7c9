"""CycleGAN (Zhu et al. 2017): pictures of one domain repainted as those of another, learned without
pairs.

Two residual generators, from A to B and back, and a PatchGAN for each domain. What is repainted
must be taken for real, and repainted back become what it was; what is of the wanted domain already
should stay. The discriminators see pictures of a pool of earlier ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dlcli import nn
from dlcli.engine.forward import Forward
from dlcli.engine.tape import apply, no_grad
from dlcli.engine.tensor import Tensor, made_on_host, on_device
from dlcli.errors import UsageError
from dlcli.models.parts.history import History
from dlcli.models.parts.patches import patches
from dlcli.models.parts.repaint import answers, distance, first, second
from dlcli.models.parts.residual import residual
from dlcli.models.parts.rules import Rule, rule
from dlcli.nn import losses

DESCRIPTION = "pictures repainted, learned without pairs: two generators, there and back"
ADAPTS = "Pictures of 16 pixels a side or more, sides divisible by 4, grey or in colour."
KIND = "picture_domains"
THERE, BACK = "a-to-b", "b-to-a"
SMALLEST = 16  # pixels


WAYS = {THERE: (0, 1), BACK: (1, 0)}
LABELS = {
    "discriminators_loss": "loss D",
    "generators_loss": "G",
    "d_real": "D(b)",
    "d_fake": "D(G(a))",
    "score_real": "D(b)",
    "score_fake": "D(G(a))",
    "val_cycle": "val cycle",
}


@dataclass(frozen=True)
class Config:
    """width: channels of the generators' largest maps; blocks: of the smallest. critic: channels of
    the discriminators' largest map, halved `strided` times. cycle: weight of the mean absolute
    error of a picture that went there and back. identity: the same, as a share of `cycle`, of one
    that is of the wanted domain already. loss: lsgan, non-saturating, min-max or wgan. pool:
    pictures that are kept of each domain. decay: of the generators' averaged weights.
    """

    width: int = 16
    blocks: int = 2
    critic: int = 16
    strided: int = 2
    cycle: float = 10.0
    identity: float = 0.5
    loss: str = "lsgan"
    pool: int = 50
    decay: float = 0.99


def recipe(config: Config) -> dict[str, Any]:
    """Adam by the paper's momentum; there is no truth to choose by, the last checkpoint is it."""
    return {
        "epochs": 20,
        "batch_size": 4,
        "optimizer": "adam",
        "lr": 1e-3,
        "beta1": 0.5,
        "schedule": "cosine",
        "monitor": "step",
    }


class CycleGAN(nn.Module):
    """there, back: generators from A to B and from B to A, (N, H, W, C) → the same. critic_a,
    critic_b: the discriminators of either domain's pictures.
    """

    def __init__(
        self, config: Config, rule: Rule, shape: tuple[int, int, int], generators: Any, critics: Any
    ) -> None:
        self.there, self.back = generators
        self.critic_a, self.critic_b = critics
        self.rule, self.cycle, self.identity = rule, config.cycle, config.identity
        self.ways, self.shown = WAYS, LABELS
        self.pool_a, self.pool_b = (History(config.pool, shape) for _ in range(2))
        self.average_there = nn.Average(self.there, config.decay)
        self.average_back = nn.Average(self.back, config.decay)
        self._painted = {
            way: Forward(self, lambda x, generator=generator: [generator(on_device(x))])
            for way, generator in zip(WAYS, generators, strict=True)
        }
        self._last: tuple[Any, np.ndarray, np.ndarray] | None = None

    def initialize(self, seed: int) -> None:
        super().initialize(seed)
        self.average_there.begin()
        self.average_back.begin()

    def phases(self) -> list[Any]:
        """The generators', then the discriminators', which see what the first have just made."""
        return [Repaint(self), Discriminate(self)]

    def forward(self, *inputs: Tensor) -> Tensor:
        """Pictures of A to pictures of B."""
        return self.there(*inputs)

    def blank(self, shape: Any) -> tuple[Tensor, ...]:
        """A picture to show the layers with."""
        return (on_device(np.zeros((1, *shape), np.float32)),)

    def sides(self, batch: Any) -> tuple[Tensor, Tensor]:
        """The pictures of A and of B in a batch."""
        return made_on_host(first, batch.x), made_on_host(second, batch.x)

    def keep(self, batch: Any, a: Tensor, b: Tensor) -> None:
        """Notes what was made of a batch, for the discriminators."""
        self._last = batch, a.data, b.data

    def made(self, batch: Any) -> tuple[Tensor, Tensor]:
        """Pictures made as A and as B, of a batch just now or anew if another has been since; in
        training mixed with earlier ones.
        """
        if self._last is None or self._last[0] is not batch:
            with no_grad():
                a, b = self.sides(batch)
                self.keep(batch, self.back(b), self.there(a))
        assert self._last is not None
        fakes = Tensor(self._last[1]), Tensor(self._last[2])
        if not self.training:
            return fakes
        pools = (self.pool_a, self.pool_b)
        a, b = (made_on_host(p.mix, fake) for p, fake in zip(pools, fakes, strict=True))
        return a, b

    def paint(self, x: np.ndarray, way: str = THERE) -> np.ndarray:
        """Pictures (n, H, W, C) float32 in [−1, 1] repainted, by the averaged weights."""
        with self.average_there.in_place(), self.average_back.in_place():
            return self._painted[way](x)[0]

    def measure(self, outputs: dict[str, Tensor], batch: Any) -> dict[str, float]:
        """Over the batch: how far pictures that went there and back are from what they were,
        "cycle", in levels of 255; what the discriminators say.
        """
        n = len(batch.y)
        if "back" not in outputs:
            return answers(outputs, n, odds=self.rule.odds)
        names = (("a", "back"), ("b", "again"))
        each = [distance(outputs[x].numpy(), outputs[y].numpy()) for x, y in names]
        return {"cycle": n * sum(each) / len(each)}


def _mean(x: Tensor, y: Tensor) -> Tensor:
    return apply("scale", apply("add", x, y), by=0.5)


class Repaint:
    """The generators' move, both at a time."""

    name = "generators"

    def __init__(self, model: CycleGAN) -> None:
        self.model = model
        both = {"there": model.there, "back": model.back}
        self.parameters: dict[str, Tensor] = {
            f"{name}.{path}": parameter
            for name, generator in both.items()
            for path, parameter in generator.named_parameters().items()
        }

    def loss(self, batch: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """batch.x (N, 2, H, W, C) in [−1, 1], a picture of A and one of B → half the sum over both
        ways of the rule's loss and the weighted errors.
        """
        model = self.model
        a, b = model.sides(batch)
        fake_b, fake_a = model.there(a), model.back(b)
        model.keep(batch, fake_a, fake_b)
        back, again = model.back(fake_b), model.there(fake_a)
        deceive = [model.rule.generator(model.critic_b(fake_b))]
        deceive += [model.rule.generator(model.critic_a(fake_a))]
        cycle = _mean(losses.mae(back, a), losses.mae(again, b))
        loss = apply("add", _mean(*deceive), apply("scale", cycle, by=model.cycle))
        if model.identity:
            same = _mean(losses.mae(model.there(b), b), losses.mae(model.back(a), a))
            loss = apply("add", loss, apply("scale", same, by=model.cycle * model.identity))
        return loss, {"a": a, "b": b, "back": back, "again": again}

    def after(self) -> None:
        """The averages follow."""
        self.model.average_there.follow()
        self.model.average_back.follow()


class Discriminate:
    """The discriminators' move, both at a time."""

    name = "discriminators"

    def __init__(self, model: CycleGAN) -> None:
        self.model = model
        both = {"critic_a": model.critic_a, "critic_b": model.critic_b}
        self.parameters: dict[str, Tensor] = {
            f"{name}.{path}": parameter
            for name, critic in both.items()
            for path, parameter in critic.named_parameters().items()
        }

    def loss(self, batch: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """The mean over both of half the rule's loss, so that they learn more slowly."""
        model = self.model
        a, b = model.sides(batch)
        fake_a, fake_b = model.made(batch)
        real, fake = model.critic_b(b), model.critic_b(fake_b)
        first = model.rule.critic(model.critic_a(a), model.critic_a(fake_a))
        loss = _mean(first, model.rule.critic(real, fake))
        return apply("scale", loss, by=0.5), {"real": real, "fake": fake}


def build(config: Config, shape: tuple[int, int, int], classes: int, *, seed: int = 0) -> CycleGAN:
    """The model for pictures (H, W, C) = shape. UsageError for settings or sizes that make none."""
    height, width, channels = shape
    whole = min(config.width, config.critic, config.strided) >= 1
    if not whole or min(config.blocks, config.pool, config.cycle, config.identity) < 0:
        why = "width, critic and strided ≥ 1; blocks, pool, cycle and identity ≥ 0"
        raise UsageError("cyclegan: its settings make no network", why=why)
    if not 0 <= config.decay < 1:
        raise UsageError(f"cyclegan: decay = {config.decay} is not possible", why="0 ≤ decay < 1")
    if min(height, width) < SMALLEST or height % 4 or width % 4:
        raise UsageError(
            f"cyclegan: pictures of {height}×{width} do not fit",
            why=ADAPTS.removesuffix("."),
            hint="add --image-size 64",
        )
    if min(height, width) >> config.strided < 3:
        why = f"halved {config.strided} times, {height}×{width} pixels leave no patch to look at"
        raise UsageError(f"cyclegan: strided = {config.strided} is not possible", why=why)
    generators = [residual(channels, channels, config.width, config.blocks) for _ in range(2)]
    critics = [patches(channels, config.critic, config.strided) for _ in range(2)]
    model = CycleGAN(config, rule("cyclegan", config.loss), shape, generators, critics)
    model.initialize(seed)
    return model
