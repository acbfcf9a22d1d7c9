"""What a model is trained for, such as telling classes apart: how it is measured, and what it says
of a single input.

A `Task` is one implementation of this protocol, `TASK` of a module of this package. The kind of a
dataset's samples names that module, and nothing else asks which it is: `dlcli train`, `eval` and
`predict` go through it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from dlcli.data.kind import Encoder, Input, Kind, Shape
from dlcli.errors import UsageError, did_you_mean

if TYPE_CHECKING:  # whoever only reads a run loads none of them
    import numpy as np

    from dlcli.engine.forward import Forward
    from dlcli.engine.tensor import Tensor


@dataclass
class Trained:
    """A trained model, in evaluation mode, with what it takes to feed it.

    kind: of its samples. shape: what it was built for, (H, W, C) of images. encode: from samples to
    what it takes. info: the checkpoint's `model_info`. run: the `RunDir`.
    """

    run: Any
    model: Any
    encode: Encoder
    kind: Kind
    shape: Shape
    classes: list[str]
    info: Mapping[str, Any]
    _planned: dict[str, Forward] = field(default_factory=dict, init=False, repr=False)

    def planned(self, method: str = "forward") -> Forward:
        """What a method of the model gives for arrays of the host, by plans where it may: the same
        object each time, which remembers them.
        """
        from dlcli.engine.forward import Forward
        from dlcli.engine.tensor import on_device

        def call(*arrays: np.ndarray) -> Sequence[Tensor]:
            found = getattr(self.model, method)(*map(on_device, arrays))
            return found if isinstance(found, tuple) else [found]

        return self._planned.setdefault(method, Forward(self.model, call))


@dataclass(frozen=True)
class Table:
    """header: the columns' names. rows: their cells. left: columns that are text, from the left."""

    header: Sequence[str]
    rows: Sequence[Sequence[Any]]
    left: int = 1


class Evaluation(Protocol):
    """What a task found of a model on a part of a dataset.

    samples: how many. figures: by name; those of `Task.figures`, "loss" and what a gate may ask.
    """

    samples: int

    @property
    def figures(self) -> Mapping[str, float]: ...

    def to_json(self) -> dict[str, Any]:
        """Plain values, the most important figures at the top."""

    def shown(self, many: str) -> list[str | Table]:
        """Lines and tables for people. many: what samples are called, "images"."""

    def draw(self, plots: Any, folder: Path, words: Sequence[str], title: str) -> list[Path]:
        """Draws what is worth it into `folder` by the functions of the module `plots`.

        words: ends of the files' names that tell what was measured. OSError: a file cannot be
        written.
        """


