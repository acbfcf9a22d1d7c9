"""What the report of a run holds, read from the run's files alone: no model is built."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dlcli.cli import output, run_facts
from dlcli.errors import CheckpointError
from dlcli.train import jsonfile
from dlcli.train.run import RunDir

MIB = 1 << 20
MOST_PICTURE = 8 * MIB  # bytes of a picture that goes into the page
MOST_PICTURES = 48 * MIB  # of all of them
MOST_SAMPLES = 2  # pictures of samples, the last ones
MOST_EXPLANATIONS = 24
MOST_EVALUATIONS = 20
MAGIC = {b"\x89PNG\r\n\x1a\n": "image/png", b"GIF8": "image/gif", b"\xff\xd8\xff": "image/jpeg"}
FIRST = ("curves", "confusion", "roc", "calibration", "mistakes")  # then by name
CAPTIONS = {
    "curves": "Learning curves: training and validation, by epoch",
    "confusion": "Confusion matrix: true classes in rows, predicted ones in columns",
    "roc": "ROC, and precision over recall: each class against the rest",
    "calibration": "Calibration: whether it is right as often as it is sure",
    "mistakes": "The mistakes that it is surest of",
    "forecast": "Forecasts beside what was, and errors by steps ahead",
    "epochs": "Samples after each epoch",
}


@dataclass(frozen=True)
class Picture:
    """name: its path in the run. data: the bytes of the file, of the type mime."""

    name: str
    caption: str
    mime: str
    data: bytes


@dataclass
class Contents:
    """facts: of `run_facts`. records: the lines of metrics.jsonl. evaluations: by the names of
    their files. config, env: as the run has them. commands: that train it again. notes: what is
    damaged or left out.
    """

    facts: Mapping[str, Any]
    records: list[dict[str, Any]] = field(default_factory=list)
    evaluations: dict[str, dict[str, Any]] = field(default_factory=dict)
    pictures: list[Picture] = field(default_factory=list)
    config: Mapping[str, Any] = field(default_factory=dict)
    env: Mapping[str, Any] = field(default_factory=dict)
    commands: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def gather(run: RunDir) -> Contents:
    """All that there is of a run; what is damaged, but for its configuration, is a note.

    CheckpointError: the configuration is damaged.
    """
    found = Contents(run_facts.facts(run), config=run.config())
    found.records = _read(run.metrics, [], found.notes)
    if (run.path / "env.json").is_file():
        found.env = _read(run.env, {}, found.notes)
    for path in sorted((run.path / "evaluations").glob("*.json"))[:MOST_EVALUATIONS]:
        value = _read(lambda path=path: jsonfile.read(path), {}, found.notes)
        if value:
            found.evaluations[path.stem] = value
    found.pictures = list(_pictures(run.path, found.notes))
    found.commands = _commands(run.path, found.config, found.facts["state"] == "finished")
    return found


def _read(read: Callable[[], Any], otherwise: Any, notes: list[str]) -> Any:
    try:
        return read()
    except CheckpointError as error:
        notes.append(": ".join(filter(None, (error.what, error.why))))
        return otherwise


def _commands(path: Path, config: Mapping[str, Any], finished: bool) -> list[str]:
    place = shlex.quote(str(path))
    model = config.get("model")
    file = model.get("file") if isinstance(model, dict) else None
    own = f" --model-file {shlex.quote(str(path / Path(file).name))}" if file else ""
    first = "runs reproduce" if finished else "train --resume"
    return [
        f"dlcli {first} {place}{own}",
        f"dlcli train -c {shlex.quote(str(path / 'config.toml'))}{own}",
        f"dlcli eval {place}{own}",
    ]


def _files(run: Path) -> Iterator[Path]:
    """The pictures that may be shown, in their order."""

    def place(path: Path) -> tuple[int, str]:
        kind = path.stem.partition("-")[0]
        return FIRST.index(kind) if kind in FIRST else len(FIRST), path.name

    yield from sorted((run / "plots").glob("*.png"), key=place)
    samples = sorted((run / "samples").glob("*.png"))
    yield from samples[-MOST_SAMPLES:]
    yield from sorted((run / "samples").glob("*.gif"))
    yield from sorted((run / "explanations").glob("*.png"))[:MOST_EXPLANATIONS]


def _pictures(run: Path, notes: list[str]) -> Iterator[Picture]:
    """Those that are what they seem, within the limits; of the others a note says why."""
    total = 0
    for path in _files(run):
        name = output.printable(path.relative_to(run).as_posix())
        try:
            with open(path, "rb") as file:
                data = file.read(MOST_PICTURE + 1)
        except OSError as error:
            notes.append(f"{name} is left out: {error.strerror}")
            continue
        mime = next((mime for start, mime in MAGIC.items() if data.startswith(start)), None)
        if mime is None:
            notes.append(f"{name} is left out: it is no picture")
        elif len(data) > MOST_PICTURE or total + len(data) > MOST_PICTURES:
            most = (MOST_PICTURE if len(data) > MOST_PICTURE else MOST_PICTURES) // MIB
            notes.append(f"{name} is left out: more than {most} MiB")
        else:
            total += len(data)
            yield Picture(name, _caption(path), mime, data)


def _caption(path: Path) -> str:
    """By the name: "confusion-val" is the confusion matrix, of "val"."""
    kind, _, rest = path.stem.partition("-")
    words = " ".join(path.stem.split("-"))
    folder = path.parent.name
    if folder == "explanations":
        return f"What speaks for the class: {path.stem}"
    if kind not in CAPTIONS:
        return f"Samples: {words}" if folder == "samples" else words
    return CAPTIONS[kind] + (f" ({rest})" if rest else "")
