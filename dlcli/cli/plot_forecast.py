"""Forecasts of a series as a PNG file: what was and what was told, and errors by steps ahead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dlcli.cli.plot import figure_at, plain

TOLD, WAS = "#c2410c", "#334155"
LINES = (("-", TOLD), (":", "#64748b"), ("-.", "#0891b2"), ("--", WAS))  # of the forecasts' errors


def forecast(
    column: str,
    dates: Sequence[Any],
    values: Sequence[float],
    forecasts: Sequence[tuple[int, Sequence[float]]],
    errors: Mapping[str, Sequence[float]],
    path: Path,
    title: str,
) -> None:
    """Above, values at dates with forecasts, each (index of its first date, its values); below, the
    RMSE of each forecast by steps ahead. OSError: the file cannot be written.
    """
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    with figure_at(path, (9.0, 6.0)) as figure:
        above, below = figure.subplots(2, 1, height_ratios=(3, 2))
        above.plot(dates, values, color=WAS, linewidth=1.0, label="observed")
        for number, (at, told) in enumerate(forecasts):
            label = "forecast, anew each horizon" if number == 0 else None
            end = at + len(told)
            # from the last value that was known, so that one sees where a forecast begins
            start = max(at - 1, 0)
            joined = [values[start], *told] if at else told
            above.plot(dates[start:end], joined, color=TOLD, linewidth=1.4, label=label)
        locator = AutoDateLocator()
        above.xaxis.set_major_locator(locator)
        above.xaxis.set_major_formatter(ConciseDateFormatter(locator))
        above.set_ylabel(plain(column))
        above.legend(loc="best", fontsize=8)
        for (name, error), (line, colour) in zip(errors.items(), LINES, strict=False):
            steps = range(1, len(error) + 1)
            below.plot(steps, error, line, color=colour, marker=".", label=plain(name))
        below.set_xlabel("steps ahead")
        below.set_ylabel("RMSE")
        below.xaxis.get_major_locator().set_params(integer=True)
        below.set_ylim(bottom=0)
        below.legend(loc="lower right", fontsize=8, ncols=2)
        for panel in (above, below):
            panel.grid(alpha=0.3)
        figure.suptitle(plain(title))
