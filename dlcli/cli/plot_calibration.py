"""Whether a classifier is right as often as it is sure, as a PNG file: a reliability diagram."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dlcli.cli.plot import figure_at, plain

RIGHT, LESS, MORE = "#2563eb", "#fca5a5", "#93c5fd"


def calibration(found: Any, path: Path, title: str) -> None:
    """Accuracy by confidence, with the gaps to what it should be, and how often it is so sure.

    found: `train.scores.Calibration`. OSError: the file cannot be written.
    """
    import numpy as np

    there = found.count > 0
    middle = (found.edges[:-1] + found.edges[1:])[there] / 2
    width = found.edges[1] - found.edges[0]
    sure, right = found.confidence[there], found.accuracy[there]
    with figure_at(path, (5.6, 6.2)) as figure:
        above, below = figure.subplots(2, 1, height_ratios=(3, 1), sharex=True)
        wide, both = width * 0.92, np.minimum(sure, right)
        above.bar(middle, both, wide, color=RIGHT, label="right, and as sure of it")
        less, more = np.maximum(sure - right, 0), np.maximum(right - sure, 0)
        above.bar(middle, less, wide, bottom=both, color=LESS, label="too sure: it is wrong")
        above.bar(middle, more, wide, bottom=both, color=MORE, label="right, but not so sure")
        above.plot([0, 1], [0, 1], "--", color="#475569", linewidth=1)
        above.set_ylabel("share that is right")
        above.set_ylim(0, 1.02)
        above.set_title(
            f"expected calibration error {found.error:.4f}, {int(found.count.sum()):,} samples",
            fontsize=9,
        )
        share = found.count[there] / found.count.sum()
        below.bar(middle, share, width * 0.92, color="#64748b")
        for at, height in zip(middle, share, strict=True):
            if height >= 0.01:
                below.text(at, height, f"{height:.0%}", ha="center", va="bottom", fontsize=7)
        below.set_ylim(0, float(np.max(share)) * 1.25)
        below.set_ylabel("share of\nthe samples")
        below.set_xlabel("confidence: the probability of the most probable class")
        below.set_xlim(0, 1)
        for panel in (above, below):
            panel.grid(alpha=0.3)
            panel.set_axisbelow(True)
        figure.legend(loc="outside lower center", ncols=3, fontsize=8, frameon=False)
        figure.suptitle(plain(title), fontsize=11)
