"""What a model that draws is worth: its losses on a part of the data, and new images beside real
ones, by their pixels and in the eyes of a judge.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dlcli.data import mosaic
from dlcli.data.codes import codes
from dlcli.data.loader import Loader
from dlcli.data.pixels import to_pixels
from dlcli.errors import DataError, NonFiniteError
from dlcli.train import atomic, jsonfile, likeness
from dlcli.train.evaluate import inference
from dlcli.train.judge import Judge, Opinion
from dlcli.train.step import Stepper
from dlcli.train.task import Table, Trained

SEED = 0  # of the codes: `dlcli generate RUN --seed 0` makes the same images
MOST_REAL = 10_000  # images of the part
MOST_MATCHED = 1_000  # for precision and recall: distances between all of them
MOST_PRODUCTS = 2e11  # multiplications for the nearest neighbours
SHOWN, PAIRS = 64, 8  # images of the grid; the least new ones beside their neighbours
FRECHET = "cnn_frechet"
ROWS = {
    "diversity": "distance of two images, a share of real ones'",
    "nearest": "median distance to the nearest training image",
    "novelty": "the same as a share of real ones'",
    FRECHET: "Fréchet distance of the judge's features",
    "precision": "share that lies where real ones do",
    "recall": "share of real ones that lies where these do",
    "confident": "share of which the judge is sure to 0.9",
    "rarest_class": "share of the class that it sees least",
    "as_asked": "share in which it sees the class asked for",
}
JUDGED = (FRECHET, "precision", "recall", "confident", "rarest_class", "as_asked")


@dataclass(frozen=True)
class Evaluation:
    """figures: means over a part, and of the generated images, by name. real: what real images
    reach where that says more than the figure alone. about: what else a document tells. notes:
    lines for people. pictures: (H, W, C) uint8 to be drawn, by the file's name.
    """

    samples: int
    figures: Mapping[str, float]
    real: Mapping[str, float] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()
    pictures: Mapping[str, np.ndarray] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain values; what is not finite is None."""
        about = {**self.about, "real": dict(self.real)}
        return jsonfile.plain({**self.figures, "samples": self.samples, **about})

    def shown(self, many: str) -> list[str | Table]:
        """A line for each figure."""
        means = [(k, f"{v:.4f}") for k, v in self.figures.items() if k not in ROWS]
        rows = [
            (name, what, f"{self.figures[name]:.4f}", _number(self.real.get(name)))
            for name, what in ROWS.items()
            if name in self.figures
        ]
        header = ("figure", "of generated images", "generated", "real")
        new: list[str | Table] = ["", Table(header, rows, left=2)] if rows else []
        return [Table(("figure", "mean"), means), *new, *self.notes]

    def draw(self, plots: Any, folder: Path, words: Sequence[str], title: str) -> list[Path]:
        """Some of the images; and those that lie nearest to training images, beside these."""
        paths = []
        for name, picture in self.pictures.items():
            paths.append(folder / f"{'-'.join((name, *words))}.png")
            atomic.write_file(paths[-1], mosaic.png(picture))
        return paths


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def losses(
    trained: Trained,
    dataset: Any,
    part: str,
    *,
    batch_size: int,
    on_batch: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Those on a part's images, and what the model measures besides. DataError: it has none."""
    split, done = dataset.splits[part], 0
    if not len(split):
        raise DataError("there is nothing to evaluate", why="this part of the data is empty")

    def count() -> bool:
        nonlocal done
        done = min(done + batch_size, len(split))
        if on_batch is not None:
            on_batch(done, len(split))
        return False

    stepper = Stepper(trained.model, lambda phase: None)
    total = stepper.validate(Loader(split, trained.encode, batch_size), count)
    assert total is not None
    return Evaluation(len(split), total.means())


def evaluate(
    trained: Trained,
    dataset: Any,
    part: str,
    *,
    batch_size: int,
    on_batch: Callable[[int, int], None] | None,
    samples: int,
    judge: Judge | None,
) -> Evaluation:
    """The losses on a part, and figures of so many images of noise from N(0, 1), not truncated.

    DataError: the part has fewer than two images. NonFiniteError: images are no numbers.
    """
    split, train = dataset.splits[part], dataset.splits["train"]
    if len(split) < 2:
        why = "this part of the data has fewer than two images"
        raise DataError("there is nothing to evaluate", why=why)
    known = losses(trained, dataset, part, batch_size=batch_size, on_batch=on_batch)
    made, labels = paint(trained, samples, batch_size)
    rows = likeness.evenly(len(split), MOST_REAL)
    held = split.samples(rows)
    found = Findings(known.figures)
    found.pixels(made, held, train, copies=part == "train")
    if hasattr(trained.model, "recode"):
        some = held[likeness.evenly(len(held), PAIRS)]
        found.pictures["reconstructed"] = _above(some, recoded(trained, some)[1])
    if judge is not None:
        seen = train.samples(likeness.evenly(len(train), samples))
        looks = [judge.of(images, batch_size) for images in (made, held, seen)]
        asked = (labels, split.labels[rows]) if trained.model.classes else None
        found.judged(judge, *looks, asked=asked, classes=trained.classes)
    about = {"generated": samples, "seed": SEED, **found.about}
    return Evaluation(len(split), found.figures, found.real, about, found.notes, found.pictures)


def paint(trained: Trained, samples: int, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """The images of the codes 0 … samples − 1, (n, H, W, C) uint8, and the classes that were asked
    for, one after the other, (n,). NonFiniteError: they are no numbers.
    """
    model: Any = trained.model
    labels = np.arange(samples) % max(model.classes, 1)
    pictures = []
    with inference(model):
        for start in range(0, samples, batch_size):
            some = range(start, min(start + batch_size, samples))
            found = model.paint(codes(SEED, some, model.dims), labels[some.start : some.stop])
            if not np.isfinite(found).all():
                raise NonFiniteError("the model's images are not numbers", why="NaN or infinite")
            pictures.append(to_pixels(found))
    return np.concatenate(pictures), labels


def recoded(
    trained: Trained, pixels: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """The codes (n, D) of images (n, H, W, C) uint8, what is made of them, uint8 too, and the
    classes (n,) that they are taken for, if the model takes any. The model is one with `recode`.
    """
    model: Any = trained.model
    with inference(model):
        found, images, labels = model.recode(trained.encode(pixels))
    return found, to_pixels(images), labels


def _above(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """Images (n, H, W, C) in a row, each above another."""
    grid = mosaic.grid(np.concatenate([top, bottom]), len(top))
    return mosaic.enlarged(grid, min(top.shape[1:3]))


class Findings:
    """What is found out, step by step; see `Evaluation`."""

    def __init__(self, figures: Mapping[str, float]) -> None:
        self.figures, self.real = dict(figures), dict[str, float]()
        self.about: dict[str, Any] = {}
        self.notes: list[str] = []
        self.pictures: dict[str, np.ndarray] = {}

    def pixels(self, made: np.ndarray, held: np.ndarray, train: Any, *, copies: bool) -> None:
        """Some of the images, and how far they lie from each other and from the training part's,
        by their pixels. copies: the real ones are of the training part themselves.
        """
        side = min(made.shape[1:3])
        self.pictures["samples"] = mosaic.enlarged(mosaic.grid(made[:SHOWN]), side)
        some = held[likeness.evenly(len(held), len(made))]
        apart = likeness.spread(some)
        self.figures["diversity"] = likeness.spread(made) / apart if apart else 0.0
        self.real["diversity"] = 1.0
        work = (len(made) + len(some)) * made[0].size
        rows = likeness.evenly(len(train), max(int(MOST_PRODUCTS / work), 1))
        away, which = likeness.nearest(made, train, rows)
        self.figures["nearest"] = float(np.median(away))
        if not copies:
            self.real["nearest"] = float(np.median(likeness.nearest(some, train, rows)[0]))
            self.real["novelty"] = 1.0
            if self.real["nearest"]:
                self.figures["novelty"] = self.figures["nearest"] / self.real["nearest"]
        self.about["compared"] = len(rows)
        of = f"{len(rows):,} of {len(train):,}" if len(rows) < len(train) else f"{len(train):,}"
        self.notes.append(f"generated: {len(made):,}; nearest among {of} training images")
        order = np.argsort(away, kind="stable")[:PAIRS]
        self.pictures["nearest"] = _above(made[order], train.samples(which[order]))

    def judged(
        self,
        judge: Judge,
        made: Opinion,
        held: Opinion,
        seen: Opinion,
        *,
        asked: tuple[np.ndarray, np.ndarray] | None,
        classes: Sequence[str],
    ) -> None:
        """By the judge's opinion of generated images, of the part's, of the training part's.

        asked: the classes of the first two, where the model draws what is asked for.
        """
        for figures, opinion in ((self.figures, made), (self.real, seen)):
            figures[FRECHET] = likeness.frechet(held.features, opinion.features)
            features = [
                o.features[likeness.evenly(len(o.features), MOST_MATCHED)] for o in (held, opinion)
            ]
            figures["precision"], figures["recall"] = likeness.precision_recall(*features)
        for figures, opinion in ((self.figures, made), (self.real, held)):
            figures["confident"] = opinion.confident
            figures["rarest_class"] = float(opinion.classes.min())
        if asked is not None:
            self.figures["as_asked"], self.real["as_asked"] = (
                opinion.agrees(labels) for opinion, labels in zip((made, held), asked, strict=True)
            )
        shares = dict(zip(classes, made.classes.tolist(), strict=True))
        self.about |= {"judge": judge.name, "classes": shares}
        least = ", ".join(f"{name} {share:.1%}" for name, share in shares.items())
        self.notes += [
            "real: of cnn_frechet, precision and recall, as many training images instead",
            f"judge: {judge.name}; its features are not Inception's, so this is no FID",
            f"classes: {least}",
        ]
        images, features = min(len(made.features), len(held.features)), made.features.shape[1]
        if images <= features:
            self.notes.append(f"cnn_frechet is rough: {images:,} images, {features:,} features")
