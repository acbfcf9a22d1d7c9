"""Evaluating a classifier on a part of a dataset, and predicting."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dlcli.data.dataset import Split
from dlcli.data.loader import Inputs, Loader, as_inputs
from dlcli.engine import tape
from dlcli.engine.forward import Forward
from dlcli.engine.tensor import on_device
from dlcli.errors import CheckpointError, DataError
from dlcli.train import jsonfile, metrics
from dlcli.train.metrics import top_classes
from dlcli.train.protocol import Model
from dlcli.train.scores import Scores
from dlcli.train.task import Table

__all__ = ["Evaluation", "attention", "evaluate", "inference", "predict_proba", "top_classes"]

MOST_CLASSES = 20  # a larger confusion matrix is only drawn, not printed
MOST_SHARES = 1 << 26  # probabilities that are kept: 256 MiB
MOST_MISTAKES = 25  # that are listed, and drawn where samples are pictures
Transform = Callable[[Any], Inputs]  # an encoder of samples


@dataclass(frozen=True)
class Mistake:
    """A sample that is taken for another class: what the split calls it, and its position there;
    the names of the classes, and the probability of the one that it is taken for.
    """

    sample: str
    index: int
    true: str
    predicted: str
    probability: float


@dataclass(frozen=True)
class Evaluation:
    """The figures of a classifier on n samples of K classes.

    loss: mean cross-entropy. accuracy: share of correct classes. top_k: {k: share of samples
    whose class is among the k most probable}. confusion: (K, K) int64, rows are true classes,
    columns predicted ones. per_class: {"precision", "recall", "f1"} (K,) float64, {"support",
    "predicted"} (K,) int64. macro, weighted: their means over classes, plain and by support.
    undefined: per figure the classes for which it is 0 / 0, which counts as 0. scores: what the
    probabilities are worth, None where the model gives none (NaN), or more than 67 million of them.
    mistakes: the surest ones, the surest first. pictures: of their samples, (H, W, C) uint8, where
    these are pictures. rarest: the class of which there are fewest.
    """

    samples: int
    classes: list[str]
    loss: float
    accuracy: float
    top_k: dict[int, float]
    confusion: np.ndarray
    per_class: dict[str, np.ndarray]
    macro: dict[str, float]
    weighted: dict[str, float]
    undefined: dict[str, list[str]]
    scores: Scores | None = None
    mistakes: Sequence[Mistake] = ()
    pictures: Sequence[np.ndarray] = ()
    rarest: int = 0

    @property
    def figures(self) -> dict[str, float]:
        """ "loss", "accuracy", the means over classes: "macro_f1"; "rare_f1" of the rarest class,
        those of `Scores`, and of two classes "pr_auc", the average precision of the rarer one.
        """
        means = {"macro": self.macro, "weighted": self.weighted}
        every = {f"{m}_{k}": v for m, found in means.items() for k, v in found.items()}
        every["rare_f1"] = float(self.per_class["f1"][self.rarest])
        if self.scores and len(self.classes) == 2:
            area = self.scores.precision_recall[self.rarest].area
            every |= {"pr_auc": area} if np.isfinite(area) else {}
        scores = self.scores.figures if self.scores else {}
        return {"loss": self.loss, "accuracy": self.accuracy, **every, **scores}

    def _rare(self, many: str) -> str:
        """A line on the rarest class where it is less than half as frequent as if all were equal;
        "" elsewhere.
        """
        n = int(self.per_class["support"][self.rarest])
        if 2 * n * len(self.classes) >= self.samples:
            return ""
        found = self.figures
        area = f", PR-AUC {found['pr_auc']:.4f}" if "pr_auc" in found else ""
        name, f1 = self.classes[self.rarest], found["rare_f1"]
        return f"rarest    {name}, {n / self.samples:.1%} of the {many}: F1 {f1:.4f}{area}\n"

    def shown(self, many: str) -> list[str | Table]:
        """The figures, a table of the classes, and the confusion matrix if it is small enough."""
        names = ("precision", "recall", "f1")
        rows: list[tuple[Any, ...]] = [
            (name, *(f"{self.per_class[f][i]:.4f}" for f in names), self.per_class["support"][i])
            for i, name in enumerate(self.classes)
        ]
        for label, mean in (("macro mean", self.macro), ("weighted mean", self.weighted)):
            rows.append((label, *(f"{mean[f]:.4f}" for f in names), self.samples))
        blocks: list[str | Table] = [
            f"loss      {self.loss:.4f}\naccuracy  {self.accuracy:.2%}\n"
            f"{self._sureness()}{self._rare(many)}",
            Table(("class", *names, many), rows),
        ]
        blocks += [
            f"{figure} is 0/0, counted as 0, for {', '.join(classes)}"
            for figure, classes in self.undefined.items()
            if classes
        ]
        if len(self.classes) <= MOST_CLASSES:
            matrix = [(name, *self.confusion[i]) for i, name in enumerate(self.classes)]
            blocks += ["", Table(("true \\ predicted", *self.classes), matrix)]
        return blocks

    def _sureness(self) -> str:
        found = self.figures
        lines = {"auc": ("macro_auc", "area under ROC, the mean of the classes against the rest")}
        lines["ece"] = ("ece", "by how much confidence and accuracy differ, on average")
        known = [(name, found[key], what) for name, (key, what) in lines.items() if key in found]
        return "".join(f"{name:<8}  {value:.4f}  {what}\n" for name, value, what in known)

    def draw(self, plots: Any, folder: Path, words: Sequence[str], title: str) -> list[Path]:
        """The confusion matrix; ROC with precision and recall, calibration, and the surest mistakes
        where there are such.
        """

        def place(name: str) -> Path:
            return folder / f"{'-'.join((name, *words))}.png"

        paths = [place("confusion")]
        plots.confusion(self.confusion, self.classes, paths[0], title)
        if self.scores:
            paths += [place("roc"), place("calibration")]
            plots.roc(self.scores, self.classes, paths[1], title)
            plots.calibration(self.scores.calibration, paths[2], title)
        mistakes = place("mistakes")
        if self.pictures:
            plots.mistakes(self.pictures, self.mistakes, mistakes, title)
            paths.append(mistakes)
        else:
            mistakes.unlink(missing_ok=True)  # of an earlier model, which made some
        return paths

    def to_json(self) -> dict[str, Any]:
        """Plain values, "loss" and "accuracy" at the top; a figure that is not finite is None.

        per_class is a list of {"class", "precision", "recall", "f1", "support", "predicted"}.
        """
        return jsonfile.plain(
            {
                "loss": self.loss,
                "accuracy": self.accuracy,
                "samples": self.samples,
                "top_k": self.top_k,
                "rarest": {
                    "class": self.classes[self.rarest],
                    "f1": self.per_class["f1"][self.rarest],
                    "pr_auc": self.figures.get("pr_auc"),
                },
                "macro": self.macro,
                "weighted": self.weighted,
                "per_class": [
                    {"class": name, **{key: values[i] for key, values in self.per_class.items()}}
                    for i, name in enumerate(self.classes)
                ],
                "confusion": self.confusion,
                "classes": self.classes,
                "undefined": self.undefined,
                "scores": self.scores.figures if self.scores else None,
                "mistakes": [asdict(mistake) for mistake in self.mistakes],
            }
        )


@contextmanager
def inference(model: Model) -> Iterator[None]:
    """Evaluation mode without gradients; training mode afterwards."""
    model.eval()
    try:
        with tape.no_grad():
            yield
    finally:
        model.train()


def evaluate(
    model: Model,
    split: Split,
    normalize: Transform,
    *,
    classes: Sequence[str],
    batch_size: int = 256,
    top_k: Sequence[int] = (1, 5),
    workers: int = 1,
    on_batch: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """The figures of `model` on `split`, in evaluation mode and without gradients.

    on_batch(done, total) is called after each batch, in samples. A k above the number of classes
    is left out. DataError: the split is empty or a label is not one of `classes`.
    CheckpointError: the model has another number of classes.
    """
    n, k = len(split), len(classes)
    if not n:
        raise DataError("there is nothing to evaluate", why="this part of the data is empty")
    if split.labels.min() < 0 or split.labels.max() >= k:
        raise DataError(
            "the labels do not fit the model",
            why=f"they go from {split.labels.min()} to {split.labels.max()}, for {k} classes",
        )
    ks = sorted({t for t in top_k if t <= k} | {1})
    total = metrics.Sums()
    shares = np.empty((n, k), np.float32) if n * k <= MOST_SHARES else None
    confusion = np.zeros((k, k), dtype=np.int64)
    rarest = int(np.argmin(np.bincount(split.labels, minlength=k)))
    loader = Loader(split, normalize, batch_size, workers=workers)
    forward = Forward(model)
    with inference(model), closing(loader.epoch(0)) as batches:
        for batch in batches:
            logits = _logits(forward(*batch.inputs)[0], k)
            hits = metrics.top_k_hits(logits, batch.y, ks)
            if shares is not None:
                shares[batch.indices] = np.exp(metrics.log_softmax(logits))
            loss = metrics.cross_entropy(logits, batch.y).sum()
            total.add({"loss": loss, **{f"top {t}": h for t, h in hits.items()}}, len(batch.y))
            confusion += metrics.confusion_matrix(batch.y, logits.argmax(axis=1), k)
            if on_batch:
                on_batch(total.samples, n)
    means = total.means()
    figures, undefined = metrics.per_class(confusion)
    known = shares is not None and bool(np.isfinite(shares).all())
    scores = Scores(shares, split.labels) if known else None
    return Evaluation(
        samples=n,
        classes=list(classes),
        loss=means["loss"],
        accuracy=float(np.trace(confusion) / n),
        top_k={t: means[f"top {t}"] for t in ks},
        confusion=confusion,
        per_class=figures,
        macro=metrics.averages(figures, None),
        weighted=metrics.averages(figures, figures["support"]),
        undefined={
            name: [c for c, nothing in zip(classes, where, strict=True) if nothing]
            for name, where in undefined.items()
            if where.any()
        },
        scores=scores,
        mistakes=_mistakes(scores, split, classes) if scores else (),
        rarest=rarest,
    )


def _mistakes(scores: Scores, split: Split, classes: Sequence[str]) -> list[Mistake]:
    return [
        Mistake(
            sample=split.id(i),
            index=i,
            true=classes[split.labels[i]],
            predicted=classes[scores.predicted[i]],
            probability=float(scores.shares[i].max()),
        )
        for i in scores.mistakes(MOST_MISTAKES).tolist()
    ]


def predict_proba(
    forward: Forward, samples: Any, normalize: Transform, *, batch_size: int = 256
) -> np.ndarray:
    """Class probabilities (n, K) float64 of samples, as a split gives them; each row sums to 1.

    A row whose logits are not finite is NaN. ValueError: there are no samples.
    """
    if not len(samples):
        raise ValueError("no samples, and so no number of classes")
    parts = []
    with inference(forward.model):
        for start in range(0, len(samples), batch_size):
            inputs = as_inputs(normalize(samples[start : start + batch_size]))
            parts.append(np.exp(metrics.log_softmax(_logits(forward(*inputs)[0]))))
    return np.concatenate(parts)


def attention(model: Any, samples: Any, encode: Transform) -> np.ndarray:
    """How much each part of a sample weighs, (n, T): what `model.explain` gives for one batch."""
    inputs = as_inputs(encode(samples))
    with inference(model):
        weights: np.ndarray = model.explain(*[on_device(array) for array in inputs]).numpy()
    return weights


def _logits(logits: np.ndarray, classes: int | None = None) -> np.ndarray:
    """(B, K). CheckpointError: the model's output is not one score per class."""
    if logits.ndim != 2 or (classes is not None and logits.shape[1] != classes):
        raise CheckpointError(
            "the model does not fit the data",
            why=f"its output has shape {list(logits.shape)}, for {classes} classes",
        )
    return logits
