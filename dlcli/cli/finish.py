"""Trains, and says what came of it: the test figures, the curves, the table at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from dlcli.cli import output
from dlcli.cli.progress import Display
from dlcli.errors import DlcliError
from dlcli.train import atomic, checkpoint, initial, jsonfile
from dlcli.train import task as tasks
from dlcli.train.loop import Trainer
from dlcli.train.stuck import Stuck
from dlcli.train.task import Trained

CURVES = "curves.png"
MIB = 1 << 20
BATCH = 256  # samples at a time; the figures do not depend on it


def fit(
    run: Any,
    model: Any,
    dataset: Any,
    recipe: Any,
    *,
    no_plots: bool,
    logs: Sequence[str] = (),
    silent: bool = False,
    **more: Any,
) -> None:
    """Trains, measures the best checkpoint on the test part, and shows what came of it unless it is
    silent. logs: modules of dlcli.train with a `Log`, an observer that writes into the run.
    """
    task = tasks.of(dataset.kind)
    with Display(task.figures, getattr(model, "shown", None)) as display:
        watchers: list[Any] = [display]
        if not recipe.init_from:  # or it may begin where nothing is left to learn
            watchers.append(Stuck(output.warn))
        if hasattr(task, "watcher"):
            watchers.append(task.watcher(run, model, dataset, output.warn))
        watchers += [import_module(f"dlcli.train.{name}").Log(run) for name in logs]
        trainer = Trainer(model, dataset, recipe, run, observer=Several(watchers), **more)
        summary = trainer.fit()
    if silent:
        return
    test = _test(run, model, dataset)
    plots = [] if no_plots else [*_curves(run, dataset, task), *draw(run, dataset, "test", test)]
    if test:
        keep(run, dataset, "test", test)
    document = {
        "run": run.path,
        "model": run.config()["model"]["name"],
        "data": dataset.name,
        "seed": recipe.seed,
        "initial": initial.written(run.path),
        "steps": summary.steps,
        "epochs": summary.epochs,
        "stop": summary.stop,
        "already_finished": summary.already_finished,
        "seconds": summary.seconds,
        "images_per_second": summary.images_per_second,
        "skipped": summary.skipped,
        "waited": summary.waited,
        "peak_bytes": summary.peak_bytes,
        "best": summary.best,
        "last": summary.last,
        "test": _known(test.figures, task) if test else None,
        "plot": next((path for path in plots if path.name == CURVES), None),
        "plots": plots,
    }
    if output.settings.json:
        output.document(document)
    else:
        _show(document, len(dataset.splits["test"]), dataset.kind.many, task, summary)
        commands = tasks.commands(task, model, document["run"], dataset.kind.argument)
        output.note("\nnext:  " + "\n       ".join(commands))


class Several:
    """Observers, each told what the loop tells one."""

    def __init__(self, observers: Sequence[Any]) -> None:
        self.observers = observers

    def __getattr__(self, name: str) -> Callable[..., None]:
        def tell(*what: Any) -> None:
            for observer in self.observers:
                getattr(observer, name)(*what)

        return tell


def _known(figures: Mapping[str, float], task: Any) -> dict[str, float]:
    """Those that training has too."""
    return {key: figures[key] for key in ("loss", *task.figures) if key in figures}


def _test(run: Any, model: Any, dataset: Any) -> Any:
    """The figures of the best checkpoint on the test part."""
    if not len(dataset.splits["test"]):
        return None
    best = run.load("best")
    checkpoint.restore(model, best)
    info, kind = best.model_info, dataset.kind
    encode = kind.from_json(info["normalize"], dataset.shape)
    trained = Trained(run, model, encode, kind, dataset.shape, dataset.classes, info)
    return tasks.of(kind).evaluate(trained, dataset, "test", batch_size=BATCH)


def _curves(run: Any, dataset: Any, task: Any) -> list[Path]:
    """Draws the learning curves; a run that cannot be written to now is no error."""
    from dlcli.cli import plot

    with written("the learning curves were not drawn"):
        path = run.folder("plots") / CURVES
        figures = ("loss", *task.figures)
        plot.curves(run.metrics(), figures, path, f"{run.name}: {dataset.name}")
        return [path]
    return []


def draw(run: Any, dataset: Any, split: str, found: Any, *, other: bool = False) -> list[Path]:
    """Draws what an evaluation found, None for nothing, into the run.

    other: it was measured on another dataset than the run's own. A run that cannot be written to is
    no error.
    """
    from dlcli.cli import plot

    if found is None:
        return []
    words = ([dataset.name] if other else []) + ([split] if split != "test" else [])
    with written("nothing was drawn"):
        title = f"{dataset.name}, {split} part"
        paths: list[Path] = found.draw(plot, run.folder("plots"), words, title)
        return paths
    return []


def keep(run: Any, dataset: Any, split: str, found: Any, *, other: bool = False) -> None:
    """Writes the figures of an evaluation into the run, evaluations/<part>.json, for a report."""
    name = "-".join(([dataset.name] if other else []) + [split])
    about = {"data": dataset.name, "split": split}
    with written("the figures were not kept"):
        path = run.folder("evaluations") / f"{name}.json"
        atomic.write_file(path, jsonfile.dumps({**found.to_json(), **about}))


@contextmanager
def written(what: str) -> Iterator[None]:
    """What goes into the run besides; that it cannot be written now is a warning."""
    try:
        yield
    except (OSError, DlcliError) as error:
        output.warn(f"{what}: {getattr(error, 'strerror', None) or error}")


STOPS = {
    "epochs": "all epochs done",
    "max_steps": "--max-steps reached",
    "max_time": "--max-time reached",
    "patience": "no better epoch for --patience epochs",
    "until": "--until reached",
}


def _show(found: Mapping[str, Any], tested: int, many: str, task: Any, summary: Any) -> None:
    done = (
        "nothing was left to do, --epochs gives more"
        if summary.already_finished
        else STOPS.get(summary.stop)
    )
    rows = [
        ("stopped", f"{done or summary.stop}: {found['epochs']} epochs, {found['steps']:,} steps")
    ]
    speed = f"{found['images_per_second']:,.0f} {many}/s" if found["images_per_second"] else ""
    waited = f"{found['waited']:.1%} of it waiting for data" if speed else ""
    rows.append(("trained for", f"{found['seconds']:.1f} s  {speed}  {waited}".rstrip()))
    if found["peak_bytes"]:
        rows.append(("memory", f"{found['peak_bytes'] / MIB:,.0f} MiB at most"))
    if found["skipped"]:
        rows.append(("skipped", f"{found['skipped']:,} steps that were not finite: skipped.jsonl"))
    best = found["best"]
    if best:
        rows.append(("best validation", f"{_figures(best, task, 'val_')} (epoch {best['epoch']})"))
    if found["test"]:
        of = f"of that checkpoint, {tested:,} {many} used for nothing else"
        rows.append(("test", f"{_figures(found['test'], task)} ({of})"))
    rows.append(("run", str(found["run"])))
    if found["plot"]:
        rows.append(("curves", str(found["plot"])))
    if others := [path.stem for path in found["plots"] if path != found["plot"]]:
        rows.append(("pictures", f"beside it: {', '.join(others)}"))
    output.text()
    for key, value in rows:
        output.text(f"{key:<16} {output.printable(value)}")


def _figures(record: Mapping[str, Any], task: Any, prefix: str = "") -> str:
    """The figures that there are, the loss last."""
    forms = {**task.figures, "loss": ".4f"}
    known = {name: record.get(f"{prefix}{name}") for name in forms}
    return ", ".join(f"{n} {known[n]:{forms[n]}}" for n in forms if known[n] is not None)
