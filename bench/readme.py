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
    """Milliseconds per training step, ours and PyTorch's best."""
    machine = result["machine"]
    lines = [
        f"{machine['cpu']}, {result['rows'][0]['threads']} threads, PyTorch {machine['torch']}.",
        "",
        "| model | batch | ours, ms | PyTorch, ms | ratio (95 %) | its best form |",
        "|---|---|---|---|---|---|",
    ]
    for row in result["rows"]:
        times, best = row["milliseconds"], row["best_of_torch"]
        low, high = row["interval"]
        lines.append(
            f"| `{row['model']}` | {row['batch']} | {times['dlcli']:.2f} | {times[best]:.2f} "
            f"| {row['ratio']:.2f} ({low:.2f}–{high:.2f}) | {best.removeprefix('torch ')} |"
        )
    return lines


def gpu() -> list[str]:
    """Shares of the vendors' speed and of the bandwidth, on every GPU that there are results of."""
    results = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))]
    return gpu_table.table([found for found in results if "gpu" in found])


def _of(name: str, write: Callable[[dict[str, Any]], list[str]]) -> Callable[[], list[str]]:
    return lambda: write(json.loads((RESULTS / f"{name}.json").read_text()))


TABLES: dict[str, Callable[[], list[str]]] = {
    "accuracy": _of("accuracy", accuracy),
    "models": _of("models", models),
    "gpu": gpu,
}


def fill(text: str) -> str:
    """README's text with every table written anew."""
    for name, write in TABLES.items():
        table = "\n".join(write())
        marked = re.compile(rf"(<!-- bench: {name} -->\n).*?(\n<!-- end -->)", re.DOTALL)
        if not marked.search(text):
            raise SystemExit(f"README.md has no table marked <!-- bench: {name} -->")
        text = marked.sub(lambda m, table=table: m[1] + table + m[2], text)
    return text


if __name__ == "__main__":
    readme = ROOT / "README.md"
    readme.write_text(fill(readme.read_text()))
