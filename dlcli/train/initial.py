"""The first weights of a model from another run or a safetensors file: what fits by name and shape.

Parameters are taken, and what belongs to them (running statistics, averages). What is not of the
weights begins anew: streams of random numbers, recurrent states, pools of images.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np

from dlcli.errors import CheckpointError, UsageError, did_you_mean
from dlcli.train import atomic, checkpoint, jsonfile, tensors
from dlcli.train.protocol import Model
from dlcli.train.run import RunDir

NAME = "initial.json"  # in the run's folder
MOST_BYTES = 4 << 30  # of a file of weights
MOST_NAMES = 12  # of parameters in a message


@dataclass(frozen=True)
class Source:
    """path: as it was given. sha256: of the tensors as `tensors.pack` writes them, in whatever
    order the file has them. info: the checkpoint's `model_info`, {} of a file.
    """

    path: Path
    sha256: str
    arrays: Mapping[str, np.ndarray]
    info: Mapping[str, Any]


@dataclass(frozen=True)
class Misfit:
    """A tensor that both have and that does not fit: its shape here and there."""

    name: str
    here: Sequence[int]
    there: Sequence[int]


@dataclass(frozen=True)
class Report:
    """What came of it, by name. fitted: was taken. unfit: has another shape. reset: would have
    fitted and was left as initialised. new: is not in the source. unused: is not in the model.
    """

    source: str
    sha256: str
    fitted: list[str] = field(default_factory=list)
    unfit: list[Misfit] = field(default_factory=list)
    reset: list[str] = field(default_factory=list)
    new: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def read(path: Path) -> Source:
    """The weights of a run's best checkpoint, or of a file.

    CheckpointError: it is neither, or is damaged, of an unsafe format, or holds NaN.
    """
    checkpoint.refuse_unsafe(path)
    if path.is_dir() or not path.exists():
        best = RunDir.open(path).load("best")
        return Source(path, _sum(best.tensors), best.tensors, best.model_info)
    if path.suffix.lower() != ".safetensors":
        why = "weights are read from a run, or from a file whose name ends in .safetensors"
        raise CheckpointError(f"{path}: not weights", why=why)
    arrays = tensors.unpack(jsonfile.read_bytes(path, MOST_BYTES), str(path))
    if bad := tensors.nonfinite(arrays):
        raise CheckpointError(f"{path}: holds NaN or infinite values", why=f"in {bad[0]}")
    return Source(path, _sum(arrays), arrays, {})


def _sum(arrays: Mapping[str, np.ndarray]) -> str:
    return hashlib.sha256(tensors.pack(arrays)).hexdigest()


def put(model: Model, source: Source, reset: Collection[str] = ()) -> Report:
    """Copies what fits into `model`, all but `reset`. Numbers of another precision are converted.

    CheckpointError: nothing fits.
    """
    buffers = {k: b for k, b in model.named_buffers().items() if getattr(b, "learned", False)}
    own = {**model.named_parameters(), **buffers}
    states = model.named_buffers().keys() - buffers.keys()
    report = Report(str(source.path), source.sha256)
    for name, tensor in own.items():
        array = source.arrays.get(name)
        if array is None:
            report.new.append(name)
        elif array.shape != tensor.shape or array.dtype.kind != tensor.dtype.kind:
            report.unfit.append(Misfit(name, list(tensor.shape), list(array.shape)))
        elif name in reset:
            report.reset.append(name)
        else:
            report.fitted.append(name)
    report.unused.extend(name for name in source.arrays if name not in own and name not in states)
    fits = {name: source.arrays[name].astype(own[name].dtype) for name in report.fitted}
    if bad := tensors.nonfinite(fits):
        raise CheckpointError(f"{source.path}: too large for {own[bad[0]].dtype}", why=bad[0])
    if not report.fitted and not report.reset:
        raise _nothing(report, own)
    for name, array in fits.items():
        own[name].write(array)
    return report


def _nothing(report: Report, own: Mapping[str, Any]) -> CheckpointError:
    """The error that not one tensor fits."""
    lines = [f"{m.name} is {m.there}, not {m.here}" for m in report.unfit]
    lines += [f"{name} is not in it" for name in own if name in report.new]
    more = f"; and {len(lines) - 3} more" if len(lines) > 3 else ""
    return CheckpointError(
        f"{report.source}: nothing of it fits the model",
        why="; ".join(lines[:3]) + more,
        hint="the weights must be of the same model, with the same settings",
    )


def write(folder: Path, report: Report) -> Path:
    """`folder`/initial.json with the report. OutputError: it cannot be written."""
    path = folder / NAME
    atomic.write_file(path, jsonfile.dumps(report.to_json()))
    return path


def written(folder: Path) -> dict[str, Any] | None:
    """What `write` wrote there, None where nothing. CheckpointError: it is damaged."""
    path = folder / NAME
    return jsonfile.read(path) if path.exists() else None


# --- what is not trained ------------------------------------------------------------------------


def frozen(names: Sequence[str], patterns: Sequence[str]) -> list[str]:
    """Those of a model's parameters that any of the shell patterns (`*`, `?`, `[a-c]`) matches.

    UsageError: a pattern matches none, with a suggestion.
    """
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            layers = list(dict.fromkeys(f"{name.rpartition('.')[0]}.*" for name in names))
            known = [*names, *layers] if len(names) <= MOST_NAMES else layers
            why = did_you_mean(pattern, known)
            if why.startswith("there is"):
                some = ", ".join(layers[:MOST_NAMES])
                why = f"there is: {some}{', …' if len(layers) > MOST_NAMES else ''}"
            raise UsageError(f"--freeze: no parameter is named '{pattern}'", why=why)
    return [name for name in names if any(fnmatchcase(name, p) for p in patterns)]
