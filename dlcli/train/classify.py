"""The task of telling classes apart: images, texts, sounds."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from dlcli.errors import UsageError
from dlcli.train import evaluate
from dlcli.train.evaluate import Evaluation
from dlcli.train.task import Trained

MEANS = [
    f"{mean}_{figure}" for mean in ("macro", "weighted") for figure in ("precision", "recall", "f1")
]


class Classify:
    """See `task.Task`."""

    monitor = "val_accuracy"
    balanced = "val_macro_f1"
    validated = ("macro_f1",)
    least = ("accuracy", *MEANS, "macro_auc", "macro_ap", "rare_f1", "pr_auc")
    most = ("loss", "ece")

    def __init__(self) -> None:
        self.figures = {"accuracy": ".2%"}
        self.options = {"top_k": 3, "explain": False}

    def evaluate(
        self,
        trained: Trained,
        dataset: Any,
        part: str,
        *,
        batch_size: int,
        on_batch: Callable[[int, int], None] | None = None,
    ) -> Evaluation:
        """Loss, accuracy, per class what becomes of it, and what the probabilities are worth."""
        split = dataset.splits[part]
        found = evaluate.evaluate(
            trained.model,
            split,
            trained.encode,
            classes=trained.classes,
            batch_size=batch_size,
            on_batch=on_batch,
        )
        if not found.mistakes or not hasattr(trained.kind, "pictures"):
            return found
        wrong = split.samples(np.array([mistake.index for mistake in found.mistakes]))
        return dataclasses.replace(found, pictures=trained.kind.pictures(wrong))

    def predict(
        self, trained: Trained, samples: list[Any], options: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """ "class" and "probability" of the most probable one, "top" with the next; with `explain`
        "weights": a list of [part, weight]; and what the encoder has to remark, such as that it
        knows no word of a text.
        """
        stacked = trained.kind.stack(samples)
        shares = evaluate.predict_proba(trained.planned(), stacked, trained.encode)
        best = evaluate.top_classes(shares, min(options["top_k"], len(trained.classes)))
        lines: list[dict[str, Any]] = []
        for share, order in zip(shares, best, strict=True):
            top = [{"class": trained.classes[i], "probability": float(share[i])} for i in order]
            lines.append({**top[0], "top": top})
        if remark := getattr(trained.encode, "remark", None):
            for line, sample in zip(lines, samples, strict=True):
                line.update(remark(sample))
        if options["explain"]:
            for line, weights in zip(lines, self._weights(trained, samples), strict=True):
                line["weights"] = weights
        return lines

    def _weights(self, trained: Trained, samples: list[Any]) -> list[list[list[Any]]]:
        if not hasattr(trained.model, "explain"):
            why = "it does not weigh the words of a text"
            raise UsageError(f"{trained.info['name']} cannot explain itself", why=why)
        weights = evaluate.attention(trained.model, trained.kind.stack(samples), trained.encode)
        found = []
        for sample, row in zip(samples, weights, strict=True):
            parts = trained.kind.parts(sample, trained.encode)
            found.append([[p, float(w)] for p, w in zip(parts, row[: len(parts)], strict=True)])
        return found


TASK = Classify()
