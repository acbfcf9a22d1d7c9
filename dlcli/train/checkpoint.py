"""Checkpoints: safetensors and JSON under a manifest of SHA-256 sums. Never pickle.

checkpoints/<which>/
    model.safetensors      parameters and buffers, by their path in the model
    optimizer.safetensors  per phase, "<phase>/<key>"
    state.json             where training stands: all that a resumed run needs besides
    model.json             what it takes to build the model and to feed it
    manifest.json          the size and SHA-256 of each file; written last
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dlcli.train.protocol import Model

SCHEMA = 1


@dataclass
class Checkpoint:
    """A checkpoint in memory.

    tensors: the model's `state_dict`. optimizer: the optimisers'. state: see `Progress`.
    model_info: "name", "config", "input_shape" [H, W, C], "classes", "normalize" (for
    `Normalize.from_json`), "fingerprint", "data". warnings: what was wrong with checkpoints that
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
    raise NotImplementedError


def load(
    folder: Path, which: str = "best", *, fallback: bool = False, allow_nonfinite: bool = False
) -> Checkpoint:
    """The checkpoint `which` ("best" or "last") of a run's `checkpoints` folder.

    Where a save was cut short between two renames, what it left behind is found. fallback: to
    resume; where `which` is damaged, the previous good one is taken, "best" at last, and
    `warnings` says so. CheckpointError: there is none, or it is damaged (the file is named), too
    new, of an unsafe format, or holds NaN.
    """
    raise NotImplementedError


def restore(model: Model, checkpoint: Checkpoint) -> None:
    """Copies the tensors into `model`. CheckpointError: keys, shapes or dtypes do not fit."""
    raise NotImplementedError
