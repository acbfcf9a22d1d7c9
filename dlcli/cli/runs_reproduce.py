"""dlcli runs reproduce: trains a run again, and says whether it is the same."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from dlcli.cli import output
from dlcli.cli.options import (
    command,
    data_dir,
    device_options,
    model_file,
    output_options,
    precision,
)
from dlcli.errors import CheckpointError, GateError

WEIGHTS = "model.safetensors"


@command(
    "reproduce",
    examples=[
        "dlcli train cnn-small --epochs 2 --out runs/first",
        "dlcli runs reproduce runs/first --out runs/again",
    ],
)
@click.argument("run", type=click.Path(path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path), help="The new run's folder.")
@model_file
@data_dir
@device_options
@precision
@output_options
def main(
    run: Path,
    out: Path | None,
    model_file: Path | None,
    data_dir: Path | None,
    device: str,
    threads: int | None,
    precision: str,
) -> None:
    """Trains anew with the configuration of RUN and compares the weights of the last checkpoints,
    bit by bit. Exits with 8 if they differ, and says what differs in the machines.

    The same versions on the same processor give the same bits, whatever the number of threads.
    """
    from dlcli.cli import training
    from dlcli.train.run import RunDir

    first = RunDir.open(run)
    state = first.status().get("state")
    if state != "finished":
        why = f"it is {state or 'not begun'}"
        raise CheckpointError(
            f"{run}: cannot be compared with", why=why, hint="train it to its end"
        )
    about = {"model": None, "config_file": run / "config.toml", "sets": ()}
    again: Any = training.new(
        model_file,
        about,
        {"train": {}, "data": {}},
        out=out,
        dry_run=False,
        device=device,
        threads=threads,
        precision=precision,
        data_dir=data_dir,
        no_plots=True,
        silent=True,
    )
    same = _weights(first) == _weights(again)
    differ = _differences(first.env(), again.env())
    if output.settings.json:
        output.document({"run": run, "again": again.path, "same": same, "machines": differ})
    elif same:
        output.text(f"{again.path} has the weights of {run}, bit for bit")
    if not same:
        why = ", ".join(f"{key}: {a} → {b}" for key, (a, b) in differ.items())
        raise GateError(
            f"{again.path} has other weights than {run}",
            why=f"the machines differ: {why}" if why else "nothing that is known of them differs",
        )


def _weights(run: Any) -> bytes:
    data: bytes = (run.checkpoints / "last" / WEIGHTS).read_bytes()
    return data


def _differences(
    before: Mapping[str, Any], after: Mapping[str, Any]
) -> dict[str, tuple[object, object]]:
    """What env.json says otherwise, but for the number of threads, which changes no bit."""
    from dlcli.cli.run_facts import flat

    first, second = flat(before), flat(after)
    keys = [key for key in {**first, **second} if key != "threads"]
    return {k: (first.get(k), second.get(k)) for k in keys if first.get(k) != second.get(k)}
