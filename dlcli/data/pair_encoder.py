"""Pairs as numbers: a vocabulary for each side, made of the training part alone, which travel with
a checkpoint.

A translation is read as what is given, its tokens after the word END, against what is wanted, its
tokens before END: the end of one sentence begins the next.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from dlcli.data.pair_split import Pair
from dlcli.data.pair_text import joined, key, lowered, parted, raised
from dlcli.data.vocabulary import BUCKETS, PADDING, SPECIAL, UNKNOWN, Vocabulary
from dlcli.errors import CheckpointError

END = "\n"  # the first word of the target's vocabulary: no token of a sentence is like it
END_ID = SPECIAL
NOTHING = -100  # what is wanted after the end: the loss passes over it
LEAST, LEAST_TARGET = 2, 1  # times that a word of a side occurs: what is unknown is only read
SIZES = (4, 6, *BUCKETS)


class PairEncoder:
    """Encodes pairs, and decodes what a model writes.

    source, target: the vocabularies, END the first word of the target's. capital: sentences of the
    target begin with a capital letter, which is taken away and put back.

    ValueError: END is not where it belongs.
    """

    def __init__(self, source: Vocabulary, target: Vocabulary, capital: bool) -> None:
        if target.words[:1] != [END]:
            raise ValueError("the target's vocabulary does not begin with the end of a sentence")
        self.source, self.target, self.capital = source, target, capital

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(words of a source at most, its ids, words of a target at most, its ids)."""
        source, target = self.source, self.target
        return source.max_length, len(source), target.max_length, len(target)

    def __call__(self, samples: Sequence[Pair]) -> tuple[np.ndarray, ...]:
        """sources (N, S) int64 and their lengths (N,) int32; given (N, T) int64 and wanted (N, T)
        int64, which is NOTHING past a target's end.

        A target that is too long is cut, and its end is then not wanted.
        """
        sources, lengths = self.sources([pair.source for pair in samples])
        rows, most = [], self.target.max_length
        for pair in samples:
            target = pair.target or []
            words = lowered(target) if self.capital else target
            ids = [self.target.ids.get(word, UNKNOWN) for word in words]
            rows.append([END_ID, *ids, END_ID][: most + 1])
        shape = len(rows), _size(max((len(row) - 1 for row in rows), default=1), most)
        given, wanted = np.full(shape, PADDING), np.full(shape, NOTHING)
        for i, row in enumerate(rows):
            given[i, : len(row) - 1], wanted[i, : len(row) - 1] = row[:-1], row[1:]
        return sources, lengths, given, wanted

    def sources(self, sources: Sequence[list[str]]) -> tuple[np.ndarray, np.ndarray]:
        """Ids (N, S) int64, padded at the end, and lengths (N,) int32, each 1 … S. Of a sentence
        that is too long the first words are read; one without words is one unknown word.
        """
        most = self.source.max_length
        known = self.source.ids
        rows = [[known.get(key(t), UNKNOWN) for t in s[:most]] or [UNKNOWN] for s in sources]
        lengths = np.array([len(row) for row in rows], np.int32)
        ids = np.full((len(rows), _size(int(lengths.max(initial=1)), most)), PADDING)
        for to, row in zip(ids, rows, strict=True):
            to[: len(row)] = row
        return ids, lengths

    def remark(self, source: list[str]) -> dict[str, Any]:
        """What a translation must not keep silent about: the source's "unknown" words, a "note"
        where it is too long to be read whole; {} if there is nothing.
        """
        most, found = self.source.max_length, dict[str, Any]()
        if unknown := [t for t in source[:most] if key(t) not in self.source.ids]:
            found["unknown"] = [parted(token)[1] for token in unknown]
        if len(source) > most:
            found["note"] = f"the first {most:,} of its {len(source):,} words are read"
        return found

    def text(self, ids: Iterable[int]) -> str:
        """The sentence of ids of the target, which are words and no END."""
        found = joined([self.target.words[i - SPECIAL] for i in ids])
        return raised(found) if self.capital else found

    @classmethod
    def fit(cls, pairs: Sequence[Pair], most: tuple[int, ...]) -> PairEncoder:
        """The words that occur, those of the source at least twice, so that unknown ones do too; at
        most so many that there are as many ids as `most`, a `shape`, says; of equally frequent ones
        the alphabetically first.
        """
        length, ids, target_length, target_ids = most
        read = (key(token) for pair in pairs for token in pair.source)
        source = _words(read, ids - SPECIAL, LEAST)
        targets = [pair.target or [] for pair in pairs]
        small = [lowered(found) for found in targets]
        capital = 2 * sum(a != b for a, b in zip(targets, small, strict=True)) > len(targets)
        targets = small if capital else targets
        written = (token for found in targets for token in found)
        target = _words(written, target_ids - SPECIAL - 1, LEAST_TARGET)
        return cls(Vocabulary(source, length), Vocabulary([END, *target], target_length), capital)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        sides = {"source": self.source.to_json(), "target": self.target.to_json()}
        return {**sides, "capital": self.capital}

    @classmethod
    def from_json(cls, stored: object) -> PairEncoder:
        """What `to_json` gave. CheckpointError: it is something else, or too large."""
        try:
            source, target = stored["source"], stored["target"]  # type: ignore[index]
            capital = stored["capital"]  # type: ignore[index]
            if not isinstance(capital, bool):
                raise TypeError(f"capital is {capital!r}")
            return cls(Vocabulary.from_json(source), Vocabulary.from_json(target), capital)
        except (TypeError, KeyError, ValueError) as error:
            raise CheckpointError("the stored vocabularies are damaged", why=str(error)) from error


def _words(found: Iterable[str], most: int, least: int) -> list[str]:
    counts = sorted((-n, word) for word, n in Counter(found).items() if n >= least)
    return [word for _, word in counts[: max(most, 0)]]


def _size(length: int, most: int) -> int:
    """The extent to which sentences are padded of which the longest has `length` words."""
    return min(next((b for b in SIZES if b >= length), most), most)
