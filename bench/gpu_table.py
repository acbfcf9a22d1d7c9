"""README's table of GPU figures: each aim, and what was measured of it, or that nothing was.

The figures are those of `bench/gpu.py` in results/*.json.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]
LARGE = 256 << 20  # bytes: well past every cache
MEMORY_BOUND = {
    "pooling": ("maxpool2d", "maxpool2d_grad", "avgpool2d", "avgpool2d_grad"),
    "activations": ("act", "act_grad"),
    "softmax": ("softmax", "log_softmax", "softmax_grad", "log_softmax_grad"),
    "norms": ("batchnorm", "batchnorm_grad", "layernorm", "layernorm_grad"),
    "optimiser": ("sgd_step", "momentum_step", "rmsprop_step", "adam_step"),
}

STEP_AIMS = {"PyTorch called": 3, "PyTorch captured": 1}  # by how many times ours is faster


@dataclass(frozen=True)
class Aim:
    """At least `share` of the vendor's speed, or of the bandwidth, in these rows."""

    what: str
    share: float
    of: str
    rows: Callable[[Row], bool]

    def figure(self, row: Row) -> float | None:
        """The row's share, if it has one."""
        if self.of == "copy bandwidth":
            return row["roofline"]
        speedup = (row["vendor"] or {}).get("speedup")
        return speedup and speedup["value"]


def _matmul(row: Row, low: int, high: int, precision: str = "float32") -> bool:
    sizes = row["sizes"]
    square = {sizes.get("M"), sizes.get("N"), sizes.get("K")}
    return (
        row["op"] == "matmul"
        and row["precision"] == precision
        and len(square) == 1
        and low <= (square.pop() or 0) <= high
    )


def _aims() -> Iterable[Aim]:
    yield Aim("matmul float32, 2048³ to 8192³", 0.85, "cuBLAS", lambda r: _matmul(r, 2048, 8192))
    yield Aim("matmul float32, up to 512³", 1.00, "cuBLAS", lambda r: _matmul(r, 1, 512))
    yield Aim(
        "matmul bfloat16, 2048³ to 8192³", 0.75, "cuBLAS",
        lambda r: _matmul(r, 2048, 8192, "bfloat16"),
    )  # fmt: skip
    convolutions = ("conv2d", "conv2d_dgrad", "conv2d_wgrad")
    yield Aim(
        "convolutions of the models, float32", 0.60, "cuDNN",
        lambda r: r["op"] in convolutions and r["precision"] == "float32",
    )  # fmt: skip
    yield Aim(
        "first layer with bias, relu and pooling", 1.00, "cuDNN",
        lambda r: r["op"] == "conv2d_pool" and r["precision"] == "float32" and "×1 " in r["case"],
    )  # fmt: skip
    for name, ops in MEMORY_BOUND.items():
        yield Aim(
            f"{name}, 256 MB and more", 0.85, "copy bandwidth",
            lambda r, ops=ops: r["op"] in ops and r["bytes"] >= LARGE,
        )  # fmt: skip
    yield Aim(
        "LSTM sequence, hidden size up to 128", 1.00, "cuDNN",
        lambda r: r["op"] == "lstm_sequence" and "w=512×128" in r["case"],
    )  # fmt: skip


def table(results: Sequence[dict[str, Any]]) -> list[str]:
    """The lines: an aim per row, a GPU per column."""
    gpus = [found["gpu"] for found in results] or ["measured"]
    lines = [f"| kernels | aim | {' | '.join(gpus)} |", "|---|---|" + "---|" * len(gpus)]
    for aim in _aims():
        cells = [_cell(aim, found) for found in results] or ["not measured"]
        lines.append(f"| {aim.what} | {aim.share:.0%} of {aim.of} | {' | '.join(cells)} |")
    for other, times in STEP_AIMS.items():
        cells = [_step(other, found) for found in results] or ["not measured"]
        lines.append(
            f"| a training step of `cnn`, batch 128, as a graph | {times}× {other} |"
            f" {' | '.join(cells)} |"
        )
    return lines


def _step(other: str, found: dict[str, Any]) -> str:
    row = found.get("steps", {}).get("cnn:128")
    if row is None:
        return "not measured"
    value, low, high = row["ratios"][other]
    return f"{value:.2f} ({low:.2f}–{high:.2f}), {row['milliseconds']['dlcli']:.3f} ms"


def _cell(aim: Aim, found: dict[str, Any]) -> str:
    best: dict[tuple[str, str], float] = {}  # of the variants of an op, on each case
    for part in found.get("bench", {}).values():
        for row in (part.get("document") or {}).get("rows", ()):
            if row["ok"] and aim.rows(row) and (figure := aim.figure(row)):
                key = row["op"], row["case"]
                best[key] = max(best.get(key, 0.0), figure)
    if not best:
        return "not measured"
    return f"{min(best.values()):.0%} to {max(best.values()):.0%} in {len(best)} cases"