class Task(Protocol):
    """monitor: the figure that chooses the best checkpoint. figures: those of training besides
    "loss", with how they are written: {"accuracy": ".2%"}. least, most: figures of an evaluation
    that are better when higher (`--fail-under`), when lower (`--fail-over`). options: those of
    `dlcli predict` that apply, with their defaults.
    """

    monitor: str
    figures: Mapping[str, str]
    least: Sequence[str]
    most: Sequence[str]
    options: Mapping[str, Any]

    # Besides, a task may have `validated`, figures that only validation gives, and `balanced`, the
    # one that chooses where rare classes are made to count; a `generator`; `watcher(run, model,
    # dataset, warn)`: an observer of the training that draws or warns; and `measured_by`: the
    # options of `dlcli eval` that apply, with their defaults, which `evaluate` then takes as
    # `options`, with `needs`: by a figure that is only measured with one of them, its name.
    # `predicts(model)`: whether `predict` is for it.

    def evaluate(
        self,
        trained: Trained,
        dataset: Any,
        part: str,
        *,
        batch_size: int,
        on_batch: Callable[[int, int], None] | None = None,
    ) -> Evaluation:
        """The figures on a part, in evaluation mode and without gradients.

        on_batch(done, total) is called after each batch, in samples. DataError: the part is empty,
        or not of the model's kind.
        """

    def predict(
        self, trained: Trained, samples: list[Any], options: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """What the model says of each sample, as the rest of its line of JSON. At least one sample.

        UsageError: an option that the model cannot serve.
        """


class Generator(Protocol):
    """What a task whose models make something new has as its `generator`.

    makes: what comes of it, "text" or "image". example: what stands behind `dlcli generate RUN`.
    options: those of `dlcli generate` that apply, with their defaults.
    """

    makes: str
    example: str
    options: Mapping[str, Any]

    def check(self, trained: Trained, options: Mapping[str, Any]) -> list[str]:
        """What the user should be told before it begins. UsageError: it cannot be done."""

    def generate(
        self, trained: Trained, options: Mapping[str, Any], *, seed: int, sample: int
    ) -> Iterator[Any]:
        """One sample, in pieces as they are made: of a text, strings; of images, (H, W, C) uint8,
        one or several that belong together. The same for the same seed and number, whatever other
        samples are made. NonFiniteError: the model gives no numbers.
        """


def generator(task: Task, name: str) -> Generator:
    """The task's. UsageError: its models, such as the one of that name, make nothing."""
    found: Generator | None = getattr(task, "generator", None)
    if found is None:
        why = "it says something of what it is given, and makes nothing new"
        raise UsageError(f"{name} cannot generate", why=why, hint="char-lm, word-lm and dcgan can")
    return found


def commands(task: Task, model: Any, run: str, argument: str) -> list[str]:
    """What can be done with a trained run. argument: what samples are called on a command line."""
    found = [f"dlcli eval {run}"]
    if getattr(task, "predicts", lambda model: True)(model):
        found.append(f"dlcli predict {run} {argument}")
    maker = getattr(task, "generator", None)
    if maker is not None:
        found.append(f"dlcli generate {run} {maker.example}".rstrip())
    return [*found, f"dlcli report {run}"]


def of(kind: Kind) -> Task:
    """The task of the datasets of a kind."""
    found: Task = import_module(f"dlcli.train.{kind.task}").TASK
    return found


def inputs(trained: Trained, names: Iterable[str]) -> Iterator[list[Input]]:
    """What INPUT... of the command line means, in batches. An encoder that has to know what to look
    for, such as columns by their names, reads it itself.
    """
    own = getattr(trained.encode, "inputs", None)
    return own(names) if own else trained.kind.inputs(names, trained.shape)


def names(task: Task) -> list[str]:
    """The figures that training gives, and "step": by that one the latest is the best."""
    both = ["loss", *task.figures]
    more = getattr(task, "validated", ())
    return [*both, *(f"val_{name}" for name in (*both, *more)), "step"]


def chosen(task: Task | Generator, given: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a task, or of its generator, with what was given; None is nothing.

    UsageError: one does not apply.
    """
    return _merged(task.options, given)


def _merged(options: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    asked = {key: value for key, value in given.items() if value is not None and value is not False}
    for key in asked:
        if key not in options:
            known = ", ".join(f"--{k.replace('_', '-')}" for k in options)
            what = f"--{key.replace('_', '-')} does not apply to this model"
            raise UsageError(what, why=f"there is: {known}" if known else "")
    return {**options, **asked}


def measured_by(task: Task, given: Mapping[str, Any], gates: Iterable[str]) -> dict[str, Any]:
    """What `evaluate` takes besides: the options of a task that has some. gates: the figures that
    are asked for.

    UsageError: an option does not apply, or one is missing that a figure needs.
    """
    options = _merged(getattr(task, "measured_by", {}), given)
    for figure, option in getattr(task, "needs", {}).items():
        if figure in gates and options[option] is None:
            what = f"the figure '{figure}' cannot be gated"
            raise UsageError(what, why=f"it is only measured with --{option}")
    return {"options": options} if options else {}


def gated(values: Mapping[str, float], known: Sequence[str], option: str) -> None:
    """UsageError: a gate on a figure that there is not."""
    for name in values:
        if name not in known:
            hint = did_you_mean(name, known) if known else "the model has no such figure"
            raise UsageError(f"{option}: there is no figure '{name}'", why=hint)
