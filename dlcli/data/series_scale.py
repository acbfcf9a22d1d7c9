"""What makes numbers of a series fit for a model: mean 0 and variance 1 over the training part."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from dlcli.data.series import Series, SeriesSplit
from dlcli.data.series_dates import Step
from dlcli.errors import CheckpointError, DataError

MOST_COLUMNS = 256


class Scale:
    """Encodes windows: each column by its own mean and deviation; sines and cosines stay.

    columns: C names, the target first. mean, std: (C,) float64 over the rows of the training part;
    of a column that never changes there std is 1. step: of the series. season, ignore_gaps: see
    `series.Layout`.
    """

    def __init__(
        self,
        columns: Sequence[str],
        mean: np.ndarray,
        std: np.ndarray,
        step: Step,
        season: float | None,
        ignore_gaps: bool,
    ) -> None:
        self.columns = list(columns)
        self.mean, self.std = np.array(mean, np.float64), np.array(std, np.float64)
        self.step, self.season, self.ignore_gaps = step, season, ignore_gaps
        shape = (len(self.columns),)
        if not (self.columns and self.mean.shape == self.std.shape == shape):
            raise ValueError(f"{shape} columns, mean {self.mean.shape}, std {self.std.shape}")
        if not (np.isfinite(self.mean).all() and np.isfinite(self.std).all()):
            raise ValueError("mean and std must be finite")
        if not (self.std > 0).all():
            raise ValueError("std must be above 0")
        if season is not None and not (math.isfinite(season) and season >= 2):
            raise ValueError(f"a season of {season} steps")

    @classmethod
    def fit(cls, train: SeriesSplit) -> Scale:
        """Mean and deviation of every row that the training part consists of."""
        series, (first, last) = train.series, train.rows
        rows = series.values[first:last]
        std = rows.std(axis=0)
        std = np.where(np.ptp(rows, axis=0) > 0, std, 1.0)
        assert series.step is not None
        layout = train.layout
        about = (series.step, layout.season, layout.ignore_gaps)
        return cls(series.columns, rows.mean(axis=0), std, *about)

    @property
    def numbers(self) -> int:
        """How many a row has as a model sees it."""
        return len(self.columns) + (0 if self.season is None else 2)

    def __call__(self, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(B, window, C + 2) float64 to the same in float32 and scaled; and (B, 2) float64: mean
        and deviation of the target, in which a model's answers are to be read.
        """
        scaled, C = np.array(samples, np.float64), len(self.columns)
        scaled[..., :C] = (scaled[..., :C] - self.mean) / self.std
        about = np.tile([self.mean[0], self.std[0]], (len(samples), 1))
        return scaled.astype(np.float32), about

    @staticmethod
    def values(answers: np.ndarray, about: np.ndarray) -> np.ndarray:
        """A model's answers (B, horizon) in the units of the target, float64. about: of the batch,
        see `__call__`.
        """
        found: np.ndarray = about[:, :1] + about[:, 1:] * answers.astype(np.float64)
        return found

    def last(self, series: Series, window: int) -> np.ndarray:
        """The last window of a series: (window, C + 2) float64.

        DataError: it lacks a column, is too short, has another step, or a gap in the window.
        """
        series = series.of(self.columns)
        if len(series) < window:
            why = f"it has {len(series):,} rows, the model looks back on {window:,}"
            raise DataError(f"{series.name}: the series is too short", why=why)
        if series.step is not None and not self.ignore_gaps:
            if series.step != self.step:
                why = f"its rows are {series.step} apart, the model's {self.step}"
                raise DataError(f"{series.name}: is no such series", why=why)
            series.check_steps(self.step, len(series) - window)
        first = len(series) - window
        seasons = series.seasons(self.step, self.season, first)
        return np.concatenate((series.values[first:], seasons), axis=1)

    def to_json(self) -> dict[str, Any]:
        """Plain values, which JSON carries without loss."""
        return {
            "columns": self.columns,
            "mean": self.mean.tolist(),
            "std": self.std.tolist(),
            "step": self.step.to_json(),
            "season": self.season,
            "ignore_gaps": self.ignore_gaps,
        }

    @classmethod
    def from_json(cls, stored: object) -> Scale:
        """What `to_json` gave. CheckpointError: it is something else."""
        try:
            columns, mean, std = (stored[key] for key in ("columns", "mean", "std"))  # type: ignore[index]
            step, season = Step.from_json(stored["step"]), stored["season"]  # type: ignore[index]
            gaps = stored["ignore_gaps"]  # type: ignore[index]
            if not (isinstance(columns, list) and len(columns) <= MOST_COLUMNS):
                raise TypeError(f"columns must be a list of at most {MOST_COLUMNS}")
            if not all(type(name) is str for name in columns):
                raise TypeError("columns must be names")
            if type(gaps) is not bool:
                raise TypeError("ignore_gaps must be true or false")
            numbers = [*mean, *std, *([] if season is None else [season])]
            if not all(type(v) in (int, float) for v in numbers):
                raise TypeError("mean, std and season must be numbers")
            return cls(columns, np.array(mean, float), np.array(std, float), step, season, gaps)
        except (TypeError, KeyError, ValueError, OverflowError) as error:
            raise CheckpointError("the stored scale is damaged", why=str(error)) from error
