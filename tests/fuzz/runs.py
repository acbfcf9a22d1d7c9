"""Readers of what a run is made of, with good files of each."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np


def config() -> list[bytes]:
    text = (
        '[model]\nname = "cnn"\nchannels = [8, 8, 8]\n[data]\nsource = "digits"\n'
        '[train]\nepochs = 3\nlr = 1e-3\naugment = "shift=1,flip"\nuntil = {loss = 0.1}\n'
    )
    return [text.encode()]


def read_config(path: Path, folder: Path) -> None:
    from dlcli.cli import config
    from dlcli.models import cnn
    from dlcli.train.recipe import Recipe

    tables = config.read(path)
    asked = config.Config()
    asked.update(tables)
    config.check_data(asked.data)
    config.model_config(cnn.Config, asked.model_settings)
    Recipe.from_dict(asked.train)


def weights() -> list[bytes]:
    from dlcli.train import tensors

    made = {"0.weight": np.ones((3, 2), np.float32), "n": np.zeros(1, np.int64)}
    return [tensors.pack(made), tensors.pack({})]


def read_weights(path: Path, folder: Path) -> None:
    from dlcli.train import tensors

    tensors.nonfinite(tensors.unpack(path.read_bytes(), str(path)))


def state() -> list[bytes]:
    from dlcli.train import jsonfile
    from dlcli.train.progress import Progress
    from dlcli.train.recipe import Recipe

    made = Progress(recipe=Recipe().to_dict(), fingerprint="0" * 64)
    return [jsonfile.dumps(made.to_json())]


def read_state(path: Path, folder: Path) -> None:
    from dlcli.train import jsonfile
    from dlcli.train.progress import Progress

    Progress.from_json(jsonfile.loads(path.read_bytes(), str(path)), str(path))


def manifests() -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        return [_saved(Path(folder)).read_bytes()]


def _saved(folder: Path) -> Path:
    """The manifest of a checkpoint that is written there, always the same."""
    from dlcli.train import checkpoint

    checkpoint.save(folder, "best", checkpoint.Checkpoint({}, {}, {}, {}))
    return folder / "best" / checkpoint.MANIFEST


def read_manifest(path: Path, folder: Path) -> None:
    from dlcli.train import checkpoint

    place = _saved(folder)
    place.write_bytes(path.read_bytes())
    checkpoint.read(place.parent)


def metrics() -> list[bytes]:
    return [b'{"epoch": 1, "step": 9, "loss": 0.5}\n{"epoch": 2, "step": 18, "loss": null}\n']


def read_metrics(path: Path, folder: Path) -> None:
    from dlcli.train.run import RunDir

    run = RunDir(folder)
    assert all(isinstance(record, dict) for record in run.metrics())
    run.truncate_metrics(1)


def encoders() -> list[bytes]:
    made = [{"mean": [0.5], "std": [0.25]}, {"mean": [0, 0.1, 1], "std": [1, 1, 1e-3]}]
    return [json.dumps(one).encode() for one in made]


def read_encoder(path: Path, folder: Path) -> None:
    """Of a checkpoint's model.json: what every kind of samples makes its encoder of."""
    from dlcli.data import kind
    from dlcli.errors import DlcliError
    from dlcli.train import jsonfile

    stored = jsonfile.loads(path.read_bytes(), str(path))
    for name in kind.names():
        try:
            kind.of(name).from_json(stored, (8, 8, 1))
        except DlcliError:
            continue
