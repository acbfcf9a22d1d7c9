"""What commands print: results to stdout, messages and progress to stderr, `--json` strictly.

The only file that imports rich, and only when a table or a progress bar is drawn: `--help` and
errors go without it.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import IO, Any

SHADES = (0, 0, 52, 88, 124, 160)  # of a terminal's 256 colours: no red to bright red
PIPE_WIDTH = 4096  # a table that goes to a file or a pipe is never folded


@dataclass
class Settings:
    """What -q, -v and --json have set for this call."""

    quiet: bool = False
    verbose: int = 0
    json: bool = False


settings = Settings()


def reset() -> None:
    """Forgets the settings of an earlier call in the same process."""
    settings.quiet, settings.verbose, settings.json = False, 0, False


# --- messages -----------------------------------------------------------------------------------


def printable(text: str) -> str:
    """`text` on one line and without control characters: names of files may hold anything."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def note(message: str) -> None:
    """A message on stderr; none with -q."""
    if not settings.quiet:
        _write(sys.stderr, message)


def detail(message: str) -> None:
    """A message on stderr that only -v shows."""
    if settings.verbose:
        _write(sys.stderr, message)


def warn(message: str) -> None:
    """A warning on stderr, with -q too."""
    _write(sys.stderr, f"warning: {printable(message)}")


def error(lines: Sequence[str]) -> None:
    """What, why and what to do, on stderr."""
    label = "\x1b[1;31merror:\x1b[0m" if _colours(sys.stderr) else "error:"
    for i, line in enumerate(lines):
        _write(sys.stderr, f"{label if i == 0 else '      '} {printable(line)}")


def _write(stream: IO[str], line: str) -> None:
    stream.write(line + "\n")
    stream.flush()


def silence() -> None:
    """Sends what is left in the buffers to nowhere, once nobody reads it any more: Python would
    complain about it at exit.
    """
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            os.dup2(nowhere, stream.fileno())
        except (OSError, ValueError):  # not a file, or closed
            continue
    os.close(nowhere)


def safe(text: str) -> str:
    """Text as it is, lines and tabs too, but what could steer a terminal is written out."""
    return "".join(c if c in "\n\t" else printable(c) for c in text)


def _colours(stream: IO[str]) -> bool:
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return stream.isatty() and not plain


def weighted(label: str, parts: Sequence[Sequence[Any]]) -> None:
    """Words on a terminal's stderr, the more coloured the more they weigh; none elsewhere.

    parts: (word, weight of at least 0) each. What weighs no more than the mean has no colour, so
    that a model which looks everywhere does not seem to look at each word in particular; the
    heaviest has the brightest if it weighs twice the mean or more.
    """
    if not interactive() or not _colours(sys.stderr):
        return
    weights = [weight for _, weight in parts]
    mean = sum(weights) / max(len(weights), 1)
    span = max([mean, *(weight - mean for weight in weights)])
    words = []
    for word, weight in parts:
        above = (weight - mean) / span if weight > mean else 0.0
        shade = SHADES[min(int(len(SHADES) * above), len(SHADES) - 1)]
        shown = printable(word)
        words.append(f"\x1b[97;48;5;{shade}m{shown}\x1b[0m" if shade else shown)
    _write(sys.stderr, f"{label}: {' '.join(words)}")


# --- results ------------------------------------------------------------------------------------


def text(line: str = "") -> None:
    """One line of the result on stdout; nothing with --json."""
    if not settings.json:
        _write(sys.stdout, line)


def document(value: Any) -> None:
    """The result as the one JSON document on stdout."""
    _write(sys.stdout, as_document(value))


def as_document(value: Any) -> str:
    """A value as JSON that people can read.

    JSON has no NaN and no infinity: such a number becomes null, and the key "nonfinite" of an
    object then lists where.
    """
    lost: list[str] = []
    plain = _plain(value, "", lost)
    if lost and isinstance(plain, dict):
        plain["nonfinite"] = lost
    return json.dumps(plain, indent=2, allow_nan=False)


def json_line(value: Any) -> str:
    """`value` as one line of strict JSON, as `document` writes it."""
    return json.dumps(_plain(value, "", []), allow_nan=False)


def _plain(value: Any, path: str, lost: list[str]) -> Any:
    """`value` in JSON's own types; the paths of numbers that are not finite are added to `lost`."""
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, Mapping):
        dot = path and f"{path}."
        return {str(k): _plain(v, f"{dot}{k}", lost) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(v, f"{path}[{i}]", lost) for i, v in enumerate(value)]
    if hasattr(value, "tolist"):  # NumPy, without importing it
        return _plain(value.tolist(), path, lost)
    if isinstance(value, float) and not math.isfinite(value):
        lost.append(path)
        return None
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{path}: {type(value).__name__} has no form in JSON")


def console(stream: IO[str]) -> Any:
    """rich's console on a stream: no markup, no highlighting; colours as NO_COLOR and TERM say."""
    from rich.console import Console

    width = None if stream.isatty() else PIPE_WIDTH
    return Console(file=stream, width=width, markup=False, highlight=False, emoji=False)


def table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str = "", left: int = 1
) -> None:
    """A table on stdout, nothing with --json. The first `left` columns are text, not figures."""
    if settings.json:
        return
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    for i, column in enumerate(columns):
        justify = "left" if i < left else "right"
        drawn.add_column(Text(column), justify=justify, overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(printable(str(cell))) for cell in row))
    if title:
        text(title)
    printer = console(sys.stdout)
    with printer.capture() as capture:
        printer.print(drawn)
    for line in capture.get().splitlines():
        text(line.rstrip())


# --- progress -----------------------------------------------------------------------------------


def interactive() -> bool:
    """Whether a bar makes sense: stderr is a terminal that can move its cursor, and no -q."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb" and not settings.quiet


class Bar:
    """A progress bar on stderr where that is a terminal, and nothing elsewhere.

    with Bar("epoch 1/30", total=45) as bar:
        bar.update(done, "loss 0.31")
    """

    def __init__(self, label: str, total: int) -> None:
        self.progress: Any = None
        if not interactive():
            return
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        self.progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[note]}", markup=False),
            console=console(sys.stderr),
            transient=True,
            refresh_per_second=5,
        )
        self.task = self.progress.add_task(label, total=total, note="")

    def __enter__(self) -> Bar:
        if self.progress is not None:
            self.progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self.progress is not None:
            self.progress.stop()

    @property
    def visible(self) -> bool:
        """Whether anything is drawn."""
        return self.progress is not None

    def relabel(self, label: str) -> None:
        """Another text before the bar."""
        if self.progress is not None:
            self.progress.update(self.task, description=label)

    def of(self, done: int, total: int) -> None:
        """How far it is, where the total is known only now."""
        if self.progress is not None:
            self.progress.update(self.task, completed=done, total=total)

    def update(self, done: int, note: str = "") -> None:
        """How far it is, and a few words behind the bar."""
        if self.progress is not None:
            self.progress.update(self.task, completed=done, note=note)
