"""What is shown while a model trains: a bar on a terminal, and a line per epoch everywhere."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from dlcli.cli import output

SMOOTH = 0.9  # weight of the past in the images per second that the bar shows


class Display:
    """An observer of the training loop that writes to stderr.

    figures: of the task besides the loss, with how they are written. labels: the figures that an
    epoch's line shows instead, by short names, where a task has too many.
    """

    def __init__(self, figures: Mapping[str, str], labels: Mapping[str, str] | None = None) -> None:
        self.figures, self.labels = figures, labels or {}
        self.info: dict[str, Any] = {}
        self.bar: output.Bar | None = None
        self.rate = 0.0
        self.last = 0.0

    def __enter__(self) -> Display:
        return self

    def __exit__(self, *exception: object) -> None:
        self._close()

    def _close(self) -> None:
        if self.bar is not None:
            self.bar.__exit__()
            self.bar = None

    def on_start(self, info: dict[str, Any]) -> None:
        """Says what is trained, and begins the bar."""
        self.info = info
        for warning in info["warnings"]:
            output.warn(warning)
        output.note(
            f"{info['train_images']:,} {info['samples']} to train on,"
            f" {info['val_images']:,} to validate,"
            f" {info['parameters']:,} parameters, {info['total_steps']:,} steps of"
            f" {info['batch_size']} {info['samples']}"
        )
        if info["step"]:
            output.note(f"goes on after step {info['step']:,}")
        self.bar = output.Bar(self._label(info["epoch"]), info["total_steps"])
        self.bar.__enter__()
        self.bar.update(info["step"])
        self.last = time.monotonic()

    def _label(self, epoch: int) -> str:
        return f"epoch {min(epoch + 1, self.info['epochs'])}/{self.info['epochs']}"

    def on_step(self, step: int, loss: float, lr: float, images: int) -> None:
        """Moves the bar."""
        if self.bar is None or not self.bar.visible:
            return
        now = time.monotonic()
        rate = images / max(now - self.last, 1e-9)
        self.last = now
        self.rate = SMOOTH * self.rate + (1 - SMOOTH) * rate if self.rate else rate
        self.bar.update(step, f"{self.rate:,.0f} {self.info['samples']}/s  loss {loss:.4f}")

    def on_epoch(self, record: dict[str, Any]) -> None:
        """A line with the figures of the epoch."""
        output.note(epoch_line(record, self.info["epochs"], self.figures, self.labels))
        if self.bar is not None:
            self.bar.relabel(self._label(record["epoch"]))
            self.last = time.monotonic()

    def on_checkpoint(self, which: str, step: int) -> None:
        """Said with -v only."""
        output.detail(f"saved checkpoint '{which}' after step {step:,}")

    def on_warning(self, line: str) -> None:
        """Said whatever is asked for."""
        output.warn(line)

    def on_stop(self, summary: Any) -> None:
        """Ends the bar."""
        self._close()


def epoch_line(
    record: dict[str, Any],
    epochs: int,
    figures: Mapping[str, str],
    labels: Mapping[str, str] | None = None,
) -> str:
    """The figures of a line of metrics.jsonl, or those that have labels; one that is not there is
    left out.
    """
    words = [f"epoch {record['epoch']:>{len(str(epochs))}}/{epochs}"]
    for name, label in (labels or {}).items():
        if record.get(name) is not None:
            words.append(f"{label} {record[name]:.2f}")
    for name, form in {} if labels else {"loss": ".4f", **figures}.items():
        val = "val" if name in record else f"val {name}"
        both = [(label, record.get(key)) for label, key in ((name, name), (val, f"val_{name}"))]
        known = [f"{label} {value:{form}}" for label, value in both if value is not None]
        if known:
            words.append(", ".join(known))
    if speed := record.get("timing", {}).get("images_per_second"):
        words.append(f"{speed:,.0f}/s")  # samples; in all a line of a terminal, 80 columns
    return "  ".join([*words, "(cut short)"] if record.get("partial") else words)
