"""A series from a table: a column of dates, and one or several of numbers, in UTF-8 with a header.

Columns are separated by commas, or by semicolons or tabs where the header has no comma. Nothing is
guessed: what is not a number or not a date is an error that names its line.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path

import numpy as np

from dlcli.data import series_dates as dates
from dlcli.data.series import Series
from dlcli.data.text_lines import MOST_LINE, lines
from dlcli.errors import DataError

SEPARATORS = (",", ";", "\t")
DATES = {"date", "datetime", "time", "timestamp", "ds", "day", "week", "month", "quarter", "year"}
MOST_ROWS, MOST_COLUMNS = 2_000_000, 256
LARGEST = 1e30  # of a number: its square, in float64, is one still
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
LAYOUT = "expected a header, then lines such as 1981-01-31,20.7"


def read(path: Path) -> Series:
    """The series of a file. DataError: as with `parse`, or the file cannot be read."""
    return parse(lines(path), str(path))


def parse(numbered: Iterable[tuple[int, str]], name: str) -> Series:
    """The series of lines and their numbers. name: of the file, for messages.

    DataError, with file and line: no header, columns that are not of dates and numbers, a value
    that is missing, dates that do not ascend. Empty lines are no rows. Gaps are not looked for.
    """
    csv.field_size_limit(MOST_LINE)
    at = [0]

    def counted() -> Iterator[str]:
        for at[0], line in numbered:
            if line.strip():
                yield line + "\n"

    text = counted()
    header = next(text, "")
    separator = next((s for s in SEPARATORS if s in header), ",")
    reader = csv.reader(text, delimiter=separator, strict=True)
    place, columns, width = _header(name, at[0], header, separator)
    found: list[datetime] = []
    values: list[list[float]] = []
    numbers: list[int] = []
    form = ""
    try:
        for row in reader:
            where = f"{name}:{at[0]}"
            if len(row) != width:
                why = f"it has {len(row)} fields, the header has {width}"
                raise DataError(f"{where}: the row does not fit", why=why)
            date, its_form = _date(where, row.pop(place).strip())
            if its_form != form and found:
                why = f"it is a {its_form}, those before are a {form}"
                raise DataError(f"{where}: dates of two forms", why=why)
            if found and date <= found[-1]:
                _out_of_order(where, date, its_form, found, numbers)
            form = its_form
            found.append(date)
            pairs = zip(columns, row, strict=True)
            values.append([_number(where, column, field.strip()) for column, field in pairs])
            numbers.append(at[0])
            if len(found) > MOST_ROWS:
                raise DataError(f"{where}: too many rows", why=f"at most {MOST_ROWS:,} are read")
    except csv.Error as error:
        raise DataError(f"{name}:{at[0]}: is no CSV", why=str(error)) from error
    if not found:
        raise DataError(f"{name}: there are no rows", why="only a header", hint=LAYOUT)
    step = dates.step_of(found) if len(found) > 1 else None
    return Series(name, columns, found, form, np.array(values, np.float64), numbers, step)


def _header(name: str, line: int, header: str, separator: str) -> tuple[int, list[str], int]:
    """Where the dates are, the names of the other columns, and how many there are in all."""
    where = f"{name}:{line}" if line else name
    if not header:
        raise DataError(f"{where}: holds nothing", hint=LAYOUT)
    try:
        fields = [f.strip() for f in next(csv.reader([header], delimiter=separator, strict=True))]
    except csv.Error as error:
        raise DataError(f"{where}: is no CSV", why=str(error)) from error
    if len(fields) < 2:
        why = "there is one column: a series has dates and numbers"
        hint = "separate columns by commas, semicolons or tabs"
        raise DataError(f"{where}: is no table of a series", why=why, hint=hint)
    if any(_NUMBER.fullmatch(f) or dates.is_date(f) for f in fields):
        raise DataError(f"{where}: is no header", why="it holds a date or number", hint=LAYOUT)
    if len(fields) > MOST_COLUMNS:
        raise DataError(f"{where}: too many columns", why=f"at most {MOST_COLUMNS} are read")
    for number, field in enumerate(fields, 1):
        if (not field and number > 1) or fields.count(field) > 1:
            what = f"column {number} has no name" if not field else f"two columns '{field}'"
            raise DataError(f"{where}: {what}", hint=LAYOUT)
    place = next((i for i, field in enumerate(fields) if field.lower() in DATES), 0)
    columns = fields[:place] + fields[place + 1 :]
    if "" in columns:
        raise DataError(f"{where}: column 1 has no name", why="it may count the rows: leave it out")
    return place, columns, len(fields)


def _date(where: str, text: str) -> tuple[datetime, str]:
    try:
        return dates.parse(text)
    except ValueError as error:
        what = f"'{text[:40]}' is no date" if text else "the date is missing"
        raise DataError(f"{where}: {what}", why=str(error)) from error


def _number(where: str, column: str, text: str) -> float:
    if _NUMBER.fullmatch(text):
        value = float(text)
        if math.isfinite(value) and abs(value) <= LARGEST:
            return value
        raise DataError(f"{where}: '{text[:40]}' is too large", why=f"in the column '{column}'")
    if text.lower() in ("", "na", "n/a", "nan", "null", "none", "-", "?"):
        hint = "fill it in, or leave the column out"
        raise DataError(f"{where}: a value is missing", why=f"in the column '{column}'", hint=hint)
    comma = re.fullmatch(r"[+-]?\d+,\d+", text)
    hint = "write decimals with a point" if comma else "correct it, or leave the column out"
    what = f"'{text[:40]}' is no number"
    raise DataError(f"{where}: {what}", why=f"in the column '{column}'", hint=hint)


def _out_of_order(
    where: str, date: datetime, form: str, found: list[datetime], numbers: list[int]
) -> None:
    """DataError: a date that was there already, or that is earlier than the one before."""
    shown, hint = dates.write(date, form), "sort the rows by their dates"
    if date in found:
        why = f"first on line {numbers[found.index(date)]}"
        raise DataError(f"{where}: the date {shown} a second time", why=why)
    why = f"it comes after {dates.write(found[-1], form)}"
    raise DataError(f"{where}: the date {shown} is out of order", why=why, hint=hint)
