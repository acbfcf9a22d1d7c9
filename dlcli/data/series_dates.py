"""Dates of a series, and the step from one to the next.

Dates are ISO 8601 and nothing else: of 01/02/1981 nobody can say whether it is in January. A step
is a number of months or of seconds (a day has 86,400). A season is a year, or a day where steps are
shorter than one.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from dlcli.errors import DataError

DAY = 86_400  # seconds
YEAR = 365.2425 * DAY  # the mean of the Gregorian calendar
EPOCH = datetime(1970, 1, 1)
MOST = 1 << 40  # seconds of a step that is read from a checkpoint
_TIME = r"[T ](\d\d):(\d\d)(?::(\d\d)(?:\.0+)?)?(Z|[+-]\d\d:?\d\d)?"
_DATE = re.compile(rf"(\d{{4}})(?:-(\d\d)(?:-(\d\d)(?:{_TIME})?)?)?", re.ASCII)
UNITS = ((7 * DAY, "week"), (DAY, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))


def parse(text: str) -> tuple[datetime, str]:
    """The date of "1981", "1981-01", "1981-01-31" or "1981-01-31 06:00:00", and its form, with
    which `write` gives it again. A time with an offset becomes UTC. ValueError: it is no date.
    """
    found = _DATE.fullmatch(text)
    if found is None:
        raise ValueError("a date is written as 1981-01-31, a month as 1981-01")
    year, month, day, hour, minute, second, zone = found.groups()
    date = datetime(*[int(p) for p in (year, month or 1, day or 1)])
    date = date.replace(hour=int(hour or 0), minute=int(minute or 0), second=int(second or 0))
    if zone and zone != "Z":
        ahead = timedelta(hours=int(zone[1:3]), minutes=int(zone[-2:]))
        date += ahead if zone[0] == "-" else -ahead
    if hour:
        return date, "time, UTC" if zone else "time"
    return date, "day" if day else "month" if month else "year"


def is_date(text: str) -> bool:
    """Whether it is written as a date is, with a month at least: a year alone is a number too."""
    found = _DATE.fullmatch(text)
    return found is not None and found[2] is not None


def write(date: datetime, form: str) -> str:
    """A date in a form that `parse` gave."""
    if form == "time, UTC":
        return date.replace(tzinfo=UTC).isoformat()
    if form == "time":
        return date.isoformat()
    return date.date().isoformat()[: {"year": 4, "month": 7, "day": 10}[form]]


@dataclass(frozen=True)
class Step:
    """months or seconds: one of them is above 0. end: months are counted by their last days."""

    months: int = 0
    seconds: int = 0
    end: bool = False

    def number(self, date: datetime) -> float:
        """Steps since a day long ago, always the same: which steps of a season a date is at."""
        if self.months:
            return (12 * date.year + date.month - 1) / self.months
        return (date - EPOCH).total_seconds() / self.seconds

    def between(self, first: datetime, last: datetime) -> float:
        """How many steps there are from one date to another."""
        return self.number(last) - self.number(first)

    def after(self, date: datetime, steps: int) -> datetime:
        """The date so many steps on. DataError: no calendar goes that far."""
        try:
            if not self.months:
                return date + timedelta(seconds=self.seconds * steps)
            year, month = divmod(12 * date.year + date.month - 1 + self.months * steps, 12)
            day = monthrange(year, month + 1)[1] if self.end else date.day
            return date.replace(year=year, month=month + 1, day=day)
        except (ValueError, OverflowError) as error:
            raise DataError("a date is beyond the year 9999", why=str(error)) from error

    @property
    def season(self) -> float | None:
        """The steps of a season. None: a step is half a year or longer."""
        if self.months:
            steps = 12 / self.months
        else:
            steps = (YEAR if self.seconds >= DAY else DAY) / self.seconds
        return steps if steps > 2 else None

    def __str__(self) -> str:
        if self.months:
            years = self.months % 12 == 0
            count, unit = (self.months // 12, "year") if years else (self.months, "month")
        else:
            size, unit = next((s, u) for s, u in UNITS if self.seconds % s == 0)
            count = self.seconds // size
        return f"{count} {unit}" + "s" * (count != 1)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Step:
        """What `to_json` gave. TypeError, ValueError, KeyError: it is something else."""
        months, seconds, end = (stored[key] for key in ("months", "seconds", "end"))
        if not (type(months) is type(seconds) is int and type(end) is bool):
            raise TypeError("a step is a number of months or seconds")
        if (months > 0) == (seconds > 0) or min(months, seconds) < 0 or seconds + months > MOST:
            raise ValueError(f"{months} months and {seconds} seconds are no step")
        return cls(months, seconds, end)


def step_of(dates: Sequence[datetime]) -> Step:
    """The step that most of the dates are apart, at least two, each later than the one before.

    Where all fall on the same day of a month, or all on its last, it is counted in months.
    """
    ends = all(d.day == monthrange(d.year, d.month)[1] for d in dates)
    if ends or len({d.day for d in dates}) == 1:
        months = [12 * (b.year - a.year) + b.month - a.month for a, b in pairwise(dates)]
        if min(months) > 0:
            return Step(months=_most_common(months), end=ends)
    return Step(seconds=_most_common([int((b - a).total_seconds()) for a, b in pairwise(dates)]))


def _most_common(numbers: Sequence[int]) -> int:
    """Of equally frequent ones the least."""
    counts = Counter(numbers)
    return min(counts, key=lambda n: (-counts[n], n))
