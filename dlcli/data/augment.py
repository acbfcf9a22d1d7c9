"""Augmentation: pictures of the training part varied, otherwise in each epoch.

"shift=2,flip,mixup=0.2" names what is done, in that order, with a value each; what there is lies in
`augmentations`, one file each. What comes of a picture is a function of the seed, the epoch and the
picture alone: threads, batches and resuming change nothing.

Pictures are varied as uint8, before they are normalised: a quarter of the bytes to move, Pillow's
resampling can be used, colours mean what people mean by them, and what is drawn of them is exactly
what a model sees.
"""

from __future__ import annotations

import math
import pkgutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from types import ModuleType

import numpy as np
from dlcli_kernels import philox

import dlcli.data.augmentations
from dlcli.errors import UsageError, did_you_mean

NONE = "none"
EXAMPLE = "shift=2,flip,cutout=8"


@dataclass(frozen=True)
class Value:
    """The value of an augmentation: a number from `low` to `high`, `default` where none is given.

    what: it means, in words. whole: a whole number. pixels: less than a picture's shorter side.
    above: `low` itself is too low.
    """

    default: float
    low: float
    high: float
    what: str
    whole: bool = False
    pixels: bool = False
    above: bool = False

    def of(self, text: str) -> float | None:
        """The number that is written, None where it is none of those."""
        try:
            number = float(text)
        except ValueError:
            return None
        low = number > self.low if self.above else number >= self.low
        return number if low and number <= self.high and self._fits(number) else None

    def _fits(self, number: float) -> bool:
        return math.isfinite(number) and (number.is_integer() or not self.whole)

    def __str__(self) -> str:
        kind = "a whole number" if self.whole else "a number"
        low = f"above {self.low:g}" if self.above else f"of at least {self.low:g}"
        return f"{kind} {low} and at most {self.high:g}: {self.what}"


@dataclass(frozen=True)
class Step:
    """One of the things that are done: its name, its value, its module."""

    name: str
    value: float
    module: ModuleType


@cache
def names() -> list[str]:
    """What there is, by the modules of `augmentations`."""
    return sorted(m.name for m in pkgutil.iter_modules(dlcli.data.augmentations.__path__))


def parse(spec: str) -> tuple[Step, ...]:
    """What a text asks for, in its order; nothing if it is "none".

    UsageError: a name that there is not, one twice, two that mix, or a value out of its range.
    """
    if spec == NONE:
        return ()
    steps: list[Step] = []
    for part in spec.split(","):
        name, equals, text = (word.strip() for word in part.partition("="))
        if name not in names():
            why = did_you_mean(name, names()) if name else f"write it as in '{EXAMPLE}'"
            what = f"there is no '{name}'" if name else f"'{spec}' names nothing"
            raise UsageError(f"augment: {what}", why=why)
        module = import_module(f"dlcli.data.augmentations.{name}")
        about: Value = module.ABOUT
        value = about.of(text) if equals else about.default
        if value is None:
            why = f"it takes {about}"
            raise UsageError(f"augment: {name}={text} is not possible", why=why)
        step = Step(name, value, module)
        for other in steps:
            if other.name == name:
                raise UsageError(f"augment: {name} is named twice")
            if mixes(other) and mixes(step):
                raise UsageError(f"augment: {other.name} and {name} both mix labels", why="one can")
        steps.append(step)
    return tuple(steps)


def mixes(step: Step) -> bool:
    """Whether it makes one picture, with one label, of two."""
    return hasattr(step.module, "mix")


def check(steps: Sequence[Step], shape: Sequence[int]) -> None:
    """UsageError: a step goes further than pictures (H, W, C) of that shape reach."""
    side = min(shape[:2])
    for step in steps:
        if step.module.ABOUT.pixels and step.value >= side:
            why = f"the shorter side of these pictures has {side} pixels"
            raise UsageError(f"augment: {step.name}={step.value:g} is too much", why=why)


def vary(x: np.ndarray, steps: Sequence[Step], seed: int, rows: np.ndarray) -> np.ndarray:
    """Pictures (B, H, W, C) uint8, the caller's to keep, varied by the steps that mix nothing.

    rows: (B, 3) int64: the epoch, which picture, and the how-manieth time that the epoch has it.
    """
    for step in steps:
        if not mixes(step):
            module = step.module
            x = module.vary(x, draws(seed, step.name, rows, module.DRAWS), step.value)
    return x


def draws(seed: int, name: str, rows: np.ndarray, n: int) -> np.ndarray:
    """(B, n) in [0, 1): row by row those of `philox.Generator(seed, "augment/<name>", *row)`, all
    at once.
    """
    each = -(-n // 4)
    k0, k1 = philox.key(seed, f"augment/{name}")
    shift, mask = np.uint64(32), np.uint64(philox.MASK)
    c0 = np.tile(np.arange(each, dtype=np.uint64), len(rows))
    c1, c2, c3 = (np.repeat(column.astype(np.uint64) & mask, each) for column in rows.T)
    for _ in range(10):
        p0, p1 = c0 * np.uint64(philox.M0), c2 * np.uint64(philox.M1)
        c0, c1, c2, c3 = (
            (p1 >> shift) ^ c1 ^ np.uint64(k0),
            p1 & mask,
            (p0 >> shift) ^ c3 ^ np.uint64(k1),
            p0 & mask,
        )
        k0, k1 = (k0 + philox.W0) & philox.MASK, (k1 + philox.W1) & philox.MASK
    words: np.ndarray = np.stack([c0, c1, c2, c3], axis=1).reshape(len(rows), 4 * each)[:, :n]
    return words * 2.0**-32


# --- what augmentations share -------------------------------------------------------------------


def mirrored(x: np.ndarray, margin: int) -> np.ndarray:
    """Pictures (B, H, W, C) continued by their mirror images, so many pixels on each side."""
    rows, columns = (np.pad(np.arange(n), margin, mode="reflect") for n in x.shape[1:3])
    return x.take(rows, axis=1).take(columns, axis=2)


def drawable(picture: np.ndarray) -> list[np.ndarray]:
    """A picture (H, W, C) uint8 as what Pillow takes: itself if it is RGB, else its channels."""
    if picture.shape[-1] == 3:
        return [picture]
    return [picture[..., c] for c in range(picture.shape[-1])]
