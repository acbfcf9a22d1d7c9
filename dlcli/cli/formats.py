"""A table of results in the format that people or other programs want: md, csv, json, …"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from dlcli.cli import output

FORMATS = ("table", "md", "csv", "json", "jsonl")


def show(form: str, rows: Sequence[Mapping[str, Any]], columns: Sequence[str], left: int) -> None:
    """Writes rows to standard output; --json is the format json.

    columns: the keys that people see, in order; the first `left` of them are text. json and jsonl
    hold every key.
    """
    if form == "json" or output.settings.json:
        output.document(list(rows))
    elif form == "jsonl":
        for row in rows:
            output.text(output.json_line(row))
    elif form == "table":
        output.table(columns, [[row[name] for name in columns] for row in rows], left=left)
    else:
        for line in _lines(form, rows, columns):
            output.text(line)


def _lines(form: str, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> list[str]:
    cells = [[str(row[name]) for name in columns] for row in rows]
    if form == "md":
        escaped = [[cell.replace("|", "\\|") for cell in line] for line in cells]
        body = [columns, ["---"] * len(columns), *escaped]
        return ["| " + " | ".join(line) + " |" for line in body]
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows([columns, *cells])
    return written.getvalue().splitlines()
