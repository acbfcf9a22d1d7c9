"""Forecasts that a model must beat: the last value, that of a season ago, and a linear one."""

from __future__ import annotations

import numpy as np

from dlcli.data.series import SeriesSplit
from dlcli.data.series_scale import Scale

CHUNK = 4096  # windows at a time
ALMOST = 1e-6  # of a step: dates are whole numbers of them but for rounding


def naive(part: SeriesSplit) -> np.ndarray:
    """Every step ahead is the last value that is known: (n, horizon)."""
    last = part.series.values[part.starts - 1, 0]
    return np.repeat(last[:, None], part.layout.horizon, axis=1)


def seasonal_naive(part: SeriesSplit) -> np.ndarray | None:
    """Every step ahead is the value of a season ago, of as many seasons as it takes to be known:
    (n, horizon). None: there is no season, or the series does not reach back that far.
    """
    series, layout = part.series, part.layout
    if layout.season is None or series.step is None:
        return None
    numbers = np.array([series.step.number(date) for date in series.dates])
    rows = part.starts[:, None] + np.arange(layout.horizon)
    ahead = numbers[rows] - numbers[part.starts - 1][:, None]
    season = round(layout.season)
    back = np.ceil((ahead - ALMOST) / season) * season
    found = np.searchsorted(numbers, numbers[rows] - back + ALMOST, side="right") - 1
    if not len(found) or found.min() < 0:
        return None
    return series.values[found, 0]


class Linear:
    """A linear autoregression: every step ahead from all values of the window and a constant, by
    least squares over the training part.

    The factor R of a QR decomposition is grown by CHUNK windows at a time, so that memory does not
    grow with the series and squares of numbers are never taken.
    """

    def __init__(self, train: SeriesSplit, scale: Scale) -> None:
        self.scale = scale
        known = len(self._row(train, np.arange(1))[0])
        r = np.zeros((0, known + train.layout.horizon))
        for at in range(0, len(train), CHUNK):
            rows = np.arange(at, min(at + CHUNK, len(train)))
            told = (train.labels[rows] - scale.mean[0]) / scale.std[0]
            both = np.concatenate((self._row(train, rows), told), axis=1)
            r = np.linalg.qr(np.concatenate((r, both)), mode="r")
        self.weights = np.linalg.lstsq(r[:known, :known], r[:known, known:], rcond=None)[0]

    def _row(self, part: SeriesSplit, rows: np.ndarray) -> np.ndarray:
        """(B, window · C + 1): the scaled values without the season, and 1."""
        C = len(self.scale.columns)
        values = (part.samples(rows)[..., :C] - self.scale.mean) / self.scale.std
        return np.concatenate((values.reshape(len(rows), -1), np.ones((len(rows), 1))), axis=1)

    def __call__(self, part: SeriesSplit) -> np.ndarray:
        """(n, horizon)."""
        chunks = np.array_split(np.arange(len(part)), -(-len(part) // CHUNK))
        found = [self._row(part, rows) @ self.weights for rows in chunks]
        return self.scale.mean[0] + self.scale.std[0] * np.concatenate(found)
