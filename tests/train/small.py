"""A dataset and two models that train in milliseconds, with everything that a resume must keep.

The classifier has batch norm (running statistics) and dropout (a random stream); the pair has two
phases that update in turn, as a GAN's do. Run as a script it trains: for tests that kill.
"""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from dlcli.data.dataset import ArraySplit, Dataset, fingerprint
from dlcli.data.text import TextSplit
from dlcli.data.text_kind import KIND
from dlcli.engine.tensor import Tensor, on_device
from dlcli.nn.dropout import Dropout
from dlcli.nn.linear import Flatten, Linear
from dlcli.nn.losses import cross_entropy
from dlcli.nn.module import Module
from dlcli.nn.norm import BatchNorm
from dlcli.train import protocol
from dlcli.train.loop import Trainer
from dlcli.train.recipe import Recipe
from dlcli.train.run import RunDir

CLASSES = ["left", "right", "none"]


def dataset(seed: int = 0, val: int = 20) -> Dataset:
    """43 training images of 4×4×1 that are brighter on one side or on none."""
    rng = np.random.default_rng(seed)
    splits: dict[str, Any] = {}
    for name, n in (("train", 43), ("val", val), ("test", 20)):
        labels = np.arange(n) % 3
        pixels = rng.integers(0, 120, (n, 4, 4, 1))
        pixels[labels == 0, :, :2] += 90
        pixels[labels == 1, :, 2:] += 90
        splits[name] = ArraySplit(name, pixels.astype(np.uint8), labels)
    shape = (4, 4, 1)
    return Dataset("sides", CLASSES, shape, splits, {}, fingerprint(CLASSES, shape, splits), "here")


def texts() -> Dataset:
    """43 training texts of 1 to 9 words, of which a word names the class."""
    rng = np.random.default_rng(0)
    splits: dict[str, Any] = {}
    for name, n in (("train", 43), ("val", 20), ("test", 20)):
        labels = np.arange(n) % 3
        rows = [["very", "film", CLASSES[i], "a"][: rng.integers(1, 5)] * 2 for i in labels]
        words = [" ".join([*row, CLASSES[i]]) for row, i in zip(rows, labels, strict=True)]
        splits[name] = TextSplit(name, words, labels)
    shape = KIND.shape("words", (16, 100), splits["train"], {})
    prints = fingerprint(CLASSES, shape, splits)
    return Dataset("words", CLASSES, shape, splits, {}, prints, "here", KIND)


class Classifier(Module):
    """Dense 8, batch norm, dropout, dense 3."""

    def __init__(self, seed: int = 0) -> None:
        self.flatten = Flatten()
        self.hidden = Linear(16, 8, act="tanh")
        self.norm = BatchNorm(8)
        self.dropout = Dropout(0.2)
        self.out = Linear(8, 3)
        self.initialize(seed)
        self.spoil_at = -1  # the number of the training batch whose loss becomes NaN
        self.batches = 0

    def forward(self, *inputs: Tensor) -> Tensor:
        x = self.hidden(self.flatten(inputs[0]))
        return self.out(self.dropout(self.norm(x)))

    def phases(self) -> list[protocol.Phase]:
        return [SimpleNamespace(name="main", parameters=self.named_parameters(), loss=self.loss)]

    def loss(self, batch: protocol.Batch) -> tuple[Tensor, dict[str, Tensor]]:
        x = batch.x
        if self.training:
            self.batches += 1
            if self.batches == self.spoil_at:
                x = x * np.float32("nan")
        logits = self.forward(on_device(x))
        return cross_entropy(logits, on_device(batch.y)), {"logits": logits}

    def measure(self, outputs: dict[str, Tensor], batch: protocol.Batch) -> dict[str, float]:
        predicted = outputs["logits"].numpy().argmax(axis=1)
        return {"correct": float((predicted == batch.y).sum())}


class Pair(Classifier):
    """Two phases: the first moves the hidden layer, the second the output."""

    def phases(self) -> list[protocol.Phase]:
        parameters = self.named_parameters()
        first = {k: v for k, v in parameters.items() if not k.startswith("out.")}
        second = {k: v for k, v in parameters.items() if k.startswith("out.")}
        return [
            SimpleNamespace(name="hidden", parameters=first, loss=self.loss),
            SimpleNamespace(name="output", parameters=second, loss=self.loss),
        ]

    def measure(self, outputs: dict[str, Tensor], batch: protocol.Batch) -> dict[str, float]:
        return {}


def recipe(**changes: Any) -> Recipe:
    """Three epochs of 6 steps, the last of 3 images."""
    return Recipe(**{"epochs": 3, "batch_size": 8, "lr": 0.01, "warmup": 2, **changes})


def trainer(
    path: Path,
    *,
    model: Module | None = None,
    data: Dataset | None = None,
    resume: Any = None,
    observer: Any = None,
    **changes: Any,
) -> Trainer:
    """A trainer in a new run at `path`, or in the one that is there to go on with `resume`."""
    if path.exists():
        run = RunDir.open(path)
    else:
        run = RunDir.create("small", "sides", out=path)
        run.write_config({"model": {"name": "small"}})
    return Trainer(
        model or Classifier(),
        data or dataset(),
        recipe(**changes),
        run,
        model_info={"name": "small", "config": {}},
        observer=observer,
        resume=resume,
    )


class Slow(protocol.Quiet):
    """Says when it started and takes its time with each step, so that it can be interrupted."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def on_step(self, step: int, loss: float, lr: float, images: int) -> None:
        print(f"step {step}", flush=True)
        time.sleep(self.seconds)


def main(path: str, epochs: str, seconds: str) -> int:
    """Trains at `path`, going on if there is a checkpoint; the exit code."""
    from dlcli.errors import CheckpointError, DlcliError

    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it
    folder, resume = Path(path), None
    if folder.exists():
        try:
            resume = RunDir.open(folder).load("last", fallback=True)
        except CheckpointError:
            resume = None  # killed before the first checkpoint
    try:
        made = trainer(folder, resume=resume, observer=Slow(float(seconds)), epochs=int(epochs))
        made.fit()
    except DlcliError as error:
        print(*error.lines(), sep="\n", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
