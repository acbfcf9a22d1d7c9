"""Learning-rate schedules: a step's rate as a pure function of its number, or of a loss observed.

    schedule = make("cosine", lr=0.1, total_steps=1000, warmup_steps=50)
    schedule.at(0)       # 0.002: the rate of the first step

During the first `warmup_steps` steps the rate rises linearly to that with which the schedule
begins; the schedule takes the steps that remain. A step past the last has the last one's rate.
The formulas are those of torch.optim.lr_scheduler.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

from dlcli.errors import UsageError, did_you_mean

Rate = Callable[[int], float]
SMALLEST_CHANGE = 1e-8  # a smaller reduction on a plateau is not made


class Schedule:
    """`at(step)` is the learning rate of steps 0, 1, …; `rate` is the schedule after the warm-up.

    `observe`, `state` and `load` matter only where the rate depends on what was observed.
    """

    def __init__(self, rate: Rate) -> None:
        self.rate, self.warmup_steps = rate, 0

    def at(self, step: int) -> float:
        """The learning rate of the step of that number, from 0."""
        if step < self.warmup_steps:
            return self.rate(0) * (step + 1) / self.warmup_steps
        return self.rate(step - self.warmup_steps)

    def observe(self, value: float) -> None:
        """Takes the validation loss at the end of an epoch."""

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps: plain JSON values."""
        return {}

    def load(self, state: dict[str, Any]) -> None:
        """Restores what `state` returned; KeyError or TypeError for anything else."""


class Plateau(Schedule):
    """Multiplies the rate by `factor` when more than `patience` losses in a row were no better.

    Better is below the best by `threshold` of it; after a reduction `cooldown` losses are not
    counted. As torch.optim.lr_scheduler.ReduceLROnPlateau in its mode "min".
    """

    def __init__(
        self,
        lr: float,
        factor: float,
        patience: int,
        threshold: float,
        cooldown: int,
        min_lr: float,
    ) -> None:
        super().__init__(lambda step: self.lr)
        self.lr, self.factor, self.min_lr = lr, factor, min_lr
        self.patience, self.threshold, self.cooldown = patience, threshold, cooldown
        self.best, self.bad, self.waiting = math.inf, 0, 0

    def observe(self, value: float) -> None:
        if value < self.best * (1 - self.threshold):  # a NaN is no better
            self.best, self.bad = value, 0
        else:
            self.bad += 1
        if self.waiting > 0:
            self.waiting, self.bad = self.waiting - 1, 0
        if self.bad > self.patience:
            reduced = max(self.lr * self.factor, self.min_lr)
            if self.lr - reduced > SMALLEST_CHANGE:
                self.lr = reduced
            self.waiting, self.bad = self.cooldown, 0

    def state(self) -> dict[str, Any]:
        best = self.best if math.isfinite(self.best) else None  # JSON has no infinity
        return {"lr": self.lr, "best": best, "bad": self.bad, "waiting": self.waiting}

    def load(self, state: dict[str, Any]) -> None:
        lr, best, bad, waiting = (state[key] for key in ("lr", "best", "bad", "waiting"))
        best = math.inf if best is None else best
        numbers = (lr, best, bad, waiting)
        if not all(isinstance(v, int | float) for v in numbers):
            raise TypeError(f"the state of a plateau is four numbers, not {numbers}")
        self.lr, self.best, self.bad, self.waiting = float(lr), float(best), int(bad), int(waiting)


def require(right: bool, what: str, why: str) -> None:
    """UsageError(what, why) unless `right`."""
    if not right:
        raise UsageError(what, why=why)


def constant(lr: float, steps: int) -> Rate:
    """The same rate for every step."""
    return lambda step: lr


