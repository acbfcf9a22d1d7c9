"""What the columns of a table are, quantities or categories, and which of them say nothing.

A column is of quantities if all of its cells are numbers. One that is nearly all numbers is a
mistake that is named, and so are dates and numbers with separators: none of them is taken for
something that it is not.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from dlcli.data.table_columns import MOST_LEVELS, number
from dlcli.data.table_text import NUMBER, Table, is_missing
from dlcli.errors import DataError

NEARLY = 0.9  # of the cells
FEW = 30  # rows in which different values say nothing yet
DENSE = 0.75  # of the numbers of all rows, of which the training part has four fifths
OFTEN = 10  # times that each value of a column occurs on average, to be more than chance
_DAY = r"(\d{4}[-/.]\d{1,2}([-/.]\d{1,2})?|\d{1,2}[-/.]\d{1,2}[-/.](\d{2}|\d{4}))"
_DATE = re.compile(rf"{_DAY}([T ]\d{{1,2}}:\d{{2}}.{{0,20}})?", re.ASCII)
_GROUPED = re.compile(
    r"[-+]?[$€£]?\s?\d+([,.' ]\d{3})*([,.]\d+)?\s?[%$€£]?", re.ASCII
)  # 1,234.5  1.234,5  $12  45 %
_CODE = re.compile(r"0\d+", re.ASCII)  # a postcode, a number of a part: no quantity
_ID = re.compile(r"(.*[ _-])?(id|index|idx|nr|no|row|uuid|guid)|column \d+", re.IGNORECASE)


def typed(table: Table, name: str, categories: Sequence[str]) -> np.ndarray | None:
    """A column as it is to be learned from: (n,) float64 with NaN, or (n,) of texts with "", where
    cells are missing. None: all are. categories: columns whose numbers are names.

    DataError, with line and column: dates; numbers with something among them that is none.
    """
    cells = table.columns[name]
    rows = [i for i, cell in enumerate(cells) if not is_missing(cell)]
    if not rows:
        return None
    if name not in categories:
        numbers = [i for i in rows if NUMBER.fullmatch(cells[i])]
        if len(numbers) == len(rows) and not any(_CODE.fullmatch(cells[i]) for i in rows):
            return np.array([_number(table, i, name) for i in range(len(cells))], np.float64)
        if len(numbers) < len(rows):
            _check(table, name, rows, len(numbers))
    found = np.empty(len(cells), object)
    found[:] = ["" if is_missing(cell) else cell for cell in cells]
    return found


def _number(table: Table, row: int, name: str) -> float:
    try:
        return number(table.columns[name][row])
    except ValueError as error:
        raise DataError(f"{table.place(row, name)}: {error}") from error


def _check(table: Table, name: str, rows: Sequence[int], numbers: int) -> None:
    """DataError: what is not all numbers was meant to be, or is of dates."""
    cells = table.columns[name]
    as_words = f"or take it as words: --categories {_quoted(name)}"
    dates = [i for i in rows if _DATE.fullmatch(cells[i])]
    if len(dates) >= NEARLY * len(rows):
        why = "a date is neither a quantity nor a category; a part of it may be: the year, the day"
        hint = f"leave it out: --drop {_quoted(name)}; {as_words}"
        place = table.place(dates[0], name)
        raise DataError(f"{place}: '{cells[dates[0]]}' is a date", why=why, hint=hint)
    if numbers >= NEARLY * len(rows):
        row = next(i for i in rows if not NUMBER.fullmatch(cells[i]))
        why = f"{numbers:,} of {len(rows):,} cells of the column are"
        hint = f"mend it, or leave the cell empty if it is not known; {as_words}"
        try:
            number(cells[row])
        except ValueError as error:
            raise DataError(f"{table.place(row, name)}: {error}", why=why, hint=hint) from error
    grouped = [i for i in rows if _GROUPED.fullmatch(cells[i])]
    if len(grouped) >= NEARLY * len(rows):
        row = next(i for i in grouped if not NUMBER.fullmatch(cells[i]))
        why = "a number is digits with a point: 1234.5"
        hint = f"write it without separators and units; {as_words}"
        place = table.place(row, name)
        raise DataError(f"{place}: '{cells[row][:40]}' is no number", why=why, hint=hint)


def _quoted(name: str) -> str:
    return f"'{name}'" if re.search(r"\W", name) else name


def says_nothing(name: str, values: np.ndarray) -> str:
    """Why a column of the training part (n,) is not worth learning from, "" if it may be."""
    if values.dtype == np.float64:
        there = values[~np.isnan(values)]
        gaps = len(there) < len(values)
        if not len(there) or (there.min() == there.max() and not gaps):
            return "it is the same in all rows of the training part"
        if len(there) < FEW or gaps or (there != np.round(there)).any():
            return ""
        different = np.unique(there)
        counts_on = len(different) > DENSE * (different[-1] - different[0] + 1)
        if len(different) == len(there) and (counts_on or _ID.fullmatch(name)):
            return "it numbers the rows"
        if _ID.fullmatch(name) and len(different) > NEARLY * len(there):
            return "it numbers the rows"
        return ""
    levels = set(values.tolist())
    if len(levels) == 1:
        return "it is the same in all rows of the training part"
    if len(levels) > MOST_LEVELS and 2 * len(levels) > len(values):
        return f"it has {len(levels):,} values in {len(values):,} rows, as a name or a text has"
    if len(values) >= FEW and len(levels - {""}) == len(values):
        return "it names the rows"
    return ""


def tells_label(values: np.ndarray, labels: np.ndarray) -> bool:
    """Whether a column of the training part says what the label is, so that it may be made from it:
    each value goes with one label only, and occurs often enough for that to be no chance.
    """
    seen: dict[object, int] = {}
    for value, label in zip(values.tolist(), labels.tolist(), strict=True):
        if value == "" or value != value:  # missing, NaN
            continue
        if seen.setdefault(value, label) != label:
            return False
    return len(set(seen.values())) > 1 and OFTEN * len(seen) <= len(values)
