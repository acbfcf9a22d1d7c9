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

MOST_NUMBERS = 20  # classes up to which the cells of a confusion matrix hold their counts


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
    with figure_at(path, (4.5 * len(figures), 3.6)) as figure:
        panels = figure.subplots(1, len(figures), squeeze=False)[0]
        for panel, name in zip(panels, figures, strict=True):
            for key, label in ((name, "training"), (f"val_{name}", "validation")):
                known = [(r["epoch"], r[key]) for r in records if r.get(key) is not None]
                if known:
                    panel.plot(*zip(*known, strict=True), marker=".", label=label)
            panel.set_xlabel("epoch")
            panel.xaxis.get_major_locator().set_params(integer=True)
            panel.set_ylabel(name)
            panel.grid(alpha=0.3)
            if panel.lines:
                panel.legend()
        figure.suptitle(plain(title))


def confusion(matrix: Any, classes: Sequence[str], path: Path, title: str) -> None:
    """The share of each true class (rows) that is taken for each class (columns).

    matrix: (K, K) counts. OSError: the file cannot be written.
    """
    import numpy as np

    counts = np.asarray(matrix)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = min(3.0 + 0.45 * len(classes), 16.0)
    with figure_at(path, (side + 1.0, side)) as figure:
        panel = figure.subplots()
        image = panel.imshow(share, cmap="Blues", vmin=0.0, vmax=1.0)
        figure.colorbar(image, ax=panel, label="share of the true class")
        ticks = range(len(classes))
        labels = [plain(name) for name in classes]
        panel.set_xticks(ticks, labels=labels, rotation=90)
        panel.set_yticks(ticks, labels=labels)
        panel.set_xlabel("predicted")
        panel.set_ylabel("true")
        panel.set_title(plain(title))
        if len(classes) <= MOST_NUMBERS:
            for (i, j), count in np.ndenumerate(counts):
                colour = "white" if share[i, j] > 0.5 else "black"
                panel.text(j, i, str(count), ha="center", va="center", color=colour, fontsize=7)


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
