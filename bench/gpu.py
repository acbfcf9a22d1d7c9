"""Everything that a GPU can show, in one call: verified, benchmarked, models trained.

    bash bench/gpu.sh                       all of it, into bench/results/<gpu>.json and README.md
    bash bench/gpu.sh --stage steps --minutes 4
    bash bench/gpu.sh --stage bench --family matmul --minutes 8

Each family of kernels runs in a process of its own, so that one that crashes spoils no other's
figures, and every result is written as soon as it is there: a machine that is lent for minutes is
used for minutes. A family whose verification fails is named and still benchmarked, where a kernel
that is wrong gets no time. What is not reached stays "not measured".
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "bench" / "results"
sys.path[:0] = [str(ROOT), str(ROOT / "kernels")]
STAGES = ("steps", "verify", "bench", "train")
PRECISIONS = {"matmul": ("float32", "tf32", "bfloat16"), "conv": ("float32", "tf32")}


class Report:
    """The results so far, in a file that is whole after every step."""

    def __init__(self, path: Path, gpu: str, minutes: float) -> None:
        self.path, self.end = path, time.monotonic() + 60 * minutes
        self.found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        self.found["gpu"] = gpu

    def left(self) -> float:
        """Seconds that are left."""
        return self.end - time.monotonic()

    def put(self, stage: str, key: str, value: Any) -> None:
        self.found.setdefault(stage, {})[key] = value
        whole = self.path.with_suffix(".partial")
        whole.write_text(json.dumps(self.found, indent=1) + "\n")
        os.replace(whole, self.path)


def dlcli(report: Report, *words: str) -> dict[str, Any]:
    """Runs a command with --json: its exit code, its document, the end of its messages."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "kernels"), os.environ.get("PYTHONPATH", "")])
    begun = time.monotonic()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "dlcli", *words, "--json"],
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            timeout=max(report.left(), 1),
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"exit": "out of time", "seconds": time.monotonic() - begun}
    try:
        document = json.loads(done.stdout)
    except ValueError:
        document = None
    return {
        "exit": done.returncode,
        "seconds": round(time.monotonic() - begun, 1),
        "document": document,
        "messages": done.stderr.strip().splitlines()[-6:],
    }


def families() -> dict[str, list[str]]:
    """The ops of each family that has CUDA kernels."""
    from dlcli_kernels import registry

    found: dict[str, list[str]] = {}
    for name, op in registry.ops().items():
        if registry.variants(op, "cuda"):
            found.setdefault(op.family, []).append(name)
    return found


def verify(report: Report, family: str, ops: list[str]) -> str:
    """Verifies a family's CUDA kernels over all cases; a line that says how it went."""
    result = dlcli(report, "kernels", "verify", *ops, "--device", "cuda", "--seed", "1")
    report.put("verify", family, result)
    results = (result["document"] or {}).get("results", []) if "document" in result else []
    return f"exit {result['exit']}, {len(results)} variants"


def bench(report: Report, family: str, ops: list[str]) -> str:
    """Benchmarks a family's CUDA kernels in every precision that it has."""
    said = []
    for precision in PRECISIONS.get(family, ("float32",)):
        words = ["--device", "cuda", "--precision", precision, "--budget", "0.5"]
        result = dlcli(report, "kernels", "bench", *ops, *words)
        report.put("bench", f"{family} {precision}", result)
        rows = (result.get("document") or {}).get("rows", [])
        refused = [
            f"{r['op']}/{r['variant']} [{r['case']}]: {r['reason']}" for r in rows if not r["ok"]
        ]
        said += [f"{precision}: exit {result['exit']}, {len(rows)} rows", *refused[:4]]
    return "; ".join(said)


STEPS = ("cnn:128", "cnn-small:128", "mlp:128", "lstm:128")


def steps(report: Report) -> str:
    """Times training steps beside PyTorch's, called and captured."""
    command = [sys.executable, str(ROOT / "bench" / "gpu_steps.py"), *STEPS]
    limit = max(report.left(), 1)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False)
    except subprocess.TimeoutExpired:
        return "out of time"
    if done.returncode:
        return f"exit {done.returncode}: {' / '.join(done.stderr.strip().splitlines()[-3:])}"
    for row in json.loads(done.stdout):
        report.put("steps", f"{row['work']}:{row['batch']}", row)
    return done.stdout.strip()


def train(report: Report, model: str, device: str) -> str:
    """Trains a model on MNIST, or on the digits where MNIST is not here."""
    data = "mnist" if os.environ.get("DLCLI_DATA") else "digits"
    with tempfile.TemporaryDirectory() as folder:
        words = ("train", model, "--data", data, "--device", device, "--seed", "0")
        result = dlcli(report, *words, "--out", f"{folder}/run")
    report.put("train", f"{model} {data} {device}", result)
    document = result.get("document") or {}
    test = document.get("test", {}).get("accuracy")
    return f"exit {result['exit']}, accuracy {test}, {document.get('seconds')} s"


@click.command()
@click.option("--stage", "stages", type=click.Choice(STAGES), multiple=True, default=STAGES)
@click.option("--family", "only", multiple=True, help="Only these families of kernels.")
@click.option("--minutes", type=float, default=25.0, show_default=True, help="Ends after so long.")
@click.option("-o", "--out", type=click.Path(path_type=Path), help="[default: results/<gpu>.json]")
def main(stages: tuple[str, ...], only: tuple[str, ...], minutes: float, out: Path | None) -> None:
    """Verifies, times and trains on the GPU of this machine."""
    from dlcli_kernels import cuda

    if why := cuda.problem():
        raise click.ClickException(f"nothing can be measured: {why}")
    facts = cuda.gpu().facts()
    name = str(facts["name"])
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    report = Report(out or RESULTS / f"{slug}.json", name, minutes)
    report.put("machine", "facts", facts)
    chosen = {f: ops for f, ops in families().items() if not only or f in only}
    if "steps" in stages:
        click.echo(f"steps: {steps(report)}")
    for stage, step in (("verify", verify), ("bench", bench)):
        for family, ops in chosen.items() if stage in stages else ():
            if report.left() > 0:
                click.echo(f"{stage} {family}: {step(report, family, ops)}")
    if "train" in stages:
        for model in ("cnn", "cnn-small", "mlp"):
            if report.left() > 0:
                click.echo(f"train {model}: {train(report, model, 'cuda')}")
    click.echo(f"wrote {report.path}")


if __name__ == "__main__":
    main()
