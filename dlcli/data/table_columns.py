"""Columns of a table as numbers that a model takes: quantities and categories.

What a column becomes is learned from the training part alone, and travels with the checkpoint.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import repeat
from typing import Any, ClassVar, Protocol

import numpy as np

from dlcli.data.table_text import NUMBER, is_missing

MOST_LEVELS = 64  # of a category: the most frequent ones
LEAST_SEEN = 2  # times in the training part, or a level has none of its own
LARGEST = 1e30  # of a number in a table
FARTHEST = 10.0  # deviations from the mean: what is farther off is taken to be there


class Column(Protocol):
    """A column that was learned. name: in the table. width: numbers that it becomes."""

    name: str

    @property
    def width(self) -> int: ...

    def parse(self, cell: str) -> Any:
        """The value of a cell. ValueError: it is none."""

    def array(self, values: Sequence[Any]) -> np.ndarray:
        """Values as a column of a batch: (B,)."""

    def encode(self, values: np.ndarray, out: np.ndarray) -> None:
        """Writes a column of a batch (B,) into zeros (B, width) float32."""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""


@dataclass(frozen=True)
class Quantity:
    """Numbers, to mean 0 and deviation 1; a missing one is the median, and where the training part
    has missing ones, a second number tells them by 1.
    """

    kind: ClassVar[str] = "number"
    name: str
    mean: float
    std: float
    median: float
    tells_missing: bool

    @classmethod
    def fit(cls, name: str, values: np.ndarray) -> Quantity:
        """Of a column of the training part (n,) float64, NaN where it is missing."""
        there = values[~np.isnan(values)]
        if not len(there):
            return cls(name, 0.0, 1.0, 0.0, False)
        std = float(there.std())
        gaps = len(there) < len(values)
        return cls(name, float(there.mean()), std or 1.0, float(np.median(there)), gaps)

    @property
    def width(self) -> int:
        return 1 + self.tells_missing

    def parse(self, cell: str) -> float:
        return number(cell)

    def array(self, values: Sequence[float]) -> np.ndarray:
        return np.array(values, np.float64)

    def encode(self, values: np.ndarray, out: np.ndarray) -> None:
        gaps = np.isnan(values)
        scaled = (np.where(gaps, self.median, values) - self.mean) / self.std
        out[:, 0] = np.clip(scaled, -FARTHEST, FARTHEST)
        if self.tells_missing:
            out[:, 1] = gaps

    def to_json(self) -> dict[str, Any]:
        values = {"mean": self.mean, "std": self.std, "median": self.median}
        return {"name": self.name, "kind": self.kind, **values, "missing": self.tells_missing}

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Quantity:
        """What `to_json` gave. ValueError, TypeError, KeyError: it is something else."""
        values = [stored[key] for key in ("mean", "std", "median")]
        if not all(type(v) in (int, float) and math.isfinite(v) for v in values):
            raise ValueError("mean, std and median must be finite numbers")
        mean, std, median = map(float, values)
        if std <= 0 or type(stored["missing"]) is not bool:
            raise ValueError("std must be above 0, missing true or false")
        return cls(_name(stored), mean, std, median, stored["missing"])


@dataclass(frozen=True)
class Category:
    """Words, each level a number that is 1 where it stands (one-hot).

    levels: the most frequent ones of the training part. tells_other: those that are too rare share
    a number, and so do those that training has not seen; else the latter are zeros. tells_missing:
    so do missing ones; else they are zeros.
    """

    kind: ClassVar[str] = "category"
    name: str
    levels: tuple[str, ...]
    tells_other: bool
    tells_missing: bool

    @classmethod
    def fit(cls, name: str, values: np.ndarray) -> Category:
        """Of a column of the training part (n,) of texts, "" where it is missing."""
        counts = Counter(values.tolist())
        gaps = counts.pop("", 0) > 0
        often = sorted(counts, key=lambda level: (-counts[level], level))
        levels = [level for level in often if counts[level] >= LEAST_SEEN][:MOST_LEVELS]
        return cls(name, tuple(levels), len(levels) < len(often), gaps)

    @property
    def width(self) -> int:
        return len(self.levels) + self.tells_other + self.tells_missing

    def parse(self, cell: str) -> str:
        return "" if is_missing(cell) else cell

    def array(self, values: Sequence[str]) -> np.ndarray:
        found = np.empty(len(values), object)
        found[:] = values
        return found

    def knows(self, value: str) -> bool:
        """Whether the training part has it, as a level of its own."""
        return value in self.levels

    @cached_property
    def _places(self) -> dict[str, int]:
        """Where a level's 1 stands; −1: nowhere."""
        places = {level: i for i, level in enumerate(self.levels)}
        places[""] = self.width - 1 if self.tells_missing else -1
        return places

    def encode(self, values: np.ndarray, out: np.ndarray) -> None:
        other = len(self.levels) if self.tells_other else -1
        places = map(self._places.get, values, repeat(other))
        found = np.fromiter(places, np.int64, len(values))
        rows = np.flatnonzero(found >= 0)
        out[rows, found[rows]] = 1

    def to_json(self) -> dict[str, Any]:
        more = {"other": self.tells_other, "missing": self.tells_missing}
        return {"name": self.name, "kind": self.kind, "levels": list(self.levels), **more}

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Category:
        """What `to_json` gave. ValueError, TypeError, KeyError: it is something else."""
        levels = stored["levels"]
        if not isinstance(levels, list) or not all(type(x) is str and x for x in levels):
            raise TypeError("levels must be a list of texts")
        if len(levels) > MOST_LEVELS or len(set(levels)) < len(levels):
            raise ValueError(f"levels must be different ones, at most {MOST_LEVELS}")
        flags = stored["other"], stored["missing"]
        if not all(type(flag) is bool for flag in flags):
            raise TypeError("other and missing must be true or false")
        return cls(_name(stored), tuple(levels), *flags)


KINDS: dict[str, type[Quantity] | type[Category]] = {c.kind: c for c in (Quantity, Category)}


def fit(name: str, values: np.ndarray) -> Column:
    """A column of the training part: of float64 as a quantity, of texts as a category."""
    made: Column = (Quantity if values.dtype == np.float64 else Category).fit(name, values)
    return made


def number(cell: str) -> float:
    """A cell as a number, NaN where it is missing. ValueError: it is none, or too large."""
    if is_missing(cell):
        return math.nan
    if not NUMBER.fullmatch(cell):
        if cell.lower().lstrip("+-") in ("inf", "infinity"):
            raise ValueError(f"'{cell}' is not finite")
        raise ValueError(f"'{cell[:40]}' is no number")
    value = float(cell)
    if not abs(value) <= LARGEST:
        raise ValueError(f"{cell[:40]} is too large")
    return value


def _name(stored: dict[str, Any]) -> str:
    if type(stored["name"]) is not str:
        raise TypeError("the name of a column must be text")
    name: str = stored["name"]
    return name
