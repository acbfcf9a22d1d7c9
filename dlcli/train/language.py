"""The task of learning a language: how well what comes next in a text is foretold, and new text."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dlcli.data.stream import Stripes
from dlcli.errors import DataError, UsageError
from dlcli.train import jsonfile, language_model
from dlcli.train.metrics import MOST_NATS
from dlcli.train.ngrams import AT_ONCE, Counts
from dlcli.train.task import Table, Trained

SHOWN = 5  # unknown symbols that are named


@dataclass(frozen=True)
class Evaluation:
    """loss: nats per symbol, a character or a word. letters: characters of the part, which are the
    symbols themselves or make them up. unknown: symbols that have no id of their own and count as
    any such. baselines: nats per symbol by counting in the training part of the data.
    """

    samples: int
    unit: str
    loss: float
    letters: int
    unknown: int
    baselines: Mapping[str, float]

    @property
    def figures(self) -> dict[str, float]:
        """ "loss" and "nats", which are one, "perplexity" and "bits_per_character"."""
        return {
            "loss": self.loss,
            "nats": self.loss,
            "perplexity": perplexity(self.loss),
            "bits_per_character": self._bits(self.loss),
        }

    def _bits(self, nats: float) -> float:
        return nats * self.samples / self.letters / math.log(2)

    def to_json(self) -> dict[str, Any]:
        """Plain values; what is not finite is None."""
        counted = {
            name: {"nats": nats, "perplexity": perplexity(nats)}
            for name, nats in self.baselines.items()
        }
        about = {"samples": self.samples, "unit": self.unit, "unknown": self.unknown}
        return jsonfile.plain({**self.figures, **about, "baselines": counted})

    def shown(self, many: str) -> list[str | Table]:
        """The figures beside those of counting."""
        rows = [
            (name, f"{nats:.4f}", f"{perplexity(nats):.2f}", f"{self._bits(nats):.3f}")
            for name, nats in {"model": self.loss, **self.baselines}.items()
        ]
        share = f"{self.unknown:,} of them ({self.unknown / self.samples:.2%}) unknown to the model"
        said = f"each {self.unit} foretold once, from all before it; {share}\n"
        header = ("", f"nats per {self.unit}", "perplexity", "bits per character")
        return [said, Table(header, rows)]

    def draw(self, plots: Any, folder: Path, words: Sequence[str], title: str) -> list[Path]:
        """Nothing."""
        return []


def perplexity(nats: float) -> float:
    """e to the mean of nats: among how many equally probable symbols the choice would be."""
    return math.exp(min(nats, MOST_NATS))


class Language:
    """See `task.Task`; `generator` is one of `task.Generator`."""

    monitor = "val_loss"
    least = ()
    most = ("loss", "nats", "perplexity", "bits_per_character")

    def __init__(self) -> None:
        self.figures = {"perplexity": ".2f"}
        self.options: dict[str, Any] = {}
        self.generator = Writer()

    def evaluate(
        self,
        trained: Trained,
        dataset: Any,
        part: str,
        *,
        batch_size: int,
        on_batch: Callable[[int, int], None] | None = None,
    ) -> Evaluation:
        """The nats of a part, whatever the batch size, and those by counting."""
        split = dataset.splits[part]
        if not len(split):
            raise DataError("there is nothing to evaluate", why="this part of the data is empty")
        nats, n, unknown = language_model.nats_of_part(trained, split, on_batch)
        counts = split.counts()
        letters = sum(int(k) * len(s) for k, s in zip(counts, split.symbols, strict=True))
        return Evaluation(
            samples=n,
            unit=dataset.kind.unit,
            loss=nats / n,
            letters=letters,
            unknown=unknown,
            baselines={k: v / n for k, v in _by_counting(trained, dataset, split).items()},
        )

    def predict(
        self, trained: Trained, samples: list[Any], options: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """Of each text "nats" and "perplexity" per symbol, None of an empty one, how many
        "characters" or "words" it has, and how many of them are "unknown".
        """
        encoder: Any = trained.encode
        rows = [encoder.encode(sample) for sample in samples]
        lines = []
        for row, nats in zip(rows, language_model.nats_of_lines(trained, rows), strict=True):
            mean = nats / len(row) if len(row) else None
            figures = {"nats": mean, "perplexity": None if mean is None else perplexity(mean)}
            unknown = int(np.count_nonzero(row == language_model.UNKNOWN))
            lines.append({**figures, trained.kind.many: len(row), "unknown": unknown})
        return lines


def _by_counting(trained: Trained, dataset: Any, split: Any) -> dict[str, float]:
    """The sums of nats of a part by n-grams of the training part."""
    known = Counts(trained.shape[1])
    for before, after in _pairs(trained, dataset.splits["train"]):
        known.add(before, after)
    total = {"unigram": 0.0, "bigram": 0.0}
    for before, after in _pairs(trained, split):
        for name, nats in known.nats(before, after).items():
            total[name] += nats
    return total


def _pairs(trained: Trained, split: Any) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Each id of a part behind the one before it, so many at a time."""
    way = Stripes(split, 1, AT_ONCE)
    order = way.order(0)
    for number in range(len(way)):
        windows, _, _ = way.batch(order, number)
        ids, _, after = trained.encode(windows)
        yield ids.reshape(-1), after


class Writer:
    """New text, symbol by symbol."""

    makes, example = "text", ""

    def __init__(self) -> None:
        self.options = {
            "prompt": "",
            "length": 500,
            "temperature": 0.8,
            "top_k": None,
            "top_p": None,
            "stop": None,
        }

    def check(self, trained: Trained, options: Mapping[str, Any]) -> list[str]:
        """What the user should know of the prompt. UsageError: it has unknown characters."""
        encoder: Any = trained.encode
        unknown = encoder.unknown(trained.kind.split(options["prompt"]))
        if not unknown:
            return []
        more = f" and {len(unknown) - SHOWN} more" if len(unknown) > SHOWN else ""
        named = ", ".join(_named(symbol) for symbol in unknown[:SHOWN]) + more
        if trained.kind.unit == "word":
            return [f"unknown words in the prompt, read as any unknown word: {named}"]
        raise UsageError(
            f"the prompt has characters that the model does not know: {named}",
            why="they did not occur in its training text",
        )

    def generate(
        self, trained: Trained, options: Mapping[str, Any], *, seed: int, sample: int
    ) -> Iterator[str]:
        """What follows the prompt, piece by piece, up to "stop", which is left out."""
        how = {key: options[key] for key in ("temperature", "top_k", "top_p")}
        given = trained.kind.split(options["prompt"])
        found = language_model.write(
            trained, given, options["length"], seed=seed, sample=sample, **how
        )
        return language_model.until(found, options["stop"]) if options["stop"] else found


def _named(symbol: str) -> str:
    shown = repr(symbol.strip() or symbol)
    return f"{shown} (U+{ord(symbol):04X})" if len(symbol) == 1 else shown


TASK = Language()
