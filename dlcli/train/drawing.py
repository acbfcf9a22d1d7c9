"""The task of making images that look like those of a dataset."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from dlcli.data.codes import codes
from dlcli.data.pixels import to_pixels
from dlcli.errors import NonFiniteError, UsageError
from dlcli.train import drawn, likeness
from dlcli.train.drawn import FRECHET, JUDGED, Evaluation
from dlcli.train.evaluate import inference
from dlcli.train.gallery import Gallery
from dlcli.train.judge import Judge
from dlcli.train.task import Trained

SURE = 0.95  # of a discriminator that has won
COLLAPSED = 0.5  # of the distance that real images have from each other


class Drawing:
    """See `task.Task`; `generator` is one of `task.Generator`."""

    monitor = "val_loss"
    least = ("diversity", "nearest", "novelty", *(name for name in JUDGED if name != FRECHET))
    most = ("loss", "rmse", "reconstruction", "kl", FRECHET)

    def __init__(self) -> None:
        self.figures = {"d_real": ".2f", "d_fake": ".2f", "diversity": ".2f"}
        self.figures |= {"reconstruction": ".2f", "kl": ".2f", "rmse": ".4f"}
        self.options: dict[str, Any] = {}
        self.measured_by: dict[str, Any] = {"samples": 1_000, "judge": None}
        self.needs = dict.fromkeys(JUDGED, "judge")
        self.generator = Painter()

    def evaluate(
        self,
        trained: Trained,
        dataset: Any,
        part: str,
        *,
        batch_size: int,
        on_batch: Callable[[int, int], None] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Evaluation:
        """The losses of a part's images and of as many new ones; with options, how like real ones
        new ones are. UsageError: the judge does not know such images.
        """
        if options is None:
            return drawn.losses(trained, dataset, part, batch_size=batch_size, on_batch=on_batch)
        judge = None if options["judge"] is None else Judge(options["judge"])
        if judge is not None:
            judge.check(trained)
        return drawn.evaluate(
            trained,
            dataset,
            part,
            batch_size=batch_size,
            on_batch=on_batch,
            samples=options["samples"],
            judge=judge,
        )

    def predicts(self, model: Any) -> bool:
        """Whether it has codes of images."""
        return hasattr(model, "recode")

    def predict(
        self, trained: Trained, samples: list[Any], options: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """ "code", a list of numbers, "rmse", how far the image is from what is made of the code
        (the root of the mean square, black and white 1 apart), and by a conditional model the
        "class" by which it is the most probable. UsageError: the model only draws.
        """
        if not self.predicts(trained.model):
            what = f"{trained.info['name']} cannot predict"
            why = "it makes images, and says nothing of one"
            raise UsageError(what, why=why, hint="dlcli generate")
        pixels = trained.kind.stack(samples)
        found, images, labels = drawn.recoded(trained, pixels)
        away = likeness.rmse(pixels, images)
        lines = [
            {"code": code.tolist(), "rmse": float(far)}
            for code, far in zip(found, away, strict=True)
        ]
        if labels is not None:
            for line, label in zip(lines, labels, strict=True):
                line["class"] = trained.classes[label]
        return lines

    def watcher(self, run: Any, model: Any, dataset: Any, warn: Callable[[str], None]) -> Gallery:
        """Who draws samples while it is trained, and says when it goes wrong."""
        return Gallery(run, model, dataset.classes, lambda r: [warn(line) for line in remarks(r)])


def remarks(record: Mapping[str, Any]) -> list[str]:
    """What is wrong with the game, by a line of metrics.jsonl."""
    said = []
    real, fake = record.get("d_real"), record.get("d_fake")
    if real is not None and fake is not None and real - fake > SURE:
        said.append(
            f"the discriminator has won: it says {real:.2f} of real images and {fake:.2f} of"
            " generated ones, so that the generator learns little"
        )
    diversity = record.get("val_diversity")
    if diversity is not None and diversity < COLLAPSED and not record.get("partial"):
        said.append(
            f"the modes collapse: generated images lie {diversity:.2f} times as far from each other"
            " as real ones"
        )
    return said


class Painter:
    """New images."""

    makes, example = "image", "-n 64 -o grid.png"

    def __init__(self) -> None:
        self.options: dict[str, Any] = {"class": None, "interpolate": None}

    def check(self, trained: Trained, options: Mapping[str, Any]) -> list[str]:
        """What the model says of its images. UsageError: there is no such class, or none can be
        asked for.
        """
        self.label(trained, options)
        return list(getattr(trained.model, "notes", ()))

    def label(self, trained: Trained, options: Mapping[str, Any]) -> int | None:
        """The number of the class that is asked for, by its name."""
        name = options["class"]
        if name is None:
            return None
        if not trained.model.classes:
            why = "the model was trained without classes"
            hint = "train it with --conditional"
            raise UsageError("--class does not apply", why=why, hint=hint)
        if name not in trained.classes:
            raise UsageError(f"there is no class '{name}'", why=", ".join(trained.classes))
        return trained.classes.index(name)

    def generate(
        self, trained: Trained, options: Mapping[str, Any], *, seed: int, sample: int
    ) -> Iterator[np.ndarray]:
        """One image (H, W, C) uint8, or those from it to the next sample's, both ends among them.

        Without a class, a conditional model goes through all of them.
        """
        steps, model = options["interpolate"], trained.model
        numbers = range(sample, sample + 1) if steps is None else range(2 * sample, 2 * sample + 2)
        noise = codes(seed, numbers, model.dims)
        if steps is not None:
            noise = between(noise[0], noise[1], steps)
        label = self.label(trained, options)
        label = sample % max(model.classes, 1) if label is None else label
        with inference(model):
            made = model.paint(noise, np.full(len(noise), label))
        if not np.isfinite(made).all():
            raise NonFiniteError("the model's images are not numbers", why="NaN or infinite")
        yield from to_pixels(made)


def between(first: np.ndarray, last: np.ndarray, steps: int) -> np.ndarray:
    """`steps` codes from one to another along the sphere (White 2016): on a straight line they
    would be shorter than codes are.
    """
    share = np.linspace(0, 1, steps)[:, None]
    cosine = np.clip(first @ last / (np.linalg.norm(first) * np.linalg.norm(last)), -1, 1)
    angle = np.arccos(cosine)
    if np.sin(angle) < 1e-6:
        return ((1 - share) * first + share * last).astype(np.float32)
    found = np.sin((1 - share) * angle) * first + np.sin(share * angle) * last
    return (found / np.sin(angle)).astype(np.float32)


TASK = Drawing()
