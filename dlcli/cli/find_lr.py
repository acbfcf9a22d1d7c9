"""What `train --find-lr` shows: the loss while the rate rises, and the rate to train with. It
leaves no run behind, only a picture.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from dlcli.cli import output, plot
from dlcli.errors import OutputError, UsageError
from dlcli.train import atomic, prepare, rates
from dlcli.train.step import Stepper

STEEPEST, TENTH = "where the loss falls fastest", "a tenth of the rate with which it is least"
STOPS = {
    "exploded": "the loss exploded",
    "not finite": "the loss was no longer a number",
    "highest rate": "the highest rate was reached",
}


def check(out: Path | None) -> None:
    """UsageError: the picture cannot be written there. Before any work."""
    if out is None:
        return
    if out.suffix.lower() != ".png":
        hint = f"-o {out.with_suffix('.png')}"
        raise UsageError(f"{out}: with --find-lr, -o is a PNG file", hint=hint)
    if os.path.lexists(out):
        raise UsageError(f"{out}: exists", why="nothing is overwritten", hint="choose another -o")


def show(
    model: Any, dataset: Any, recipe: Any, name: str, *, out: Path | None, drawn: bool
) -> None:
    """Looks for the rate of training `model` on `dataset` by `recipe`, and shows it. out: where to
    draw it, if at all; None: a new file in the working folder.
    """
    prepare.check_data(dataset, recipe)
    loader, _ = prepare.loaders(model, dataset, dataset.kind.fit(dataset), recipe, 1)
    stepper = Stepper(model, lambda phase: prepare.make_optimizer(recipe, phase))
    if hasattr(model, "hold"):
        model.hold(recipe.batch_size)
    with output.Bar("rising rates", rates.STEPS) as bar:

        def tell(step: int, rate: float, loss: float) -> None:
            bar.update(step, f"lr {rate:.1e}  loss {loss:.4f}")

        curve = rates.measure(stepper, loader, recipe.accumulate, on_step=tell)
    advice = rates.advise(curve)
    path = None
    if drawn:
        path = _free(name, dataset.name) if out is None else out
        _draw(curve, advice, path, f"{name} on {dataset.name}, {recipe.optimizer}")
    if output.settings.json:
        output.document(_document(name, dataset, recipe, curve, advice, path))
        return
    _print(curve, advice, recipe, path)


def _free(model: str, data: str) -> Path:
    """A name that is not taken."""
    stem, number = f"find-lr-{model}-{Path(data).name}", 1
    while os.path.lexists(path := Path(f"{stem}-{number}.png")):
        number += 1
    return path


def _draw(curve: Any, advice: Any, path: Path, title: str) -> None:
    atomic.make_folder(path.parent)
    try:
        plot.rate(curve, advice, path, title)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written", why=error.strerror or str(error)) from error


def _document(
    name: str, dataset: Any, recipe: Any, curve: Any, advice: Any, path: Path | None
) -> dict[str, Any]:
    return {
        "model": name,
        "data": dataset.name,
        "optimizer": recipe.optimizer,
        "seed": recipe.seed,
        "lr": advice.steepest if advice else None,
        "reason": STEEPEST if advice else None,
        "steepest": advice.steepest if advice else None,
        "tenth_of_minimum": advice.tenth if advice else None,
        "steps": len(curve.losses),
        "stop": curve.why,
        "rates": curve.rates,
        "losses": curve.losses,
        "smoothed": curve.smoothed,
        "plot": path,
    }


def _print(curve: Any, advice: Any, recipe: Any, path: Path | None) -> None:
    span = f"{curve.rates[0]:.0e} to {curve.rates[-1]:.1e}"
    rows = [("tried", f"{len(curve.losses)} steps, {span}, until {STOPS[curve.why]}")]
    if advice is None:
        why = "the loss never fell by more than batches differ; try a larger --batch-size"
        rows.append(("suggested", f"none: {why}"))
    else:
        rows += [
            ("suggested", f"--lr {advice.steepest:.1e}, with {recipe.optimizer}: {STEEPEST}"),
            ("beside it", f"{advice.tenth:.1e}, {TENTH}"),
        ]
    rows += [("picture", str(path))] if path else []
    for key, value in rows:
        output.text(f"{key:<10} {output.printable(value)}")
