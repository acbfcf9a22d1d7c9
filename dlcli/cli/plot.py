"""Learning curves and confusion matrices as PNG files. Matplotlib is imported in plot*.py alone.

Figures are drawn by the Agg canvas without pyplot, so that no display is needed or looked for.
What another task draws is in a file of its own, and is found here by its name: `plot.forecast` is
`forecast` of plot_forecast.py.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

COLOURS = {"training": "#1d4ed8", "validation": "#ea580c"}
PANELS = 3  # beside each other
MOST_NUMBERS = 20  # classes up to which the cells of a confusion matrix hold their counts
MOST_LABELS = 30  # classes up to which each has its name at the axes
MOST_LETTERS = 18  # of a class's name
PAIRS = 12  # of classes that are named beside a large matrix, those mixed up most


def __getattr__(name: str) -> Any:
    """The function `name` of plot_<name>.py. AttributeError: there is no such file."""
    module = f"{__name__}_{name}"
    if find_spec(module) is None:
        raise AttributeError(f"nothing draws {name!r}")
    return getattr(import_module(module), name)


def curves(
    records: Sequence[dict[str, Any]], figures: Sequence[str], path: Path, title: str
) -> None:
    """Figures over the epochs, such as loss and accuracy, training and validation: a panel each.

    records: lines of metrics.jsonl; a figure that a line lacks is left out of its curve.
    OSError: the file cannot be written.
    """
    told = [f for f in figures if any(r.get(k) is not None for r in records for k in _keys(f))]
    shown = told or list(figures[:1])  # of a GAN, some are only measured now and then, or never
    across = 2 if len(shown) == 4 else min(len(shown), PANELS)
    down = -(-len(shown) // across)
    with figure_at(path, (4.5 * across if across < 3 else 10.5, 3.4 * down + 0.2)) as figure:
        panels = figure.subplots(down, across, squeeze=False).ravel()
        for panel in panels[len(shown) :]:
            panel.set_axis_off()
        for panel, name in zip(panels, shown, strict=False):
            for key, part in zip(_keys(name), ("training", "validation"), strict=True):
                known = [(r["epoch"], r[key]) for r in records if r.get(key) is not None]
                if known:
                    panel.plot(
                        *zip(*known, strict=True), marker=".", color=COLOURS[part], label=part
                    )
            panel.set_xlabel("epoch")
            panel.xaxis.get_major_locator().set_params(integer=True)
            panel.set_ylabel(name)
            panel.grid(alpha=0.3)
            if panel.lines:
                panel.legend()
        figure.suptitle(plain(title))


def _keys(figure: str) -> tuple[str, str]:
    """What a line of metrics.jsonl calls a figure: of training, and of validation."""
    return figure, f"val_{figure}"


def confusion(matrix: Any, classes: Sequence[str], path: Path, title: str) -> None:
    """The share of each true class (rows) that is taken for each class (columns).

    matrix: (K, K) counts. OSError: the file cannot be written.
    """
    import numpy as np
    from matplotlib.colors import PowerNorm

    counts = np.asarray(matrix)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = min(3.0 + 0.36 * len(classes), 7.2)
    with figure_at(path, (side + 1.0, side)) as figure:
        panel = figure.subplots()
        # of many classes, what is rare must be seen without a number
        norm = PowerNorm(1.0 if len(classes) <= MOST_NUMBERS else 0.5, 0.0, 1.0)
        image = panel.imshow(share, cmap="Blues", norm=norm)
        figure.colorbar(image, ax=panel, label="share of the true class", shrink=0.8)
        ticks = range(0, len(classes), -(-len(classes) // MOST_LABELS))
        labels = [label(classes[k]) for k in ticks]
        small = {"fontsize": 7} if len(classes) > MOST_NUMBERS else {"fontsize": 8}
        upright = max(map(len, labels), default=0) > 2
        panel.set_xticks(ticks, labels=labels, rotation=90 * upright, **small)
        panel.set_yticks(ticks, labels=labels, **small)
        panel.set_xlabel("predicted")
        panel.set_ylabel("true")
        figure.suptitle(plain(title), fontsize=10)
        if len(classes) <= MOST_NUMBERS:
            for (i, j), count in np.ndenumerate(counts):
                colour = "white" if share[i, j] > 0.5 else "black" if count else "#94a3b8"
                how = {"ha": "center", "va": "center", "color": colour, "fontsize": 7}
                # inside the panel, so that the layout, which takes its time, may pass it over
                panel.text(j, i, str(count), **how).set_in_layout(False)
        elif pairs := _mixed_up(counts, classes):
            figure.supxlabel(f"mixed up most\n{pairs}", fontsize=7)


def _mixed_up(counts: Any, classes: Sequence[str]) -> str:
    """The classes that are taken for another one most often: "cat for dog 12 of 100"."""
    import numpy as np

    wrong = counts - np.diag(np.diagonal(counts))
    order = np.argsort(-wrong, axis=None, kind="stable")[:PAIRS]
    cells = [divmod(int(cell), len(classes)) for cell in order if wrong.flat[cell]]
    told = [
        f"{label(classes[i])} for {label(classes[j])} {counts[i, j]} of {counts[i].sum()}"
        for i, j in cells
    ]
    # three in a line: matplotlib's own wrapping is not known to its layout
    return "\n".join(" · ".join(told[at : at + 3]) for at in range(0, len(told), 3))


def label(text: str, letters: int = MOST_LETTERS) -> str:
    """A class's name in a picture: on one line, not too long, no formula."""
    line = " ".join(text.split()) or "(empty)"
    if len(line) > letters:  # the end is kept too: names often differ in it
        line = f"{line[: letters - letters // 3 - 1].rstrip()}…{line[-(letters // 3) :].lstrip()}"
    return plain(line)


def plain(text: str) -> str:
    """Text that is no formula: matplotlib reads what stands between dollar signs as one."""
    return text.replace("$", r"\$")


@contextmanager
def figure_at(path: Path, inches: tuple[float, float]) -> Iterator[Any]:
    """A figure to draw on, written to `path` at the end; a partial file is never left there."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=inches, dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    yield figure
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a letter that the font lacks becomes a box
            figure.savefig(part, format="png")
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
