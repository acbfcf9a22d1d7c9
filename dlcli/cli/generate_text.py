"""How `dlcli generate` writes texts: as they come, each as a line of JSON, or all as a document."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dlcli.cli import output
from dlcli.cli.generate import Made
from dlcli.cli.writer import writer
from dlcli.errors import UsageError


class Timed:
    """Pieces of samples, with the time that they took."""

    def __init__(self, made: Made) -> None:
        self.made, self.count, self.seconds = made, 0, 0.0

    def pieces(self, sample: int) -> Iterator[str]:
        """Those of a sample, behind what it was to begin with."""
        began = time.perf_counter()
        for piece in self.made.pieces(sample):
            self.seconds += time.perf_counter() - began
            self.count += len(piece)
            yield piece
            began = time.perf_counter()
        self.seconds += time.perf_counter() - began

    def rate(self) -> float | None:
        """Characters per second, the time of whoever takes them left out."""
        return self.count / self.seconds if self.seconds else None

    def speed(self) -> str:
        """The same in words."""
        return f"{self.count:,} characters in {self.seconds:.2f} s, {self.rate() or 0:,.0f}/s"


def write(made: Made, samples: int | None, out: Path | None, each: Path | None) -> None:
    """To `out`, or to standard output. UsageError: --each, which is for images."""
    if each is not None:
        raise UsageError("--each does not apply to this model", why="it writes text")
    timed = Timed(made)
    with writer(out) as put:
        if samples is None and not output.settings.json:
            _stream(timed, put, on_terminal=out is None)
        else:
            _lines(timed, samples or 1, put)
    output.note(timed.speed())


def _stream(timed: Timed, put: Any, *, on_terminal: bool) -> None:
    """Text as it comes."""
    shown = output.safe if on_terminal and sys.stdout.isatty() else str
    put(shown(timed.made.options["prompt"]))
    for piece in timed.pieces(0):
        put(shown(piece))
    put("\n")


def _lines(timed: Timed, samples: int, put: Any) -> None:
    """Each as a line of JSON, or all as one document."""
    found, made = [], timed.made
    for sample in range(samples):
        text = "".join(timed.pieces(sample))
        found.append({"sample": sample, "prompt": made.options["prompt"], "text": text})
        if not output.settings.json:
            put(output.json_line({**found[-1], "seed": made.seed}) + "\n")
    if output.settings.json:
        document = {**made.about, "samples": found, "characters_per_second": timed.rate()}
        put(output.as_document(document) + "\n")
