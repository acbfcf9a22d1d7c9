"""The task of translating sentences: how close a model comes to what people wrote, and what it says
of a sentence.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlcli.data.loader import Loader
from dlcli.data.pair_encoder import END_ID
from dlcli.data.pair_split import Pair
from dlcli.data.pair_text import tokens
from dlcli.data.vocabulary import PADDING, UNKNOWN
from dlcli.errors import DataError
from dlcli.train import beam, bleu, jsonfile, metrics
from dlcli.train.evaluate import inference
from dlcli.train.repeated import Repeater
from dlcli.train.task import Table, Trained

SHOWN = 10  # translations
TOGETHER = 64  # sentences that are translated at a time, at most
MOST_NUMBERS = 1 << 23  # probabilities of a step: 64 MiB in double precision
BEAM = 5  # beginnings that are followed when a model is measured
WORDS, MORE = 2, 10  # a translation is at most so many times as long, and so many words longer


@dataclass(frozen=True)
class Evaluation:
    """loss: nats per word of the translations that were asked for, their ends and unknown words
    among them. accuracy: share of these words that is the model's choice after the ones before it.
    greedy, bleu: BLEU of the translations, word by word and by beam search, each sentence against
    all of its references. sources, translations, references: of every sentence, in order.
    """

    samples: int
    loss: float
    accuracy: float
    greedy: float
    bleu: float
    sources: list[str]
    translations: list[str]
    references: list[list[str]]

    @property
    def figures(self) -> dict[str, float]:
        """ "loss", "accuracy", "perplexity", "bleu" of the beam search and "greedy_bleu"."""
        return {
            "loss": self.loss,
            "accuracy": self.accuracy,
            "perplexity": math.exp(min(self.loss, 700)),
            "bleu": self.bleu,
            "greedy_bleu": self.greedy,
        }

    def shown(self, many: str) -> list[str | Table]:
        """The figures, and some translations."""
        count = f"{len(self.sources):,} sentences, each against all its translations"
        rows = [tuple(" ".join(line.split()) for line in some) for some in self._some()]
        return [
            f"loss         {self.loss:.4f} nats per word\n"
            f"perplexity   {self.figures['perplexity']:.2f}\n"
            f"accuracy     {self.accuracy:.2%} of the next words\n"
            f"BLEU         {self.bleu:.2f} ({count}; a beam of {BEAM})\n"
            f"BLEU greedy  {self.greedy:.2f}\n",
            Table(("sentence", "translation", "a reference"), rows, left=3),
        ]

    def _some(self) -> list[tuple[str, str, str]]:
        """SHOWN sentences, evenly spread, each with the reference that comes closest."""
        step = max(len(self.sources) / SHOWN, 1)
        found = []
        for i in range(min(SHOWN, len(self.sources))):
            at = int((i + 0.5) * step) if step > 1 else i
            ours, theirs = self.translations[at], self.references[at]
            found.append((self.sources[at], ours, max(theirs, key=lambda t: _alike(ours, t))))
        return found

    def draw(self, plots: Any, folder: Path, words: Sequence[str], title: str) -> list[Path]:
        """Nothing."""
        return []

    def to_json(self) -> dict[str, Any]:
        """Plain values; the translations are those of the beam search."""
        every = zip(self.sources, self.translations, self.references, strict=True)
        keys = ("source", "translation", "references")
        return jsonfile.plain(
            {
                **self.figures,
                "samples": self.samples,
                "sentences": len(self.sources),
                "beam": BEAM,
                "translations": [dict(zip(keys, row, strict=True)) for row in every],
            }
        )


class Translate:
    """See `task.Task`."""

    monitor = "val_accuracy"
    least = ("bleu", "greedy_bleu", "accuracy")
    most = ("loss", "perplexity")

    def __init__(self) -> None:
        self.figures = {"accuracy": ".2%"}
        self.options = {"beam": 1}

    def evaluate(
        self,
        trained: Trained,
        dataset: Any,
        part: str,
        *,
        batch_size: int,
        on_batch: Callable[[int, int], None] | None = None,
    ) -> Evaluation:
        """The loss over all pairs, and BLEU over the distinct sources."""
        split = dataset.splits[part]
        if not len(split):
            raise DataError("there is nothing to evaluate", why="this part of the data is empty")
        total = metrics.Sums()
        repeater = Repeater(trained.model, trained.model.phases(), ())
        loader = Loader(split, trained.encode, batch_size)
        with inference(trained.model), closing(loader.epoch(0)) as batches:
            for batch in batches:
                ((_, _, outputs),) = repeater.measure(batch)
                total.add(trained.model.measure(outputs, batch), len(batch.y))
                if on_batch:
                    on_batch(total.samples, len(split))
        known = split.references()
        sources, references = list(known), list(known.values())
        samples = [Pair(tokens(source)) for source in sources]
        plain, best = ([t for t, _ in translate(trained, samples, width)] for width in (1, BEAM))
        means = total.means()
        return Evaluation(
            samples=len(split),
            loss=means["loss"],
            accuracy=means["accuracy"],
            greedy=bleu.corpus(plain, references),
            bleu=bleu.corpus(best, references),
            sources=sources,
            translations=best,
            references=references,
        )

    def predict(
        self, trained: Trained, samples: list[Any], options: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """ "translation", and "score", the mean log-probability of its words; "unknown" words of
        the sentence, and a "note" if it is too long.
        """
        encode: Any = trained.encode
        found = translate(trained, samples, options["beam"])
        return [
            jsonfile.plain({"translation": text, "score": score, **encode.remark(sample.source)})
            for sample, (text, score) in zip(samples, found, strict=True)
        ]


def translate(trained: Trained, samples: Sequence[Pair], width: int) -> list[tuple[str, float]]:
    """The translation of each sample's source, with the mean log-probability of its words, by a
    beam of `width` (1: greedily). A sentence without words has an empty one, of score 0.
    """
    encode: Any = trained.encode
    model = trained.model
    together = min(TOGETHER, max(MOST_NUMBERS // (width * len(encode.target)), 1))
    together = 1 << (together.bit_length() - 1)
    found: list[tuple[str, float]] = [("", 0.0)] * len(samples)
    rows = [i for i, sample in enumerate(samples) if sample.source]
    rows.sort(key=lambda i: len(samples[i].source))
    with inference(model):
        for start in range(0, len(rows), together):
            chosen = rows[start : start + together]
            some = [samples[i].source for i in chosen]
            some += [[]] * ((1 << (len(some) - 1).bit_length()) - len(some))  # few shapes
            sources, lengths = encode.sources(some)
            longest = min(encode.target.max_length, WORDS * int(lengths.max()) + MORE)
            written = beam.search(
                model.translator(sources, lengths, width),
                len(some),
                width=width,
                longest=longest,
                end=END_ID,
                never=(PADDING, UNKNOWN),
            )
            for i, best in zip(chosen, written, strict=False):
                found[i] = (encode.text(best.words), best.score)
    return found


def _alike(ours: str, theirs: str) -> int:
    """How many words two lines share."""
    return len(set(bleu.words(ours)) & set(bleu.words(theirs)))


TASK = Translate()
