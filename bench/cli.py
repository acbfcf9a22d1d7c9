"""Whole processes side by side: a training from the shell and the equivalent PyTorch script, wall
time and peak memory, taking turns.

    DLCLI_DATA=FOLDER python bench/cli.py [--repeats 6] [-o results/cli.json]

One epoch of MNIST with `cnn`, batch 128, from the start of the process to its end: data read,
trained, validated, saved, tested. PyTorch as installed, and tuned as in `models.py`. Caches are
warm: each runs once before it counts.
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

from dlcli_kernels.timing import Sample, ratio  # noqa: E402
from models import machine  # noqa: E402
from worker import FREE  # noqa: E402

TRAIN = ("train", "cnn", "--data", "mnist", "--epochs", "1", "--batch-size", "128", "--no-plots")


def timed(command: list[str], env: dict[str, str]) -> tuple[float, float]:
    """Seconds and peak MiB of a process. ClickException if it fails."""
    begun = time.perf_counter()
    process = subprocess.Popen(
        command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise click.ClickException(f"{' '.join(command)} failed:\n{said}")
    return time.perf_counter() - begun, used.ru_maxrss / 1024


@click.command()
@click.option("--threads", type=int, default=2, show_default=True)
@click.option("--repeats", type=int, default=6, show_default=True)
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Write the figures as JSON.")
def main(threads, repeats, out) -> None:
    """One epoch of MNIST from the shell against a PyTorch script."""
    data = Path(os.environ.get("DLCLI_DATA", ".")) / "mnist"
    if not data.is_dir():
        raise click.ClickException("DLCLI_DATA: the folder that holds mnist is needed")
    path = os.pathsep.join([str(HERE.parent), str(HERE.parent / "kernels")])
    env = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": str(threads)}
    with tempfile.TemporaryDirectory() as folder:
        numbers = iter(range(1 << 30))

        def ours() -> tuple[float, float]:
            place = ["--out", f"{folder}/run{next(numbers)}", "--threads", str(threads)]
            return timed([sys.executable, "-m", "dlcli", *TRAIN, *place], env)

        def theirs(*more: str) -> tuple[float, float]:
            script = [sys.executable, str(HERE / "mnist_torch.py"), str(data), f"{folder}/net.pt"]
            return timed([*script, *more], {**env, **(FREE if more else {})})

        runs = {"dlcli": ours, "installed": theirs, "tuned": lambda: theirs("--tuned")}
        for run in runs.values():
            run()
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
        for _ in range(-(-repeats // 2)):
            for name in (*runs, *reversed(list(runs))):
                found[name].append(runs[name]())
    rows = {}
    click.echo(
        "| | seconds | peak MiB | time, theirs over ours (95 %) | memory, ours over theirs |"
    )
    click.echo("|---|---|---|---|---|")
    samples = {name: Sample(np.array(v)[:, 0]) for name, v in found.items()}
    peaks = {name: float(np.median(np.array(v)[:, 1])) for name, v in found.items()}
    for name, sample in samples.items():
        row = {"seconds": sample.median, "spread": sample.iqr, "peak_mib": peaks[name]}
        line = f"| {name} | {sample.median:.2f} | {peaks[name]:.0f} |"
        if name != "dlcli":
            lead = ratio(sample, samples["dlcli"])
            row |= {"ratio": [lead.value, lead.low, lead.high]}
            row |= {"memory": peaks["dlcli"] / peaks[name]}
            line += f" {lead.value:.2f} ({lead.low:.2f}–{lead.high:.2f}) | {row['memory']:.2f} |"
        rows[name] = row
        click.echo(line)
    if out is not None:
        document = {"machine": machine(), "threads": threads, "repeats": repeats, "rows": rows}
        out.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