def step(lr: float, steps: int, *, step_size: int | None = None, gamma: float = 0.1) -> Rate:
    """lr · gamma^⌊step / step_size⌋; step_size is a third of the steps by default."""
    size = -(-steps // 3) if step_size is None else step_size
    require(size >= 1, f"step_size is {size}", "the rate falls every step_size steps, at least 1")
    require(gamma > 0, f"gamma is {gamma}", "the rate is multiplied by it, so it is above 0")
    return lambda step: lr * gamma ** (min(step, steps - 1) // size)


def exponential(lr: float, steps: int, *, gamma: float | None = None) -> Rate:
    """lr · gamma^step; by default the last step has a hundredth of the first one's rate."""
    factor = 0.01 ** (1 / max(steps - 1, 1)) if gamma is None else gamma
    require(factor > 0, f"gamma is {gamma}", "the rate is multiplied by it, so it is above 0")
    return lambda step: lr * factor ** min(step, steps - 1)


def descent(x: float) -> float:
    """Half a cosine, from 1 at x = 0 to 0 at x = 1."""
    return (1 + math.cos(math.pi * x)) / 2


def cosine(lr: float, steps: int, *, final_lr: float = 0.0) -> Rate:
    """Half a cosine from lr towards final_lr, which a step after the last would have.

    Loshchilov & Hutter 2017, without restarts.
    """
    require(final_lr >= 0, f"final_lr is {final_lr}", "a learning rate is not negative")
    return lambda step: final_lr + (lr - final_lr) * descent(min(step, steps - 1) / steps)


def one_cycle(
    lr: float,
    steps: int,
    *,
    rise: float = 0.3,
    start_factor: float = 25.0,
    final_factor: float = 1e4,
) -> Rate:
    """Half a cosine up from lr / start_factor to lr, then one down to the start / final_factor.

    rise: the share of the steps that go up. Smith & Topin 2018, as torch's OneCycleLR without
    cycling the momentum.
    """
    require(0 < rise < 1, f"rise is {rise}", "it is the share of steps that rise, between 0 and 1")
    positive = start_factor > 0 and final_factor > 0
    require(positive, "start_factor and final_factor divide the rate", "so they are above 0")
    first, top, end = lr / start_factor, rise * steps - 1, steps - 1
    last = first / final_factor

    def rate(step: int) -> float:
        now = min(step, end)
        if now < top:
            return lr + (first - lr) * descent(now / top)
        return last + (lr - last) * descent((now - top) / (end - top))

    return rate


def plateau(
    lr: float,
    steps: int,
    *,
    factor: float = 0.1,
    patience: int = 10,
    threshold: float = 1e-4,
    cooldown: int = 0,
    min_lr: float = 0.0,
) -> Plateau:
    """The rate falls when the loss no longer does; see `Plateau`."""
    require(0 < factor < 1, f"factor is {factor}", "the rate is multiplied by it to reduce it")
    counts = patience >= 0 and cooldown >= 0
    require(counts, f"patience is {patience}, cooldown {cooldown}", "they are counts, at least 0")
    return Plateau(lr, factor, patience, threshold, cooldown, min_lr)


SCHEDULES: dict[str, Callable[..., Rate | Schedule]] = {
    "constant": constant,
    "step": step,
    "exponential": exponential,
    "cosine": cosine,
    "one-cycle": one_cycle,
    "plateau": plateau,
}


def names() -> list[str]:
    """The names that `make` takes."""
    return list(SCHEDULES)


def settings(name: str) -> dict[str, Any]:
    """The settings of a schedule with their defaults (None: computed from the number of steps)."""
    if name not in SCHEDULES:
        raise UsageError(f"there is no schedule '{name}'", hint=did_you_mean(name, SCHEDULES))
    parameters = inspect.signature(SCHEDULES[name]).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}


def make(
    name: str, *, lr: float, total_steps: int, warmup_steps: int = 0, **given: Any
) -> Schedule:
    """The schedule of that name for a run of `total_steps` steps whose highest rate is `lr`.

    given: the schedule's own settings (`settings(name)`). UsageError for an unknown name or
    setting, or a value that makes no sense.
    """
    known = settings(name)
    for key in given:
        hint = did_you_mean(key, known) if known else f"'{name}' has no settings"
        if key not in known:
            raise UsageError(f"the schedule '{name}' has no setting '{key}'", hint=hint)
    require(
        math.isfinite(lr) and lr >= 0, f"lr is {lr}", "a learning rate is finite and not negative"
    )
    require(total_steps >= 1, f"total_steps is {total_steps}", "a run has at least one step")
    inside = 0 <= warmup_steps <= total_steps
    require(inside, f"warmup_steps is {warmup_steps}", f"the run has {total_steps} steps")
    made = SCHEDULES[name](lr, max(total_steps - warmup_steps, 1), **given)
    schedule = made if isinstance(made, Schedule) else Schedule(made)
    schedule.warmup_steps = warmup_steps
    return schedule
