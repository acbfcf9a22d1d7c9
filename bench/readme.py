"""Writes the figures of bench/results/*.json into the tables of README.md, between their markers.

    python bench/readme.py

A table stands between `<!-- bench: NAME -->` and `<!-- end -->`; nothing else is touched.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gpu_table

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "bench" / "results"


def accuracy(result: dict[str, Any]) -> list[str]:
    """Test accuracy per model and dataset."""
    lines = ["| model | data | epochs | mean | each | training, s |", "|---|---|---|---|---|---|"]
    for row in result["rows"]:
        each = ", ".join(f"{100 * a:.2f}" for a in row["accuracy"])
        seconds = sorted(row["seconds"])[len(row["seconds"]) // 2]
        lines.append(
            f"| `{row['model']}` | {row['data']} | {row['epochs']} "
            f"| {100 * row['mean']:.2f} % | {each} | {seconds:.0f} |"
        )
    return lines


def models(result: dict[str, Any]) -> list[str]:
    """Milliseconds per step, ours and PyTorch's in its forms, and the ratios."""
    machine, first = result["machine"], result["rows"][0]
    lines = [
        f"{machine['cpu']}, {first['threads']} threads, PyTorch {machine['torch']}.",
        "",
        "| work | batch | ours, ms | installed, ms | ratio (95 %) | tuned, ms | ratio (95 %)"
        " | compiled, ms | ratio (95 %) |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in result["rows"]:
        cells = [f"`{row['work']}`", str(row["batch"]), f"{row['milliseconds']['dlcli']:.2f}"]
        for form in ("installed", "tuned", "compiled"):
            if form in row["ratios"]:
                value, low, high = row["ratios"][form]
                cells.append(f"{row['milliseconds'][form]:.2f}")
                cells.append(f"{value:.2f} ({low:.2f}–{high:.2f})")
            else:
                cells += ["–", "–"]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def processes(result: dict[str, Any]) -> list[str]:
    """Whole trainings: seconds and peak memory."""
    lines = ["| | seconds | peak MiB | ratio (95 %) |", "|---|---|---|---|"]
    names = {"dlcli": "`dlcli train`", "installed": "PyTorch, installed", "tuned": "PyTorch, tuned"}
    for key, name in names.items():
        row = result["rows"][key]
        lead = "{:.2f} ({:.2f}–{:.2f})".format(*row["ratio"]) if "ratio" in row else ""
        lines.append(f"| {name} | {row['seconds']:.2f} | {row['peak_mib']:.0f} | {lead} |")
    return lines


def start(result: dict[str, Any]) -> list[str]:
    """Seconds of short commands."""
    rows = [f"| {row['what']} | {row['seconds']:.2f} |" for row in result["rows"]]
    return ["| | seconds |", "|---|---|", *rows]


def gpu() -> list[str]:
    """Shares of the vendors' speed and of the bandwidth, on every GPU that there are results of."""
    results = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))]
    return gpu_table.table([found for found in results if "gpu" in found])


def _of(name: str, write: Callable[[dict[str, Any]], list[str]]) -> Callable[[], list[str]]:
    return lambda: write(json.loads((RESULTS / f"{name}.json").read_text()))


TABLES: dict[str, Callable[[], list[str]]] = {
    "accuracy": _of("accuracy", accuracy),
    "models": _of("models", models),
    "processes": _of("cli", processes),
    "start": _of("start", start),
    "gpu": gpu,
}


def fill(text: str) -> str:
    """README's text with every table written anew."""
    for name, write in TABLES.items():
        table = "\n".join(write())
        marked = re.compile(rf"(<!-- bench: {name} -->)\n.*?(<!-- end -->)", re.DOTALL)
        if not marked.search(text):
            raise SystemExit(f"README.md has no table marked <!-- bench: {name} -->")
        text = marked.sub(lambda m, table=table: f"{m[1]}\n{table}\n{m[2]}", text)
    return text


if __name__ == "__main__":
    readme = ROOT / "README.md"
    readme.write_text(fill(readme.read_text()))
