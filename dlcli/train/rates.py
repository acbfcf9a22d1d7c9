"""Which learning rate: a range test (Smith 2017, https://arxiv.org/abs/1506.01186).

A model is trained for a few steps while the rate rises exponentially. At first nothing happens,
then the loss falls, then it explodes; a rate with which one can train lies where it falls.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice

from dlcli.data.loader import Loader
from dlcli.errors import NonFiniteError, UsageError
from dlcli.train.protocol import Batch
from dlcli.train.step import Halted, Stepper

STEPS = 200  # at most
LOWEST, HIGHEST = 1e-6, 10.0
KEPT = 0.9  # of the smoothed loss from step to step; the bias of the beginning is corrected
EXPLODED = 0.25  # above the first loss, as a share of it or of how far it fell
BEYOND = 4.0  # above it at least, times the spread of the first losses
SMALLEST = 1e-4  # by which a loss falls, as a share of it
FEW = 10  # steps in which the smoothed loss says little
AROUND = 5  # steps on either side over which a slope is measured


@dataclass
class Curve:
    """rates, losses: of each step that was finite; smoothed: the losses, averaged exponentially.
    why: why it stopped, "exploded", "not finite" or "highest rate".
    """

    rates: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    smoothed: list[float] = field(default_factory=list)
    why: str = "highest rate"

    def add(self, rate: float, loss: float) -> None:
        """The next step."""
        n = len(self.losses)
        before = self.smoothed[-1] * (1 - KEPT**n) if n else 0.0
        self.rates.append(rate)
        self.losses.append(loss)
        self.smoothed.append((KEPT * before + (1 - KEPT) * loss) / (1 - KEPT ** (n + 1)))

    @property
    def exploded(self) -> bool:
        """Whether the loss is well above that of a model that has learned nothing."""
        if len(self.smoothed) < FEW:
            return False
        first = sum(self.losses[:FEW]) / FEW
        room = EXPLODED * max(abs(first), first - min(self.smoothed))
        return self.smoothed[-1] > first + max(room, BEYOND * _spread(self.losses[:FEW]))


@dataclass(frozen=True)
class Advice:
    """steepest: the rate where the loss falls fastest per factor of the rate, which is suggested.
    tenth: a tenth of the rate with which it is least, the other rule, to compare with.
    """

    steepest: float
    tenth: float


def measure(
    stepper: Stepper,
    loader: Loader,
    accumulate: int = 1,
    *,
    steps: int = STEPS,
    on_step: Callable[[int, float, float], None] | None = None,
) -> Curve:
    """Trains with rates that rise from LOWEST to HIGHEST until the loss explodes. The model is
    spent then. on_step(step, rate, loss) is called after each.

    UsageError: the model has several phases. NonFiniteError: the first step is not finite.
    """
    if len(stepper.phases) > 1:
        names = " and ".join(phase.name for phase in stepper.phases)
        raise UsageError(
            "no learning rate can be found for this model",
            why=f"{names} train against or beside each other: no single loss says how well",
            hint="leave out --find-lr; the model's own rate is in 'dlcli train … --dry-run'",
        )
    curve = Curve()
    stepper.model.train()
    with closing(_groups(loader, accumulate)) as groups:
        for step, group in enumerate(islice(groups, steps)):
            rate = LOWEST * (HIGHEST / LOWEST) ** (step / (steps - 1))
            try:
                loss, _, _ = stepper.step(group, rate, step)
            except Halted as halted:
                if not curve.losses:
                    what = "the loss is NaN or infinite in the first step"
                    raise NonFiniteError(what, why="no rate can change that") from halted
                curve.why = "not finite"
                break
            curve.add(rate, loss)
            if on_step is not None:
                on_step(step + 1, rate, loss)
            if curve.exploded:
                curve.why = "exploded"
                break
    return curve


def _groups(loader: Loader, accumulate: int) -> Iterator[list[Batch]]:
    """The batches of a step, epoch after epoch."""
    epoch = 0
    while True:
        with closing(loader.epoch(epoch)) as batches:
            while group := list(islice(batches, accumulate)):
                yield group
        epoch += 1


def advise(curve: Curve) -> Advice | None:
    """The rate to train with; None where the loss did not fall.

    It is looked for up to the least smoothed loss: beyond it a rate only does harm.
    """
    smoothed = curve.smoothed
    if len(smoothed) < FEW:
        return None
    least = min(range(FEW - 1, len(smoothed)), key=smoothed.__getitem__)
    # what falls by less than batches differ from each other, or than rounding, has not fallen
    fell, first = smoothed[FEW - 1] - smoothed[least], curve.losses[:FEW]
    if fell <= max(_spread(first), SMALLEST * abs(smoothed[0])):
        return None
    logs = [math.log(rate) for rate in curve.rates]
    slopes = {at: _slope(logs, smoothed, at) for at in range(FEW, least + 1)}
    steepest = curve.rates[min(slopes, key=slopes.__getitem__)]
    return Advice(steepest, curve.rates[least] / 10)


def _slope(x: Sequence[float], y: Sequence[float], at: int) -> float:
    """Of the line through the points around `at` that is nearest to them."""
    part = slice(max(0, at - AROUND), at + AROUND + 1)
    xs, ys = x[part], y[part]
    mx, my = sum(xs) / len(xs), sum(ys) / len(ys)
    across = sum((a - mx) * (b - my) for a, b in zip(xs, ys, strict=True))
    return across / sum((a - mx) ** 2 for a in xs)


def _spread(losses: Sequence[float]) -> float:
    """Their standard deviation."""
    mean = sum(losses) / len(losses)
    return math.sqrt(sum((v - mean) ** 2 for v in losses) / (len(losses) - 1))
