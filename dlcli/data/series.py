"""A time series: columns of numbers at dates that are a step apart, and its parts for training.

Parts follow each other in time: the last fifth is the test part, the tenth before it is the
validation part. A sample is a window of rows and the values of the target in the rows that follow,
the horizon. What is to be told lies in the sample's part as a whole; a window may reach back into
the part before. So no part holds anything of what another one is measured on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property

import numpy as np

from dlcli.data import series_dates as dates
from dlcli.data.dataset import Dataset, Part, fingerprint
from dlcli.data.series_dates import Step
from dlcli.errors import DataError, UsageError, did_you_mean

TEST_ONE_IN, VAL_ONE_IN = 5, 10
SHAPE = (30, 3, 7)  # window, numbers of a row as a model sees it, horizon
RECIPE: dict[str, object] = {"epochs": 10, "batch_size": 64, "lr": 2e-3, "weight_decay": 1e-4}
SMALL, SMALL_BATCH = 1_000, 16  # windows: below it a step takes fewer of them
STEPS, LEAST_EPOCHS, MOST_EPOCHS = 1_000, 10, 200  # a short series is seen more often
LIMITS = {"window": (1, 10_000), "horizon": (1, 1_000), "season": (2, 1_000_000)}


@dataclass(frozen=True)
class Series:
    """name: of its file. columns: C names. dates: T, ascending; form: as the file writes them.
    values: (T, C) float64, finite. lines: T numbers of lines. step: from a date to the next.
    """

    name: str
    columns: list[str]
    dates: list[datetime]
    form: str
    values: np.ndarray
    lines: list[int]
    step: Step | None

    def __len__(self) -> int:
        return len(self.dates)

    def written(self, row: int) -> str:
        """The date of a row as the file has it."""
        return dates.write(self.dates[row], self.form)

    def of(self, columns: Sequence[str]) -> Series:
        """The same with these columns, in this order. DataError: there is no such column."""
        for name in columns:
            if name not in self.columns:
                why = did_you_mean(name, self.columns)
                raise DataError(f"{self.name}: there is no column '{name}'", why=why)
        places = [self.columns.index(name) for name in columns]
        return replace(self, columns=list(columns), values=self.values[:, places])

    def check_steps(self, step: Step, first: int = 0) -> None:
        """DataError: two rows that follow each other, from row `first` on, are not a step apart."""
        for row in range(first + 1, len(self)):
            found = step.between(self.dates[row - 1], self.dates[row])
            if abs(found - 1) > 1e-6:
                where = f"{self.name}:{self.lines[row]}"
                what = f"{where}: {self.written(row)} does not follow {self.written(row - 1)}"
                missing = found > 1 and float(found).is_integer()
                rows = f"{found - 1:.0f} row{'s' * (found > 2)} missing, " if missing else ""
                raise DataError(what, why=f"{rows}a step is {step}", hint=GAPS)

    def seasons(self, step: Step, season: float | None, first: int = 0) -> np.ndarray:
        """(T − first, 2): sine and cosine of where in a season each row is, by its date; without
        seasons (T − first, 0).
        """
        if season is None:
            return np.zeros((len(self) - first, 0))
        at = np.array([step.number(date) for date in self.dates[first:]]) * (2 * np.pi / season)
        return np.stack((np.sin(at), np.cos(at)), axis=1)


GAPS = "add what is missing, or let rows follow each other whatever their dates: --ignore-gaps"


@dataclass(frozen=True)
class Layout:
    """How windows are cut. window, horizon: rows. season: in steps, None where there is none.
    ignore_gaps: rows follow each other whatever their dates.
    """

    window: int
    horizon: int
    season: float | None
    ignore_gaps: bool = False


class SeriesSplit:
    """The windows whose horizon lies in rows first … last−1 of a series.

    Sample i is (window, C + 2) float64, the target first, then the other columns and the season;
    labels are (n, horizon) float64, the target's values.
    """

    lengths = None

    def __init__(self, name: str, series: Series, rows: tuple[int, int], layout: Layout) -> None:
        assert series.step is not None
        self.name, self.series, self.rows, self.layout = name, series, rows, layout
        first = max(rows[0], layout.window)
        count = max(rows[1] - layout.horizon + 1 - first, 0)
        self.starts = np.arange(first, first + count)  # rows where horizons begin
        steps = np.lib.stride_tricks.sliding_window_view(series.values[:, 0], layout.horizon)
        self.labels = steps[first : first + count]
        seasons = series.seasons(series.step, layout.season)
        self._rows = np.concatenate((series.values, seasons), axis=1)

    def __len__(self) -> int:
        return len(self.starts)

    def samples(self, indices: np.ndarray) -> np.ndarray:
        """(B, window, C + 2) float64."""
        rows = self.starts[indices][:, None] + np.arange(-self.layout.window, 0)
        return self._rows[rows]

    def id(self, index: int) -> str:
        """The part, and the date of the first value that is to be told: "train/1981-01-31"."""
        return f"{self.name}/{self.series.written(int(self.starts[index]))}"

    def of(self, columns: Sequence[str]) -> SeriesSplit:
        """The same windows of these columns. DataError: there is no such column."""
        if list(columns) == self.series.columns:
            return self
        series = self.series.of(columns)
        return SeriesSplit(self.name, series, self.rows, self.layout)

    @cached_property
    def _digest(self) -> bytes:
        about = (self.name, self.rows, self.layout, self.series.columns)
        h = hashlib.sha256(f"{about}\n".encode("utf-8", "surrogatepass"))
        h.update(" ".join(self.series.written(row) for row in range(len(self.series))).encode())
        h.update(np.ascontiguousarray(self.series.values, "<f8").tobytes())
        return h.digest()

    def digest(self) -> bytes:
        """SHA-256 of the series and of the part's place in it."""
        return self._digest


