"""Tables as people have them: CSV with commas, semicolons, tabs or bars, from whatever program.

The first line is the header. A byte-order mark, either line end, quotes with line breaks inside,
and Excel's `sep=;` are understood; what is not UTF-8 is read as Latin-1, and that is said. Where
semicolons separate, a comma within digits is the decimal sign, as spreadsheets of half the world
write it.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from dlcli.data.files import reading, size_of
from dlcli.errors import DataError

MOST_BYTES = 128 << 20  # of a file
MOST_CELLS = 5_000_000  # which take about half a GB while they are read
MOST_COLUMNS = 2_000
MOST_CELL = 1 << 20  # letters
MOST_NAME = 200  # letters of a column's name
SEPARATORS = ",;\t|"  # of those that make equally many columns of the header, the first
MISSING = frozenset({"", "?", "na", "n/a", "#n/a", "nan", "null", "none", "-"})  # in small letters
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?", re.ASCII)
_SEP = re.compile(r"sep=(.)", re.IGNORECASE)
_FORMULA = re.compile(r"=[-+(A-Za-z@]")
UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True)
class Table:
    """The cells of a file as text, without spaces around them.

    where: its path, or "-". columns: by name, each with n cells. lines: (n) on which each row
    begins. remarks: what should be said of it.
    """

    where: str
    columns: dict[str, list[str]]
    lines: list[int]
    remarks: tuple[str, ...] = ()

    def place(self, row: int, column: str) -> str:
        """ "people.csv:7: column 'age'"."""
        return f"{self.where}:{self.lines[row]}: column '{column}'"


def is_missing(cell: str) -> bool:
    """Whether a cell says that there is nothing: empty, ?, NA, N/A, NaN, null, none, -."""
    return cell.lower() in MISSING


def read(path: Path, header: tuple[str, ...] = ()) -> Table:
    """The table of a file. header: of one that has none.

    DataError, with file and line: no such file, one that is empty, too large or no table; a header
    alone; a column's name twice; a row of more or fewer cells; a formula instead of its value.
    """
    text, remarks = _decoded(path)
    lines = enumerate(io.StringIO(text, newline=None), 1)
    rows = Rows(lines, str(path), header)
    columns: list[list[str]] = [[] for _ in rows.names]
    begins: list[int] = []
    for number, cells in rows:
        begins.append(number)
        if len(begins) * len(columns) > MOST_CELLS:
            why = f"at most {MOST_CELLS:,} cells are read"
            raise DataError(f"{path}:{number}: the table is too large", why=why)
        for column, cell in zip(columns, cells, strict=True):
            column.append(cell)
    if not begins:
        raise DataError(f"{path}: holds no rows", why="there is a header alone")
    return Table(str(path), dict(zip(rows.names, columns, strict=True)), begins, remarks)


def _decoded(path: Path) -> tuple[str, tuple[str, ...]]:
    """The text of a file, and a remark if it is not UTF-8."""
    size = size_of(path, MOST_BYTES)
    with reading(path) as file:
        raw = file.read(size)
    if raw.startswith(UTF_16) or b"\0" in raw:
        what = "is UTF-16" if raw.startswith(UTF_16) else "is no text"
        why = "it holds bytes of value 0" if what == "is no text" else ""
        raise DataError(f"{path}: {what}", why=why, hint="save it as CSV in UTF-8")
    try:
        return raw.decode("utf-8-sig"), ()
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        return raw.decode("latin-1"), (f"{path}:{line}: is not UTF-8, read as Latin-1",)


class Rows:
    """Iterates over (line on which it begins, cells) of each row; empty lines are no rows.

    lines: (number, line) as they come. where: named in messages. names: the columns' names.
    """

    def __init__(
        self, lines: Iterable[tuple[int, str]], where: str, header: tuple[str, ...] = ()
    ) -> None:
        csv.field_size_limit(MOST_CELL)
        self.where, self._at = where, 0
        self._lines = iter(lines)
        self._last = 0  # the line that was read last
        first = self._next_filled()
        if said := _SEP.fullmatch(first.strip()):
            self.separator = said[1]
            first = self._next_filled()
        else:
            self.separator = _separator(first)
        rest = chain([first], (line for _, line in self._counted()))
        self._reader = csv.reader(
            rest, delimiter=self.separator, skipinitialspace=True, strict=True
        )
        self._begins = self._last
        if header:
            self.names = list(header)
        else:
            self.names = self._named(self._cells() or [])
            self._begins = self._last + 1

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        while (cells := self._cells()) is not None:
            begins, self._begins = self._begins, self._last + 1
            if not any(cells):
                continue
            if len(cells) != len(self.names):
                why = f"it has {len(cells)} cells, the header has {len(self.names)}"
                hint = f"a cell that holds '{self.separator}' is put into quotes"
                raise DataError(f"{self.where}:{begins}: the row does not fit", why=why, hint=hint)
            for name, cell in zip(self.names, cells, strict=True):
                if _FORMULA.match(cell):
                    what = f"{self.where}:{begins}: column '{name}': '{cell[:40]}' is a formula"
                    raise DataError(what, hint="save the values, not the formulas")
            yield begins, cells

    def _counted(self) -> Iterator[tuple[int, str]]:
        for number, line in self._lines:
            self._last = number
            yield number, line if line.endswith("\n") else line + "\n"

    def _next_filled(self) -> str:
        for _, line in self._counted():
            if line.strip():
                return line
        raise DataError(f"{self.where}: holds no table", why="all of its lines are empty")

    def _cells(self) -> list[str] | None:
        """The next row, None at the end."""
        try:
            found = next(self._reader, None)
        except csv.Error as error:
            hint = "quotes that are part of a cell are doubled"
            raise DataError(
                f"{self.where}:{self._begins}: is no CSV", why=str(error), hint=hint
            ) from error
        if found is None:
            return None
        cells = [cell.strip() for cell in found]
        if self.separator == ";":
            cells = [c.replace(",", ".") if _DECIMAL_COMMA.fullmatch(c) else c for c in cells]
        return cells

    def _named(self, names: list[str]) -> list[str]:
        """The header's names; one that is empty is called "column 3"."""
        where = f"{self.where}:{self._last}"
        if len(names) > MOST_COLUMNS:
            why = f"it has {len(names):,}, at most {MOST_COLUMNS:,} are read"
            raise DataError(f"{where}: too many columns", why=why)
        if 2 * sum(bool(NUMBER.fullmatch(name)) for name in names) >= len(names):
            why = f"a row of numbers stands there: {', '.join(names[:4])}"
            hint = "put a line with the columns' names before it"
            raise DataError(f"{where}: the header is missing", why=why, hint=hint)
        named = [name or f"column {i}" for i, name in enumerate(names, 1)]
        for i, name in enumerate(named):
            if name in named[:i]:
                why = f"columns {named.index(name) + 1} and {i + 1}"
                raise DataError(
                    f"{where}: two columns are called '{name}'", why=why, hint="rename one of them"
                )
            if len(name) > MOST_NAME:
                why = f"column {i + 1} has {len(name):,} letters, at most {MOST_NAME} are taken"
                raise DataError(f"{where}: a column's name is too long", why=why)
        return named


def _separator(header: str) -> str:
    """Of SEPARATORS, the one that makes most columns of a header."""

    def columns(separator: str) -> int:
        try:
            return len(next(csv.reader([header], delimiter=separator, skipinitialspace=True), []))
        except csv.Error:
            return 0

    return max(SEPARATORS, key=columns)
