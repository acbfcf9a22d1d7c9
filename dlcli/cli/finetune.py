"""Beginning with the weights of another run, and leaving some of them as they are: what `dlcli
train` does with a new model before its first step, and what it says of it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dlcli.cli import build, output
from dlcli.errors import CheckpointError, UsageError
from dlcli.train import initial, jsonfile, step
from dlcli.train.initial import Report, Source
from dlcli.train.recipe import Recipe

SHOWN = 12  # lines of what does not fit


def freeze(model: Any, recipe: Recipe) -> None:
    """Freezes what the recipe says. UsageError: a pattern matches nothing, or all is frozen."""
    if recipe.freeze:
        model.freeze(initial.frozen(list(model.named_parameters()), recipe.freeze))
        step.phases(model)


def source(train: Mapping[str, Any]) -> Source | None:
    """The weights that [train] of a configuration names, if it names some.

    CheckpointError: there are none, or they are not those that it says.
    """
    path, sha256 = train.get("init_from"), train.get("init_sha256")
    if path is None:
        return None
    found = initial.read(Path(path))
    if sha256 not in (None, found.sha256):
        raise CheckpointError(
            f"{path}: not the weights that the run began with",
            why=f"their SHA-256 is {found.sha256[:12]}…, not {sha256[:12]}…",
            hint="name what to begin with: --init-from RUN",
        )
    return found


def form(data: Mapping[str, Any], source: Source | None, kind: Any) -> dict[str, Any]:
    """A [data] table by which a user's own files are read as the source's samples were, such as
    images of its size, but for what the table says itself. Where samples are words or columns,
    these are not the same ones, and nothing is added.
    """
    own = build.is_place(data["source"]) and hasattr(kind, "like")
    if source is None or not own or source.info.get("kind") != kind.name:
        return dict(data)
    if _texts(source.info.get("normalize")):
        return dict(data)
    like = {k: v for k, v in kind.like(tuple(source.info["input_shape"])).items() if v}
    added = {key: value for key, value in like.items() if key not in data}
    if added:
        words = ", ".join(k if v is True else f"{k} {v}" for k, v in added.items())
        output.note(f"{kind.many} are read as those of {source.path}: {words}")
    return {**added, **data}


def begin(
    model: Any,
    source: Source | None,
    recipe: Recipe,
    dataset: Any,
    other: Callable[[int], Any],
) -> tuple[Recipe, Report | None]:
    """Puts the weights into the model: the recipe that says which they were, and what fitted, None
    where it begins with random ones. other(classes): the model for so many classes.

    CheckpointError: nothing fits. UsageError: the model has no head to reset.
    """
    if source is None:
        if recipe.freeze:
            output.warn("what is frozen keeps its random first values: there is no --init-from")
        return recipe, None
    reset = head(model, other, len(dataset.classes)) if recipe.reset_head else []
    report = initial.put(model, source, reset)
    _say(report, model)
    _warn(report, source, dataset, model, recipe)
    path = os.path.abspath(source.path)
    return recipe.with_(init_from=path, init_sha256=source.sha256), report


def head(model: Any, other: Callable[[int], Any], classes: int) -> list[str]:
    """The parameters whose shapes depend on the number of classes: those that differ in a model
    for one class more. UsageError: there are none.
    """
    own = {name: p.shape for name, p in model.named_parameters().items()}
    found = []
    if classes:
        more = other(classes + 1).named_parameters()
        found = [name for name, shape in own.items() if more[name].shape != shape]
    if not found:
        what = "--reset-head: no layer of the model depends on the number of classes"
        raise UsageError(what, hint="leave it out")
    return found


def _say(report: Report, model: Any) -> None:
    """What fitted and what did not, on stderr."""
    of = len(report.fitted) + len(report.unfit) + len(report.reset) + len(report.new)
    output.note(f"{len(report.fitted)} of {of} tensors are those of {report.source}")
    lines = [f"{m.name}: {_shape(m.there)} there, {_shape(m.here)} here" for m in report.unfit]
    lines = [f"does not fit  {line}" for line in lines]
    lines += [f"reset         {name}" for name in report.reset]
    lines += [f"new           {name}" for name in report.new]
    lines += [f"not used      {name}" for name in report.unused]
    for line in lines[:SHOWN]:
        output.note(f"  {output.printable(line)}")
    if len(lines) > SHOWN:
        output.note(f"  and {len(lines) - SHOWN} more, in {initial.NAME} of the run")


def _shape(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape)) or "a number"


def _texts(encoder: Any) -> list[str]:
    """All text in what an encoder is written as: words, characters, columns, categories."""
    if isinstance(encoder, Mapping):
        return [text for value in encoder.values() for text in _texts(value)]
    if isinstance(encoder, list):
        return [text for value in encoder for text in _texts(value)]
    return [encoder] if isinstance(encoder, str) else []


def _warn(report: Report, source: Source, dataset: Any, model: Any, recipe: Recipe) -> None:
    """What fits by its shape and may mean something else."""
    there: Sequence[str] = source.info.get("classes", ())
    others = bool(there) and list(there) != list(dataset.classes)
    if others and not recipe.reset_head and not report.unfit:
        output.warn("its classes are other ones, and the last layer was taken: see --reset-head")
    names = _texts(source.info.get("normalize"))
    same = names and source.info.get("kind") == dataset.kind.name
    if same and names != _texts(jsonfile.plain(dataset.kind.fit(dataset).to_json())):
        output.warn(
            f"its {dataset.kind.many} have other words or columns: what belongs to one there, such"
            " as a word's vector, was taken for another one here"
        )
    kept = {m.name for m in report.unfit} | {*report.new, *report.reset}
    if random := [n for n, p in model.named_parameters().items() if p.frozen and n in kept]:
        output.warn(f"frozen at random first values, for it did not fit: {', '.join(random[:4])}")
