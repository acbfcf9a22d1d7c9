"""The losses of a game by the scores of real and of generated images.

min-max         D: log D(x) + log(1 − D(G(z))) up, G: log(1 − D(G(z))) down (Goodfellow et al.
                2014)
non-saturating  the same for D; G: log D(G(z)) up, which has a slope where D is sure of itself
lsgan           D(x) to 1 and D(G(z)) to 0, G to 1, by squares (Mao et al. 2017)
wgan            D(x) − D(G(z)) up, G: D(G(z)) up, D kept smooth (Arjovsky et al. 2017) by
                clipped weights or a penalty on its gradient (Gulrajani et al. 2017)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dlcli.engine.tape import apply
from dlcli.engine.tensor import Tensor, zeros
from dlcli.errors import UsageError
from dlcli.nn import losses
from dlcli.nn.functional import mean


def _near(scores: Tensor, value: float) -> Tensor:
    """Half the mean squared distance of scores from a value."""
    return apply("scale", losses.mse(scores, _full(scores, value)), by=0.5)


def _probable(scores: Tensor, value: float) -> Tensor:
    """Cross-entropy of scores, log odds of being real, against what they should be."""
    return losses.bce_with_logits(scores, _full(scores, value))


def _full(like: Tensor, value: float) -> Tensor:
    made = zeros(like.shape, like.dtype)
    apply("fill", made, value=float(value))
    return made


def _minus(x: Tensor) -> Tensor:
    return apply("scale", x, by=-1.0)


def add(x: Tensor, y: Tensor) -> Tensor:
    return apply("add", x, y)


@dataclass(frozen=True)
class Rule:
    """critic(real, fake), generator(fake): the losses by the scores (N, 1). odds: whether scores
    are log odds, so that the discriminator's answer is a probability.
    """

    critic: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor], Tensor]
    odds: bool = False


RULES = {
    "min-max": Rule(
        lambda real, fake: add(_probable(real, 1), _probable(fake, 0)),
        lambda fake: _minus(_probable(fake, 0)),
        odds=True,
    ),
    "non-saturating": Rule(
        lambda real, fake: add(_probable(real, 1), _probable(fake, 0)),
        lambda fake: _probable(fake, 1),
        odds=True,
    ),
    "lsgan": Rule(
        lambda real, fake: add(_near(real, 1), _near(fake, 0)), lambda fake: _near(fake, 1)
    ),
    "wgan": Rule(lambda real, fake: add(mean(fake), _minus(mean(real))), lambda f: _minus(mean(f))),
}


def rule(model: str, name: str) -> Rule:
    """UsageError: there is no such loss."""
    if name not in RULES:
        raise UsageError(f"{model}: there is no loss '{name}'", why=f"there is {', '.join(RULES)}")
    return RULES[name]
