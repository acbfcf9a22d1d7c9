"""Steps side by side: ours and PyTorch's, each in a process of its own, taking turns, medians.

    python bench/models.py [--work cnn:128 …] [--threads 2] [--compiled] [-o results/models.json]

A work is a model's name, "infer-" and one for its logits, or "resnet-convs", with the size of its
batch; "dcgan-clusters" has the clusters that it has by default, and PyTorch's has not. PyTorch
counts twice. *Installed*: as a user writes it, contiguous, plain Adam. *Tuned*: the fastest of its
memory formats and Adams, with denormals flushed to zero and freed memory kept by the allocator.
With --compiled also under torch.compile, tuned. A ratio above 1 means that ours is faster; every
ratio is of times of the same run.
"""

from __future__ import annotations

import json
import math
import os
import platform
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

import click
import numpy as np

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / "kernels")]

from dlcli_kernels.timing import Sample, ratio  # noqa: E402
from worker import FREE  # noqa: E402

WORKS = (
    *("cnn:32", "cnn:128", "cnn:512", "cnn-small:128", "cnn-small:512", "infer-cnn:128"),
    *("mlp:128", "lstm:32", "lstm:128", "text-lstm:32", "char-lm:50"),
    *("dcgan:64", "dcgan-clusters:64", "resnet-convs:32"),
)
SECONDS = 0.15  # that a turn takes at least
CALIBRATION = 3  # turns of each tuned form, of which the fastest goes on


