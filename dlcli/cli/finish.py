"""Trains, and says what came of it: the test figures, the curves, the table at the end."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dlcli.cli import output
from dlcli.cli.progress import Display
from dlcli.errors import DlcliError
from dlcli.train import checkpoint
from dlcli.train.evaluate import evaluate
from dlcli.train.loop import Trainer


def fit(run: Any, model: Any, dataset: Any, recipe: Any, *, no_plots: bool, **more: Any) -> None:
    """Trains, measures the best checkpoint on the test part, and shows what came of it."""
    with Display() as display:
        trainer = Trainer(model, dataset, recipe, run, observer=display, **more)
        summary = trainer.fit()
    test = _test(run, model, dataset)
    plot = None if no_plots else _plot(run, dataset)
    document = {
        "run": run.path,
        "model": run.config()["model"]["name"],
        "data": dataset.name,
        "seed": recipe.seed,
        "steps": summary.steps,
        "epochs": summary.epochs,
        "stop": summary.stop,
        "already_finished": summary.already_finished,
        "seconds": summary.seconds,
        "images_per_second": summary.images_per_second,
        "best": summary.best,
        "last": summary.last,
        "test": {"loss": test.loss, "accuracy": test.accuracy} if test else None,
        "plot": plot,
    }
    if output.settings.json:
        output.document(document)
    else:
        _show(document, len(dataset.splits["test"]), dataset.kind, summary)


def _test(run: Any, model: Any, dataset: Any) -> Any:
    """The figures of the best checkpoint on the test part."""
    if not len(dataset.splits["test"]):
        return None
    best = run.load("best")
    checkpoint.restore(model, best)
    normalize = dataset.kind.from_json(best.model_info["normalize"], dataset.shape)
    return evaluate(model, dataset.splits["test"], normalize, classes=dataset.classes)


def _plot(run: Any, dataset: Any) -> Path | None:
    """Draws the learning curves; a run that cannot be written to now is no error."""
    from dlcli.cli import plot

    try:
        path = run.folder("plots") / "curves.png"
        plot.curves(run.metrics(), path, f"{run.name}: {dataset.name}")
    except (OSError, DlcliError) as error:
        why = getattr(error, "strerror", None) or error
        output.warn(f"the learning curves were not drawn: {why}")
        return None
    return path


STOPS = {
    "epochs": "all epochs done",
    "max_steps": "--max-steps reached",
    "max_time": "--max-time reached",
    "patience": "no better epoch for --patience epochs",
    "until": "--until reached",
}


def _show(found: Mapping[str, Any], tested: int, kind: Any, summary: Any) -> None:
    done = (
        "nothing was left to do, --epochs gives more"
        if summary.already_finished
        else STOPS.get(summary.stop)
    )
    rows = [
        ("stopped", f"{done or summary.stop}: {found['epochs']} epochs, {found['steps']:,} steps")
    ]
    speed = f"{found['images_per_second']:,.0f} {kind.many}/s" if found["images_per_second"] else ""
    rows.append(("trained for", f"{found['seconds']:.1f} s  {speed}".rstrip()))
    best = found["best"]
    if best:
        rows.append(("best validation", f"{_figures(best, 'val_')} (epoch {best['epoch']})"))
    if found["test"]:
        of = f"of that checkpoint, {tested:,} {kind.many} used for nothing else"
        rows.append(("test", f"{_figures(found['test'], '')} ({of})"))
    rows.append(("run", str(found["run"])))
    if found["plot"]:
        rows.append(("curves", str(found["plot"])))
    output.text()
    for key, value in rows:
        output.text(f"{key:<16} {output.printable(value)}")
    output.note(f"\nnext:  dlcli eval {found['run']}")
    output.note(f"       dlcli predict {found['run']} {kind.argument}")


def _figures(record: Mapping[str, Any], prefix: str) -> str:
    accuracy, loss = record.get(f"{prefix}accuracy"), record.get(f"{prefix}loss")
    words = [f"accuracy {accuracy:.2%}"] if accuracy is not None else []
    return ", ".join([*words, f"loss {loss:.4f}"] if loss is not None else words)
