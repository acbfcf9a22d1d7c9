"""Test accuracy after the default recipe, chosen by the validation part alone, over seeds.

    DLCLI_DATA=… python bench/accuracy.py [-o bench/results/accuracy.json]

Each run is `dlcli train` in a process of its own; the test part is measured once, by the command.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import click

ROOT = Path(__file__).parents[1]
RUNS = (("cnn", "mnist"), ("cnn-small", "mnist"), ("cnn", "fashion-mnist"), ("cnn", "digits"))


def train(model: str, data: str, seed: int, threads: int) -> dict[str, object]:
    """The JSON document of one training."""
    code = "from dlcli.cli.main import main; main()"
    path = os.pathsep.join([str(ROOT), str(ROOT / "kernels"), os.environ.get("PYTHONPATH", "")])
    with tempfile.TemporaryDirectory() as folder:
        words = ["train", model, "--data", data, "--seed", str(seed), "--threads", str(threads)]
        out = subprocess.run(
            [sys.executable, "-c", code, *words, "--json", "--out", f"{folder}/run"],
            env={**os.environ, "PYTHONPATH": path},
            stdout=subprocess.PIPE,
            check=True,
        )
    return json.loads(out.stdout)


@click.command()
@click.option("--seed", "seeds", multiple=True, type=int, default=(0, 1, 2))
@click.option("--threads", type=int, default=2, show_default=True)
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Write the figures as JSON.")
def main(seeds: tuple[int, ...], threads: int, out: Path | None) -> None:
    """Test accuracy of the default recipes."""
    rows = []
    for model, data in RUNS:
        runs = [train(model, data, seed, threads) for seed in seeds]
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
        out.write_text(json.dumps({"rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
