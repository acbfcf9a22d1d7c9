"""The loss over a rising learning rate as a PNG file, with the rates that it advises."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dlcli.cli.plot import COLOURS, figure_at, plain

ROOM = 0.15  # of the height above the first loss; beyond it explodes


def rate(curve: Any, advice: Any, path: Path, title: str) -> None:
    """The losses of the steps, their average, and where it falls fastest and is least.

    curve: `dlcli.train.rates.Curve`. advice: `rates.Advice`, or None. OSError: the file cannot be
    written.
    """
    with figure_at(path, (7.5, 4.2)) as figure:
        panel = figure.subplots()
        panel.plot(curve.rates, curve.losses, color="#94a3b8", linewidth=0.8, label="a step")
        panel.plot(curve.rates, curve.smoothed, color=COLOURS["training"], label="averaged")
        if advice is not None:
            marks = (
                (advice.steepest, "-", "falls fastest, suggested"),
                (advice.tenth, "--", "a tenth of where it is least"),
            )
            for at, line, words in marks:
                how = {"color": COLOURS["validation"], "linestyle": line}
                panel.axvline(at, label=f"{at:.1e}: {words}", **how)
        panel.set_xscale("log")
        panel.set_xlabel("learning rate")
        panel.set_ylabel("training loss")
        least, first = min(curve.smoothed), max(curve.losses[:10])
        room = ROOM * (first - least) or 1.0
        panel.set_ylim(min(least, *curve.losses) - room / 3, first + room)
        panel.grid(alpha=0.3)
        panel.legend(fontsize=8, loc="lower left")
        figure.suptitle(plain(title))