def dataset(
    series: Series,
    name: str,
    *,
    base: tuple[int, int, int] = SHAPE,
    column: str | None = None,
    window: int | None = None,
    horizon: int | None = None,
    season: int | None = None,
    ignore_gaps: bool = False,
) -> Dataset:
    """A series as parts of windows. base: of it, where window or horizon are not given. column: the
    target, the first unless given; the others are inputs too. season: in steps, that of the
    dates unless given. ignore_gaps: see `Layout`.

    UsageError: an option's value is not possible. DataError: a gap, a series that is too short, or
    a target that never changes in the training part.
    """
    from dlcli.data.series_kind import KIND

    window = base[0] if window is None else window
    horizon = base[2] if horizon is None else horizon
    for key, value in (("window", window), ("horizon", horizon), ("season", season)):
        low, high = LIMITS[key]
        if value is not None and not low <= value <= high:
            why = f"it must be {low:,} … {high:,}"
            raise UsageError(f"data.{key} = {value} is not possible", why=why)
    if column is not None and column not in series.columns:
        why = did_you_mean(column, series.columns)
        raise UsageError(f"{series.name}: there is no column '{column}'", why=why)
    target = column or series.columns[0]
    series = series.of([target, *(c for c in series.columns if c != target)])
    n = len(series)
    tested = n // TEST_ONE_IN
    validated = n // VAL_ONE_IN
    trained = n - tested - validated
    if series.step is None or trained < window + horizon or validated < horizon:
        why = f"{n} rows make parts of {trained}, {validated} and {tested}"
        hint = f"a part needs {horizon} rows for its horizon, and training {window} before them"
        raise DataError(f"{series.name}: the series is too short", why=why, hint=hint)
    if not ignore_gaps:
        series.check_steps(series.step)
    if np.ptp(series.values[:trained, 0]) == 0:
        what = f"{series.name}: the column '{target}' never changes"
        why = f"it is {series.values[0, 0]:g} in all {trained} rows of the training part"
        raise DataError(what, why=why)
    steps = series.step.season if season is None else float(season)
    layout = Layout(window, horizon, steps, ignore_gaps)
    shape = (window, len(series.columns) + (2 if steps else 0), horizon)
    ends = {"train": (0, trained), "val": (trained, trained + validated)}
    ends["test"] = (trained + validated, n)
    parts: dict[str, Part] = {
        part: SeriesSplit(part, series, rows, layout) for part, rows in ends.items()
    }
    return Dataset(
        name=name,
        classes=[],
        shape=shape,
        splits=dict(parts),
        recipe=_recipe(len(parts["train"])),
        fingerprint=fingerprint([], shape, parts),
        source=series.name,
        kind=KIND,
    )


def _recipe(n: int) -> dict[str, object]:
    """For n windows to train on: as many epochs as make STEPS steps, within bounds."""
    batch = 64 if n >= SMALL else SMALL_BATCH
    epochs = min(max(-(-STEPS // -(-n // batch)), LEAST_EPOCHS), MOST_EPOCHS)
    return {**RECIPE, "epochs": epochs, "batch_size": batch}
