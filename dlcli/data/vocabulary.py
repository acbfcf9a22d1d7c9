"""Words as numbers: a vocabulary, made of the training part alone, which travels with a checkpoint.

Id 0 is padding and id 1 stands for every word that is not in it; the others are words, the most
frequent first. A word that the training part has only once is left out: what it means could not be
learned, and so the id of unknown words occurs in training and is learned.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from dlcli.errors import CheckpointError

PADDING, UNKNOWN = 0, 1
SPECIAL = 2  # ids that are no words
MOST_WORDS = 1_000_000  # of a vocabulary that is read from a file
MOST_LETTERS = 64  # of a word in it
LEAST = 2  # times that a word occurs
BUCKETS = (8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048)


class Vocabulary:
    """Encodes texts, as lists of words, into ids and lengths.

    words: in the order of their ids, from 2 on. max_length: words of a text at most; of a longer
    one the last are kept, where a review says what it comes to. ValueError: a word twice, or no
    length.
    """

    def __init__(self, words: Sequence[str], max_length: int) -> None:
        self.words, self.max_length = list(words), max_length
        self.ids = {word: i for i, word in enumerate(self.words, SPECIAL)}
        if len(self.ids) != len(self.words) or max_length < 1:
            raise ValueError(f"{len(self.words)} words, {max_length} of a text")

    def __len__(self) -> int:
        """The number of ids."""
        return len(self.words) + SPECIAL

    def kept(self, words: list[str]) -> list[str]:
        """The words of a text that a model sees."""
        return words[-self.max_length :]

    def remark(self, words: list[str]) -> dict[str, str]:
        """What a prediction for a text must not keep silent about: {"note": …}, or {}."""
        notes = []
        if len(words) > self.max_length:
            notes.append(f"the last {self.max_length:,} of its {len(words):,} words are read")
        if words and not any(word in self.ids for word in self.kept(words)):
            notes.append("none of its words is in the vocabulary")
        return {"note": "; ".join(notes)} if notes else {}

    def __call__(self, samples: Sequence[list[str]]) -> tuple[np.ndarray, np.ndarray]:
        """ids (B, T) int64, padded at the end, and lengths (B,) int32, each 1 … T.

        T is the least of BUCKETS that holds the longest text, at most `max_length`. A text without
        words is one unknown word.
        """
        rows = [[self.ids.get(w, UNKNOWN) for w in self.kept(s)] or [UNKNOWN] for s in samples]
        lengths = np.array([len(row) for row in rows], np.int32)
        ids = np.full((len(rows), bucket(int(lengths.max(initial=1)), self.max_length)), PADDING)
        for to, row in zip(ids, rows, strict=True):
            to[: len(row)] = row
        return ids, lengths

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Vocabulary):
            return NotImplemented
        return self.words == other.words and self.max_length == other.max_length

    __hash__ = None  # type: ignore[assignment]

    @classmethod
    def fit(cls, texts: Iterable[list[str]], most: int, max_length: int) -> Vocabulary:
        """The words that occur at least twice in `texts`, at most so many that there are `most`
        ids; of equally frequent ones the alphabetically first.
        """
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update(text)
        found = sorted((-n, word) for word, n in counts.items() if n >= LEAST)
        return cls([word for _, word in found[: max(most - SPECIAL, 0)]], max_length)

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        return {"words": self.words, "max_length": self.max_length}

    @classmethod
    def from_json(cls, stored: object) -> Vocabulary:
        """What `to_json` gave. CheckpointError: it is something else, or too large."""
        try:
            words, most = stored["words"], stored["max_length"]  # type: ignore[index]
            if type(most) is not int or not isinstance(words, list) or len(words) > MOST_WORDS:
                raise TypeError(f"words must be a list of at most {MOST_WORDS:,}")
            if not all(isinstance(w, str) and 0 < len(w) <= MOST_LETTERS for w in words):
                raise TypeError(f"words must be text of 1 to {MOST_LETTERS} letters")
            return cls(words, most)
        except (TypeError, KeyError, ValueError) as error:
            raise CheckpointError("the stored vocabulary is damaged", why=str(error)) from error


def bucket(length: int, most: int) -> int:
    """The extent to which texts are padded whose longest has `length` words."""
    return min(next((b for b in BUCKETS if b >= length), most), most)
