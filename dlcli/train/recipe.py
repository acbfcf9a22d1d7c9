"""How a model is trained: every number of it in one frozen, validated `Recipe`.

It is a part of config.toml. A value out of its range is a UsageError that names the key and the
range; an unknown key is one with a suggestion.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dlcli.errors import UsageError, did_you_mean

DEFAULT_LR = {
    "sgd": 0.1,
    "momentum": 0.05,
    "nesterov": 0.05,
    "rmsprop": 1e-3,
    "adam": 2e-3,
    "adamw": 2e-3,
    "lazy-adam": 2e-3,
}
OTHER_LR = 1e-3  # of an optimiser that is not in the table
MOST = 10**9  # of anything that is counted: more is a slip of the hand
CHANGEABLE = frozenset(  # what a resumed run may change; anything else would be another run
    {"epochs", "max_steps", "max_time", "patience", "until", "checkpoint_every", "on_nan"}
)


@dataclass(frozen=True)
class _Range:
    """Numbers from `low` to `high`; `open_low` and `open_high` leave the end itself out."""

    kind: type
    low: float = 0
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False
    optional: bool = False

    def __str__(self) -> str:
        word = "a whole number" if self.kind is int else "a number"
        above = f"above {self.low:g}" if self.open_low else f"{self.low:g} or more"
        if self.high == math.inf:
            return f"{word}, {above}"
        return f"{word}, {above}, {'below' if self.open_high else 'at most'} {self.high:,}"

    def holds(self, value: Any) -> bool:
        if value is None:
            return self.optional
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        if self.kind is int and not isinstance(value, int):
            return False
        low = value > self.low if self.open_low else value >= self.low
        high = value < self.high if self.open_high or self.high == math.inf else value <= self.high
        return low and high  # NaN and infinity fail


RANGES = {
    "epochs": _Range(int, 1, MOST),
    "batch_size": _Range(int, 1, MOST),
    "accumulate": _Range(int, 1, MOST),
    "max_steps": _Range(int, 1, MOST, optional=True),
    "max_time": _Range(float, 0, open_low=True, optional=True),
    "lr": _Range(float, 0, optional=True),
    "warmup": _Range(int, 0, MOST),
    "weight_decay": _Range(float, 0),
    "l1": _Range(float, 0),
    **{
        key: _Range(float, 0, 1, open_high=True, optional=True)
        for key in ("momentum", "beta1", "beta2")
    },
    "clip_norm": _Range(float, 0, open_low=True, optional=True),
    "clip_value": _Range(float, 0, open_low=True, optional=True),
    "label_smoothing": _Range(float, 0, 1, open_high=True),
    "patience": _Range(int, 1, MOST, optional=True),
    "checkpoint_every": _Range(int, 1, MOST, optional=True),
    "seed": _Range(int, 0, 2**63 - 1),
    "ema": _Range(float, 0, 1, open_low=True, open_high=True, optional=True),
}


CHOICES = {"class_weight": ("none", "sqrt", "balanced"), "sampling": ("none", "over", "under")}


@dataclass(frozen=True)
class Recipe:
    """How to train.

    epochs: passes over the training part. batch_size: images per batch. accumulate: batches
    whose gradients are averaged into one step. max_steps, max_time (seconds, over all parts of a
    resumed run): stop there. optimizer, schedule: a name of `dlcli.optim`, `dlcli.schedule`.
    lr: None takes the optimiser's entry in DEFAULT_LR. warmup: steps of linear warm-up.
    weight_decay, l1, momentum, beta1, beta2 (None: the optimiser's own), clip_norm, clip_value: see
    `dlcli.optim`. label_smoothing: what the model's loss is built with. class_weight: "balanced"
    and "sqrt" weigh a sample's loss by how rare its class is. sampling: "over" or "under" makes
    classes equally frequent, see `dlcli.data.balance`; one of the two at most. augment: how
    the pictures of the training part are varied, "shift=2,flip", see `dlcli.data.augment`.
    patience: stop after so many epochs without a better `monitor`. until: stop at the end of the
    first epoch in which any of these is reached, e.g. {"loss": 0.05}: a loss from above, anything
    else from below.
    monitor: the figure that chooses the best checkpoint; a "loss" is better when lower, anything
    else when higher. Figures are "loss" and "accuracy" (means over the epoch's training batches),
    "val_loss" and "val_accuracy". checkpoint_every: steps between saves of the last checkpoint,
    besides those at each epoch's end. on_nan: "error", or "skip:N" to skip at most N steps of which
    the loss or a gradient is not finite. seed: of shuffling and initialisation.
    init_from: the weights to begin with, a run or a safetensors file, and init_sha256 which they
    were; reset_head: but for the last layer's. freeze: shell patterns of parameters that are not
    trained. ema: the decay of an average of the weights that is validated and kept, see
    `train.average`.

    UsageError: a value out of its range.
    """

    epochs: int = 10
    batch_size: int = 128
    accumulate: int = 1
    max_steps: int | None = None
    max_time: float | None = None
    optimizer: str = "adam"
    lr: float | None = None
    schedule: str = "cosine"
    warmup: int = 0
    weight_decay: float = 0.0
    l1: float = 0.0
    momentum: float | None = None
    beta1: float | None = None
    beta2: float | None = None
    clip_norm: float | None = None
    clip_value: float | None = None
    label_smoothing: float = 0.0
    class_weight: str = "none"
    sampling: str = "none"
    augment: str = "none"
    patience: int | None = None
    until: Mapping[str, float] = field(default_factory=dict)
    monitor: str = "val_accuracy"
    checkpoint_every: int | None = None
    on_nan: str = "error"
    seed: int = 0
    init_from: str | None = None
    init_sha256: str | None = None
    reset_head: bool = False
    freeze: Sequence[str] = ()
    ema: float | None = None

    def __post_init__(self) -> None:
        for key, allowed in RANGES.items():
            value = getattr(self, key)
            if not allowed.holds(value):
                raise UsageError(f"{key} = {value!r} is not possible", why=f"it must be {allowed}")
            if allowed.kind is float and value is not None:
                object.__setattr__(self, key, float(value))
        for key in ("optimizer", "schedule", "monitor"):
            if not isinstance(getattr(self, key), str) or not getattr(self, key):
                raise UsageError(f"{key} = {getattr(self, key)!r} is not possible", why="a name")
        for key, known in CHOICES.items():
            if (value := getattr(self, key)) not in known:
                why = did_you_mean(str(value), known)
                raise UsageError(f"{key} = {value!r} is not possible", why=why)
        if all(getattr(self, key) != "none" for key in CHOICES):
            raise UsageError(
                f"class_weight = '{self.class_weight}' and sampling = '{self.sampling}'",
                why="each makes rare classes count as much as others; both would do it twice",
            )
        if self.on_nan != "error" and not _skips(self.on_nan):
            why = "it must be error, or skip:N to skip at most N steps, such as skip:3"
            raise UsageError(f"on_nan = {self.on_nan!r} is not possible", why=why)
        if not isinstance(self.augment, str):
            raise UsageError(f"augment = {self.augment!r} is not possible", why="it is a text")
        if self.augment != "none":
            from dlcli.data import augment  # loads NumPy

            augment.parse(self.augment)
        if not isinstance(self.until, Mapping):
            raise UsageError(
                f"until = {self.until!r} is not possible",
                why="it must be figures with thresholds, such as loss=0.05",
            )
        for key, value in self.until.items():
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not isinstance(key, str) or not number or not math.isfinite(value):
                raise UsageError(
                    f"until: {key!r} = {value!r} is not possible",
                    why="it must be a figure with a finite threshold, such as loss=0.05",
                )
        object.__setattr__(self, "until", {k: float(v) for k, v in self.until.items()})
        self._check_fine_tuning()

    def _check_fine_tuning(self) -> None:
        for key in ("init_from", "init_sha256"):
            if (value := getattr(self, key)) is not None and not (value and isinstance(value, str)):
                raise UsageError(f"{key} = {value!r} is not possible", why="it must be text")
        if not isinstance(self.reset_head, bool):
            what = f"reset_head = {self.reset_head!r} is not possible"
            raise UsageError(what, why="it must be true or false")
        if self.reset_head and self.init_from is None:
            why = "without --init-from every layer begins anew"
            raise UsageError("there is nothing to reset", why=why, hint="leave out --reset-head")
        patterns = self.freeze if isinstance(self.freeze, list | tuple) else None
        if patterns is None or not all(isinstance(p, str) and p for p in patterns):
            what, why = f"freeze = {self.freeze!r} is not possible", "it must be a list of patterns"
            raise UsageError(what, why=why, hint="such as ['0.*', '1.*']")
        object.__setattr__(self, "freeze", tuple(patterns))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Recipe:
        """Built from the keys of a configuration; those left out keep their defaults.

        UsageError: an unknown key, with a suggestion, or a value out of its range.
        """
        known = keys()
        for key in values:
            if key not in known:
                raise UsageError(f"unknown key {key!r}", hint=did_you_mean(str(key), known))
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for config.toml. TOML has no null: what is None is left out."""
        values = {key: getattr(self, key) for key in keys()}
        values |= {"until": dict(self.until), "freeze": list(self.freeze)}
        values |= {"reset_head": self.reset_head or None}
        return {k: v for k, v in values.items() if v is not None and v not in ({}, [])}

    def with_(self, **changes: Any) -> Recipe:
        """A copy with some values changed, validated again."""
        return dataclasses.replace(self, **changes)

    def resolved_lr(self) -> float:
        """`lr`, or the optimiser's default."""
        return DEFAULT_LR.get(self.optimizer, OTHER_LR) if self.lr is None else self.lr

    @property
    def skips(self) -> int:
        """How many steps may be skipped because they are not finite."""
        return _skips(self.on_nan)

    def resume_as(self, changes: Mapping[str, Any]) -> Recipe:
        """This recipe of a run that is resumed, with what the user gave this time.

        UsageError: a key that is not in CHANGEABLE has another value than the run has.
        """
        asked = Recipe.from_dict({**self.to_dict(), **changes})
        for key in changes:
            if key not in CHANGEABLE and getattr(asked, key) != getattr(self, key):
                raise UsageError(
                    f"{key} = {getattr(asked, key)!r} conflicts with the run's"
                    f" {getattr(self, key)!r}",
                    why=f"a resumed run may change only {', '.join(sorted(CHANGEABLE))}",
                    hint="start a new run, or leave the option out",
                )
        return asked


def keys() -> list[str]:
    """The names of a recipe's values, in order."""
    return [f.name for f in dataclasses.fields(Recipe)]


def _skips(on_nan: Any) -> int:
    """N of "skip:N", a whole number from 1 to MOST; 0 of anything else."""
    found = re.fullmatch(r"skip:([0-9]{1,10})", on_nan) if isinstance(on_nan, str) else None
    number = int(found[1]) if found else 0
    return number if number <= MOST else 0


def lower_is_better(figure: str) -> bool:
    """Whether a figure improves downwards: losses and errors do."""
    return figure.endswith(("loss", "error", "rmse", "perplexity", "l1"))


def reached(figure: str, value: float | None, threshold: float) -> bool:
    """Whether `value` has come to the threshold from its worse side; NaN and None have not."""
    if value is None:
        return False
    return value <= threshold if lower_is_better(figure) else value >= threshold