class Runner:
    """A process that does steps when it is told to."""

    def __init__(self, asked: dict[str, Any]) -> None:
        tuned = asked.get("form", {}).get("tuned", False)
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "worker.py"), json.dumps(asked)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **(FREE if tuned else {})},
        )
        self.times: list[float] = []
        self.used: list[float] = []
        self.peak, self.many = 0.0, 1
        if self._answer() != "ready":
            raise click.ClickException(f"no step could be prepared of {asked}")

    def _answer(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def turn(self) -> float:
        """Seconds of a step, kept."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{self.many}\n")
        self.process.stdin.flush()
        seconds, used, self.peak = json.loads(self._answer())
        self.times.append(seconds)
        self.used.append(used)
        return float(seconds)

    def settle(self) -> None:
        """Chooses how many steps a turn has."""
        self.many = max(1, math.ceil(SECONDS / self.turn()))
        self.times, self.used = [], []

    def sample(self, clock: str) -> Sample:
        """Its times: the wall's, or the processor's."""
        return Sample(np.array(self.times if clock == "wall" else self.used))

    def end(self) -> None:
        """Ends the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def forms(work: str) -> list[dict[str, bool]]:
    """The tuned forms of PyTorch for a work."""
    images = work not in ("text-lstm", "char-lm", "lstm")
    learns = work != "resnet-convs" and not work.startswith("infer-")
    choices = product((False, True) if images else (False,), (False, True) if learns else (False,))
    return [{"tuned": True, "flush": True, "last": a, "fused": b} for a, b in choices]


def name_of(form: dict[str, bool]) -> str:
    """In words."""
    words = {"last": "channels last", "fused": "fused Adam", "compile": "compiled"}
    return ", ".join(word for key, word in words.items() if form.get(key)) or "contiguous, Adam"


def compare(
    work: str,
    batch: int,
    threads: int,
    repeats: int,
    clock: str,
    optimizer: str,
    compiled: bool,
    alone: bool,
) -> dict[str, Any]:
    """A row: milliseconds per step, and the ratios of PyTorch's median to ours, with intervals.

    compiled: PyTorch also under torch.compile. alone: ours also on one thread.
    """
    about = {"work": work, "batch": batch, "threads": threads, "optimizer": optimizer}
    ours = Runner({**about, "by": "ours"})
    installed = Runner({**about, "by": "torch", "form": {}})
    best, fastest = None, math.inf
    for form in forms(work):
        tried = Runner({**about, "by": "torch", "form": form})
        tried.settle()
        now = min(tried.turn() for _ in range(CALIBRATION))
        if now < fastest:
            if best is not None:
                best[1].end()
            best, fastest = (form, tried), now
        else:
            tried.end()
    assert best is not None
    form, tuned = best
    runners = {"dlcli": ours, "installed": installed, "tuned": tuned}
    if compiled:
        runners["compiled"] = Runner({**about, "by": "torch", "form": {**form, "compile": True}})
    if alone:
        runners["one thread"] = Runner({**about, "by": "ours", "threads": 1})
    for runner in runners.values():
        runner.settle()
    for _ in range(-(-repeats // 2)):
        for name in (*runners, *reversed(list(runners))):
            runners[name].turn()
    samples = {name: runner.sample(clock) for name, runner in runners.items()}
    row = {
        **about,
        "clock": clock,
        "milliseconds": {name: s.median * 1e3 for name, s in samples.items()},
        "spread": {name: s.iqr * 1e3 for name, s in samples.items()},
        "peak_mib": {name: runner.peak for name, runner in runners.items()},
        "tuned_form": name_of(form),
        "ratios": {},
    }
    for name in list(samples)[1:]:
        lead = ratio(samples[name], samples["dlcli"])
        row["ratios"][name] = [lead.value, lead.low, lead.high]
    for runner in runners.values():
        runner.end()
    return row


def machine() -> dict[str, object]:
    """Where it was measured."""
    import torch

    name = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines() if sys.platform == "linux" else []:
        if line.startswith("model name"):
            name = line.split(":", 1)[1].strip()
            break
    found = {"cpu": name, "python": platform.python_version(), "torch": torch.__version__}
    return {**found, "numpy": np.__version__}


def shown(row: dict[str, Any]) -> str:
    """A line of the table."""
    times = row["milliseconds"]
    cells = [f"`{row['work']}`", str(row["batch"]), f"{times['dlcli']:.2f}"]
    for name in ("installed", "tuned", "compiled"):
        if name in times:
            value, low, high = row["ratios"][name]
            cells += [f"{times[name]:.2f}", f"{value:.2f} ({low:.2f}–{high:.2f})"]
        else:
            cells += ["–", "–"]
    cells.append(row["tuned_form"])
    if "one thread" in times:
        value, low, high = row["ratios"]["one thread"]
        cells[-1] += (
            f"; one thread {times['one thread']:.2f} ms, {value:.2f} ({low:.2f}–{high:.2f})"
        )
    return "| " + " | ".join(cells) + " |"


@click.command()
@click.option("--work", "works", multiple=True, default=WORKS, help="NAME:BATCH.")
@click.option("--threads", type=int, default=2, show_default=True)
@click.option("--repeats", type=int, default=16, show_default=True, help="Turns of each.")
@click.option("--clock", type=click.Choice(["wall", "processor"]), default="wall")
@click.option("--optimizer", default="adam", show_default=True, help="Ours: adam or lazy-adam.")
@click.option("--compiled", is_flag=True, help="PyTorch also under torch.compile.")
@click.option("--alone", is_flag=True, help="Ours also on one thread; the ratio is shown last.")
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Write the figures as JSON.")
def main(works, threads, repeats, clock, optimizer, compiled, alone, out) -> None:
    """Steps of our models against PyTorch's. --clock processor: where other programs share the
    cores, with --threads 1.
    """
    click.echo(
        "| work | batch | ours, ms | installed | ratio (95 %) | tuned | ratio (95 %) | compiled |"
        " ratio (95 %) | tuned form |\n|---|---|---|---|---|---|---|---|---|---|"
    )
    rows = []
    for name in works:
        work, _, batch = name.partition(":")
        how = threads, repeats, clock, optimizer, compiled, alone
        rows.append(compare(work, int(batch), *how))
        click.echo(shown(rows[-1]))
        if out is not None:
            document = {"machine": machine(), "rows": rows}
            out.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
