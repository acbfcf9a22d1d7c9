"""How well a classifier's probabilities tell each class from the rest, as a PNG file: ROC, and
precision over recall.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dlcli.cli.plot import figure_at, label, plain

NAMED = 10  # classes up to which each curve has a colour and a name
WORST = 5  # of more classes, those that are named
POINTS = 400  # of a curve that are drawn
QUIET, MEAN = "#cbd5e1", "#0f172a"


def roc(scores: Any, classes: Sequence[str], path: Path, title: str) -> None:
    """scores: `train.scores.Scores` of the classes. OSError: the file cannot be written."""
    from dlcli.train.scores import macro

    shown = min(len(classes), NAMED if len(classes) <= NAMED else WORST) + 1
    with figure_at(path, (8.0, 4.7 + 0.16 * (-(-shown // 2)))) as figure:
        left, right = figure.subplots(1, 2)
        _panel(left, scores.roc, macro(scores.roc, step=False), classes, "AUC", step=False)
        left.plot([0, 1], [0, 1], ":", color="#94a3b8", linewidth=1)  # what chance gives
        left.set_xlabel("false positive rate")
        left.set_ylabel("true positive rate")
        left.set_title("ROC", fontsize=10)
        curves = scores.precision_recall
        _panel(right, curves, macro(curves, step=True), classes, "AP", step=True)
        right.set_xlabel("recall")
        right.set_ylabel("precision")
        right.set_title("precision and recall", fontsize=10)
        figure.suptitle(plain(f"{title}: each class against the rest"), fontsize=11)


def _panel(
    panel: Any, curves: Sequence[Any], mean: Any, classes: Sequence[str], area: str, *, step: bool
) -> None:
    from matplotlib import colormaps

    known = [k for k, curve in enumerate(curves) if len(curve.x)]
    worst = sorted(known, key=lambda k: curves[k].area)
    named = worst if len(known) <= NAMED else worst[:WORST]
    how = {"drawstyle": "steps-pre"} if step else {}
    colours = colormaps["tab10"].colors  # by class where there are few: the same in both panels
    for k in known:
        if k not in named:
            x, y = _thinned(curves[k])
            panel.plot(x, y, color=QUIET, linewidth=0.7, **how)
    for rank, k in enumerate(named):
        x, y = _thinned(curves[k])
        told = f"{label(classes[k])}  {curves[k].area:.3f}"
        colour = colours[(k if len(known) <= NAMED else rank) % len(colours)]
        panel.plot(x, y, color=colour, linewidth=1.2, label=told, **how)
    if len(known) > 2:
        told = f"mean of {len(known)} classes  {mean.area:.3f}"
        panel.plot(mean.x, mean.y, color=MEAN, linewidth=2.0, label=told)
    panel.set_xlim(-0.02, 1.02)
    panel.set_ylim(-0.02, 1.02)
    panel.set_aspect("equal")
    panel.grid(alpha=0.3)
    if not known:
        panel.text(0.5, 0.5, "a single class: nothing to tell it from", ha="center", fontsize=8)
        return
    several = f"{area}, the worst {WORST} of the classes" if len(known) > NAMED else area
    # below the axes: curves of a good model fill every corner
    panel.legend(
        title=several,
        fontsize=7.5,
        title_fontsize=8,
        loc="upper center",
        bbox_to_anchor=(0.5, -0.15),
        ncols=2,
        frameon=False,
    )


def _thinned(curve: Any) -> tuple[Any, Any]:
    """At most about POINTS points of a curve, its ends among them."""
    import numpy as np

    if len(curve.x) <= POINTS:
        return curve.x, curve.y
    kept = np.unique(np.linspace(0, len(curve.x) - 1, POINTS).astype(int))
    return curve.x[kept], curve.y[kept]
