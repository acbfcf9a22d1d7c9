"""Test accuracy after the default recipe, chosen by the validation part alone, over seeds.

    DLCLI_DATA=… python bench/accuracy.py [-o bench/results/accuracy.json] [--only text-cnn:imdb]

Each run is `dlcli train` in a process of its own; the test part is measured once, by the command.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).parents[1]
TEXTS = ("text-lstm", "text-cnn", "text-attention")
RUNS: tuple[tuple[str, str, tuple[str, ...]], ...] = (  # model, data, options
    ("cnn", "mnist", ()),
    ("cnn-small", "mnist", ()),
    ("cnn", "fashion-mnist", ()),
    ("cnn", "digits", ()),
    ("lstm", "mnist", ("--epochs", "2")),
    *((model, data, ()) for data in ("sst2", "imdb") for model in TEXTS),
    ("audio-cnn", "fsdd", ()),
)
NAMES = [f"{model}:{data}" for model, data, _ in RUNS]


def train(model: str, data: str, seed: int, threads: int, words: Sequence[str]) -> dict[str, Any]:
    """The JSON document of one training. words: more of the command line."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "kernels"), os.environ.get("PYTHONPATH", "")])
    with tempfile.TemporaryDirectory() as folder:
        given = ["train", model, "--data", data, "--seed", str(seed), "--threads", str(threads)]
        out = subprocess.run(
            [sys.executable, "-m", "dlcli", *given, *words, "--json", "--out", f"{folder}/run"],
            env={**os.environ, "PYTHONPATH": path},
            stdout=subprocess.PIPE,
            check=True,
        )
    return json.loads(out.stdout)


@click.command()
@click.option("--seed", "seeds", multiple=True, type=int, default=(0, 1, 2))
@click.option("--threads", type=int, default=2, show_default=True)
@click.option("--only", multiple=True, type=click.Choice(NAMES), help="Leave out the others.")
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    help="Write the figures as JSON; those of other rows that are there already stay.",
)
def main(seeds: tuple[int, ...], threads: int, only: tuple[str, ...], out: Path | None) -> None:
    """Test accuracy of the default recipes."""
    rows = []
    for name, (model, data, words) in zip(NAMES, RUNS, strict=True):
        if only and name not in only:
            continue
        runs = [train(model, data, seed, threads, words) for seed in seeds]
        each = [run["test"]["accuracy"] for run in runs]
        row = {
            "model": model,
            "data": data,
            "epochs": runs[0]["epochs"],
            "seeds": list(seeds),
            "accuracy": each,
            "mean": sum(each) / len(each),
            "seconds": [run["seconds"] for run in runs],
            "threads": threads,
        }
        rows.append(row)
        figures = ", ".join(f"{a:.2%}" for a in each)
        click.echo(f"{model} on {data}: {row['mean']:.2%} ({figures})")
    if out is not None:
        out.write_text(json.dumps({"rows": merged(out, rows)}, indent=1) + "\n")


def merged(path: Path, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of the file, as far as they were not measured anew, and the new ones; as in RUNS."""
    before = json.loads(path.read_text())["rows"] if path.exists() else []
    by_name = {f"{row['model']}:{row['data']}": row for row in (*before, *rows)}
    return [by_name[name] for name in NAMES if name in by_name]


if __name__ == "__main__":
    main()
