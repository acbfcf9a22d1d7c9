"""How long one waits: short commands, the first step of a training, and a first run's compiling.

    python bench/start.py [--repeats 5] [-o results/start.json]

Whole processes, from their start; medians. Caches are warm but for "first run", whose folder of
compiled kernels is empty.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import numpy as np

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / "kernels")]

from dlcli.train import environment  # noqa: E402

FIRST_STEP = """
import os, sys
from dlcli.train.loop import Trainer
step = Trainer._step
def first(*given):
    step(*given)
    sys.stderr.flush()
    os._exit(0)
Trainer._step = first
from dlcli.__main__ import run
sys.exit(run())
"""
TRAIN = ("train", "cnn", "--data", "digits", "--epochs", "1", "--quiet")


def seconds(*words: str, cache: Path | None = None, program: tuple[str, ...] = ()) -> float:
    """Of a process from its start to its end. ClickException if it fails."""
    path = os.pathsep.join([str(HERE.parent), str(HERE.parent / "kernels")])
    env = {**os.environ, "PYTHONPATH": path, **({"DLCLI_CACHE": str(cache)} if cache else {})}
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *(program or ("-m", "dlcli")), *words],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise click.ClickException(f"{' '.join(words)} failed:\n{done.stderr}")
    return time.perf_counter() - begun


@click.command()
@click.option("--repeats", type=int, default=5, show_default=True)
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Write the figures as JSON.")
def main(repeats: int, out: Path | None) -> None:
    """Seconds from the start of a process to its end."""
    with tempfile.TemporaryDirectory() as name:
        folder, numbers = Path(name), iter(range(1 << 30))

        def train(**how: object) -> float:
            return seconds(*TRAIN, "--out", str(folder / f"run{next(numbers)}"), **how)

        train()  # warm, and a model to ask
        seconds("data", "export", "digits", "-n", "1", "--split", "test", "-o", str(folder / "one"))
        image = str(next((folder / "one").rglob("*.png")))
        measured = {
            "dlcli --help": lambda: seconds("--help"),
            "dlcli predict, one image": lambda: seconds("predict", str(folder / "run0"), image),
            "dlcli train, to the end of the first step": lambda: train(program=("-c", FIRST_STEP)),
            "dlcli train, one epoch of digits": train,
        }
        found = {what: [each() for _ in range(repeats)] for what, each in measured.items()}
        first = [train(cache=folder / f"cache{k}") for k in range(max(repeats // 2, 1))]
        found["the same, its first run on a machine"] = first
    rows = [
        {"what": what, "seconds": float(np.median(each)), "each": each}
        for what, each in found.items()
    ]
    for row in rows:
        click.echo(f"{row['seconds']:7.2f} s  {row['what']}")
    if out is not None:
        out.write_text(
            json.dumps({"machine": environment.describe(), "rows": rows}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()
