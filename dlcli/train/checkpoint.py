"""Checkpoints: safetensors and JSON under a manifest of SHA-256 sums. Never pickle.

checkpoints/<which>/
    model.safetensors      parameters and buffers, by their path in the model
    optimizer.safetensors  per phase, "<phase>/<key>"; where model.safetensors has an average of
                           the weights, "weights/<path>" is what is trained
    state.json             where training stands: all that a resumed run needs besides
    model.json             what it takes to build the model and to feed it
    manifest.json          the size and SHA-256 of each file; written last
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import dlcli
from dlcli.errors import CheckpointError
from dlcli.train import atomic, jsonfile, tensors
from dlcli.train.protocol import Model

FORMAT, SCHEMA = "dlcli-checkpoint", 1
MANIFEST = "manifest.json"
FILES = ("model.safetensors", "optimizer.safetensors", "state.json", "model.json")
MOST_MANIFEST = 1 << 16  # bytes
UNSAFE = frozenset(
    {".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".bin", ".h5", ".hdf5", ".keras"}
    | {".npy", ".npz", ".joblib", ".pb", ".msgpack"}
)
ATTEMPTS = 20  # at reading what another process replaces at the same time


@dataclass
class Checkpoint:
    """A checkpoint in memory.

    tensors: the model's `state_dict`. optimizer: the optimisers'. state: see `Progress`.
    model_info: "name", "config", "kind" of its samples, "input_shape", "classes", "normalize" (for
    the kind's `from_json`), "fingerprint", "data". warnings: what was wrong with checkpoints that
    were passed over. source: the folder it was read from.
    """

    tensors: dict[str, np.ndarray]
    optimizer: dict[str, np.ndarray]
    state: dict[str, Any]
    model_info: dict[str, Any]
    warnings: list[str] = field(default_factory=list)
    source: Path | None = None


def save(folder: Path, which: str, checkpoint: Checkpoint) -> None:
    """Replaces `folder`/<which>. Whatever fails or dies whenever, the old or the new one loads.

    OutputError: writing failed; the old one is intact and nothing of the new one is left.
    """
    contents = (
        tensors.pack(checkpoint.tensors),
        tensors.pack(checkpoint.optimizer),
        jsonfile.dumps(checkpoint.state),
        jsonfile.dumps(checkpoint.model_info),
    )
    files = dict(zip(FILES, contents, strict=True))
    sums = {
        name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
        for name, data in files.items()
    }
    manifest = {"format": FORMAT, "schema": SCHEMA, "dlcli": dlcli.__version__, "files": sums}
    atomic.make_folder(folder)
    atomic.replace_folder(folder / which, {**files, MANIFEST: jsonfile.dumps(manifest)})


def load(
    folder: Path, which: str = "best", *, fallback: bool = False, allow_nonfinite: bool = False
) -> Checkpoint:
    """The checkpoint `which` ("best" or "last") of a run's `checkpoints` folder.

    Where a save was cut short between two renames, what it left behind is found. fallback: to
    resume; where `which` is damaged, the previous good one is taken, "best" at last, and
    `warnings` says so. CheckpointError: there is none, or it is damaged (the file is named), too
    new, of an unsafe format, or holds NaN.
    """
    refuse_unsafe(folder)
    places = atomic.candidates(folder / which)
    if fallback and which != "best":
        places += atomic.candidates(folder / "best")
    for attempt in range(ATTEMPTS):
        before = _identities(places)
        try:
            return _first_good(places, which, fallback, allow_nonfinite)
        except CheckpointError:
            if _identities(places) == before or attempt == ATTEMPTS - 1:
                raise  # nobody replaced anything meanwhile: it is what it is
    raise AssertionError("unreachable")


def _first_good(
    places: list[Path], which: str, fallback: bool, allow_nonfinite: bool
) -> Checkpoint:
    warnings: list[str] = []
    error: CheckpointError | None = None
    for place in places:
        if not os.path.isdir(place):
            continue
        try:
            checkpoint = read(place, allow_nonfinite=allow_nonfinite)
        except CheckpointError as problem:
            if place.suffix == ".tmp":
                continue  # a save that was cut short, not a checkpoint
            if not fallback and place.name == which:
                raise
            error = error or problem
            warnings.append(f"{problem.what}{f' ({problem.why})' if problem.why else ''}")
            continue
        if warnings:
            warnings.append(f"{place} is used instead, step {checkpoint.state.get('step')}")
        checkpoint.warnings = warnings
        return checkpoint
    if error is not None:
        raise error
    folder = places[0].parent
    there = folder.iterdir() if folder.is_dir() else ()
    others = sorted(p.name for p in there if p.suffix != ".tmp")
    raise CheckpointError(
        f"{folder.parent}: no checkpoint '{which}'",
        why=f"there is: {', '.join(others)}" if others else "nothing has been saved yet",
        hint=f"the first validation saves it: dlcli train --resume {folder.parent}"
        if which == "best"
        else "",
    )


def read(place: Path, *, allow_nonfinite: bool = False) -> Checkpoint:
    """The checkpoint in the folder `place`, every file checked against the manifest.

    CheckpointError: a file is missing, damaged or too new, or a weight is NaN or infinite.
    """
    manifest = jsonfile.read(place / MANIFEST, MOST_MANIFEST)
    _check_manifest(manifest, place)
    files = {name: _verified(place / name, manifest["files"][name]) for name in FILES}
    model, optimizer = (tensors.unpack(files[n], str(place / n)) for n in FILES[:2])
    state, info = (jsonfile.loads(files[n], str(place / n)) for n in FILES[2:])
    if not allow_nonfinite and (bad := tensors.nonfinite(model)):
        raise CheckpointError(
            f"{place / FILES[0]}: holds NaN or infinite values", why=f"in {_some(bad)}"
        )
    return Checkpoint(model, optimizer, state, info, source=place)


def _check_manifest(manifest: dict[str, Any], place: Path) -> None:
    path, schema = place / MANIFEST, manifest.get("schema")
    if manifest.get("format") != FORMAT or not isinstance(schema, int):
        raise CheckpointError(f"{path}: not a checkpoint's manifest")
    if schema > SCHEMA:
        raise CheckpointError(
            f"{place}: needs dlcli ≥ {manifest.get('dlcli', '?')}",
            why=f"its format is {schema}, this dlcli {dlcli.__version__} reads up to {SCHEMA}",
        )
    listed = manifest.get("files")
    if not isinstance(listed, dict) or not set(listed) >= set(FILES):
        raise CheckpointError(f"{path}: damaged", why=f"it must list {', '.join(FILES)}")


def _verified(path: Path, entry: Any) -> bytes:
    """The file's bytes, which have the manifest's size and hash."""
    size = entry.get("bytes") if isinstance(entry, dict) else None
    if not isinstance(size, int) or size < 0:
        raise CheckpointError(f"{path.parent / MANIFEST}: damaged", why=f"entry {path.name}")
    try:
        actual = path.stat().st_size
    except OSError as error:
        raise CheckpointError(f"{path}: missing") from error
    if actual != size:
        raise CheckpointError(
            f"{path}: damaged", why=f"it has {actual:,} bytes, its manifest says {size:,}"
        )
    data = jsonfile.read_bytes(path, size)
    if hashlib.sha256(data).hexdigest() != entry.get("sha256"):
        raise CheckpointError(f"{path}: damaged", why="its SHA-256 is not the manifest's")
    return data


def restore(model: Model, checkpoint: Checkpoint) -> None:
    """Copies the tensors into `model`, whose carried states, if it has any, take their extents.

    CheckpointError: keys, shapes or dtypes do not fit.
    """
    if hasattr(model, "adapt"):
        model.adapt({name: array.shape for name, array in checkpoint.tensors.items()})
    if lines := tensors.misfits(model.state_dict(), checkpoint.tensors):
        where = checkpoint.source / FILES[0] if checkpoint.source else "the checkpoint"
        raise CheckpointError(f"{where}: does not fit the model", why=_some(lines))
    model.load_state_dict(checkpoint.tensors)


def refuse_unsafe(path: Path) -> None:
    """CheckpointError for a file of a format that can hold code or that we do not read.

    Nothing of it is opened.
    """
    if path.suffix.lower() in UNSAFE and not os.path.isdir(path):
        raise CheckpointError(
            f"{path}: unsafe format",
            why="reading such a file can run code that is hidden in it; it was not opened",
            hint="give the folder of a run that `dlcli train` made",
        )


def _identities(places: list[Path]) -> list[int | None]:
    """Which folders there are, to see whether another process replaced one meanwhile."""
    found: list[int | None] = []
    for place in places:
        try:
            found.append(os.stat(place).st_ino)
        except OSError:
            found.append(None)
    return found


def _some(lines: list[str], most: int = 6) -> str:
    more = f" and {len(lines) - most} more" if len(lines) > most else ""
    return "; ".join(lines[:most]) + more
