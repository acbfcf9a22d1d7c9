"""The task of repainting pictures as pictures of another kind: how far from the truth they are,
where it is known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from dlcli.data.pixels import to_pixels
from dlcli.errors import DataError, NonFiniteError, UsageError
from dlcli.train import drawn
from dlcli.train.drawn import Evaluation
from dlcli.train.likeness import evenly
from dlcli.train.task import Trained
from dlcli.train.triples import Rehearsal, grid, paint, triples

MOST_MEDIAN = 1_000  # training pictures of which the median is taken
LEVELS = 127.5  # of a pixel, for a distance of 1 of −1 to 1


class Repainting:
    """See `task.Task`; `generator` is one of `task.Generator`."""

    monitor = "val_l1"
    least = ("improvement",)
    most = ("loss", "l1", "of_identity", "cycle")

    def __init__(self) -> None:
        self.figures = {"l1": ".2f", "cycle": ".2f"}
        self.options: dict[str, Any] = {}
        self.generator = Painter()

    def evaluate(
        self,
        trained: Trained,
        dataset: Any,
        part: str,
        *,
        batch_size: int,
        on_batch: Callable[[int, int], None] | None = None,
    ) -> Evaluation:
        """The losses, and where pairs are known how far repainted pictures are from the truth."""
        found = drawn.losses(trained, dataset, part, batch_size=batch_size, on_batch=on_batch)
        split = dataset.splits[part]
        pictures = {"triples": grid(triples(trained.model, trained.encode, split))}
        if not split.paired:
            notes = ["no pairs are known, so nothing can be said of how right the pictures are"]
            return replace(found, notes=notes, pictures=pictures)
        figures, ways = compare(trained, split, dataset.splits["train"], batch_size)
        notes = [
            "",
            f"l1, in levels of 255: that of the pixel-wise median training picture is"
            f" {figures['median_l1']:.2f}, of the input itself {figures['identity_l1']:.2f}",
        ]
        both = {**found.figures, **figures}
        return replace(found, figures=both, about={"ways": ways}, notes=notes, pictures=pictures)

    def predicts(self, model: Any) -> bool:
        """No: it makes pictures."""
        return False

    def predict(
        self, trained: Trained, samples: list[Any], options: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """UsageError: it makes pictures and says nothing of them."""
        why = "it makes pictures, and says nothing of one"
        hint = "dlcli generate RUN --input PICTURE -o out.png"
        raise UsageError(f"{trained.info['name']} cannot predict", why=why, hint=hint)

    def watcher(self, run: Any, model: Any, dataset: Any, warn: Callable[[str], None]) -> Rehearsal:
        """Who repaints held-out pictures while it is trained."""
        return Rehearsal(run, model, dataset)


def compare(
    trained: Trained, split: Any, train: Any, batch_size: int
) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """Mean absolute differences from the truth, in levels of 255, and what follows from them; means
    over the ways that the model knows, and each by itself.

    l1: of what the model makes. median_l1: of the pixel-wise median of the training pictures of
    that side. identity_l1: of what the model is given. improvement: 1 − l1 / median_l1.
    of_identity: l1 / identity_l1, infinite where there is nothing to do.
    """
    ways: dict[str, dict[str, float]] = {}
    for way, (given, wanted) in trained.model.ways.items():
        side = train.sides[wanted]
        median = np.median(side.samples(evenly(len(side), MOST_MEDIAN)), axis=0)
        sums = dict.fromkeys(("l1", "median_l1", "identity_l1"), 0.0)
        for start in range(0, len(split), batch_size):
            rows = np.arange(start, min(start + batch_size, len(split)))
            both = split.samples(rows)
            x, truth = both[:, given], both[:, wanted].astype(np.float64)
            made = (paint(trained.model, trained.encode(x), way).astype(np.float64) + 1) * LEVELS
            for name, other in zip(sums, (made, median, x), strict=True):
                sums[name] += float(np.abs(other - truth).mean()) * len(rows) / len(split)
        ways[way] = sums
    figures = {k: sum(w[k] for w in ways.values()) / len(ways) for k in next(iter(ways.values()))}
    l1, median_l1, identity = figures.values()
    figures["improvement"] = 1 - l1 / median_l1 if median_l1 else 0.0
    figures["of_identity"] = l1 / identity if identity else float("inf")
    return figures, ways


class Painter:
    """A picture repainted."""

    makes, example = "image", "--input PICTURE -o out.png"

    def __init__(self) -> None:
        self.options: dict[str, Any] = {"input": None, "direction": None}

    def check(self, trained: Trained, options: Mapping[str, Any]) -> list[str]:
        """UsageError: no picture is given, or the model does not know that direction."""
        if options["input"] is None:
            why = f"{trained.info['name']} repaints pictures"
            raise UsageError("which picture?", why=why, hint="add --input photo.jpg")
        self.way(trained, options)
        return []

    def way(self, trained: Trained, options: Mapping[str, Any]) -> str:
        """The way that is asked for, or the first that the model knows."""
        ways: list[str] = list(trained.model.ways)
        asked = options["direction"]
        if asked is None:
            return ways[0]
        if len(ways) < 2:
            why = "the model knows one direction, the one that it was trained for"
            raise UsageError("--direction does not apply", why=why)
        if asked not in ways:
            raise UsageError(f"there is no direction '{asked}'", why=f"there is {', '.join(ways)}")
        return asked

    def generate(
        self, trained: Trained, options: Mapping[str, Any], *, seed: int, sample: int
    ) -> Iterator[np.ndarray]:
        """The picture, (H, W, C) uint8, whatever the seed and the number. DataError: the input is
        none, or several.
        """
        name = str(options["input"])
        found = [item for batch in trained.kind.inputs([name], trained.shape) for item in batch]
        if len(found) != 1:
            raise DataError(f"{name}: holds several pictures", why="one is repainted at a time")
        if found[0].error:
            raise DataError(f"{name}: {found[0].error}")
        x = trained.encode(trained.kind.stack([found[0].sample]))
        made = paint(trained.model, x, self.way(trained, options))
        if not np.isfinite(made).all():
            raise NonFiniteError("the model's pictures are not numbers", why="NaN or infinite")
        yield from to_pixels(made)


TASK = Repainting()
