"""Texts as samples: how one becomes words, and a part of a dataset that holds some.

Words are lower-cased and without HTML; each punctuation mark is a word; what is contracted is
split as in the Penn Treebank (isn't → is n't, it's → it 's), so that text that was split so before
and plain text give the same words.
"""

from __future__ import annotations

import hashlib
import html
import re
import sys
from functools import cached_property

import numpy as np

MOST_CHARACTERS = 1 << 20  # of a text: what is beyond is not looked at
MOST_LETTERS = 64  # of a word: longer ones are cut, they are no words
_TAG = re.compile(r"</?[a-z!][^<>]{0,1000}>")
_WORD = re.compile(
    r"\w{1,64}(?=n't\b)"  # do of don't
    r"|n't\b"
    r"|'(?:s|m|d|re|ve|ll)\b"
    r"|\w+"
    r"|[^\w\s]"
)


def words(text: str) -> list[str]:
    """The words of a text, in order; [] if it has none."""
    text = text[:MOST_CHARACTERS].lower()
    if "<" in text or "&" in text:
        text = html.unescape(_TAG.sub(" ", text))
    text = text.replace("’", "'").replace("`", "'")
    return [sys.intern(word[:MOST_LETTERS]) for word in _WORD.findall(text)]


class TextSplit:
    """Texts held in memory, as a part of a dataset.

    name: the part's name, e.g. "train". texts: n strings. labels: (n,) integers. ids: what
    messages call the samples; the part's name and the position where they are not given.
    """

    def __init__(
        self, name: str, texts: list[str], labels: np.ndarray, ids: list[str] | None = None
    ) -> None:
        if labels.shape != (len(texts),) or len(ids or texts) != len(texts):
            raise ValueError(f"{len(texts)} texts with labels {labels.shape}")
        self.name, self.texts, self.ids = name, texts, ids
        self.labels = labels.astype(np.int64)
        self.labels.flags.writeable = False
        self._words: list[list[str] | None] = [None] * len(texts)

    def __len__(self) -> int:
        return len(self.texts)

    @cached_property
    def lengths(self) -> np.ndarray:
        """The number of words of each text: (n,) int64."""
        return np.array([len(self._words_of(i)) for i in range(len(self))], np.int64)

    def samples(self, indices: np.ndarray) -> list[list[str]]:
        """The words of each text at `indices`, split once and kept."""
        return [self._words_of(int(i)) for i in indices]

    def _words_of(self, index: int) -> list[str]:
        found = self._words[index]
        if found is None:
            found = self._words[index] = words(self.texts[index])
        return found

    def id(self, index: int) -> str:
        """The sample's own name, or "train/17"."""
        return self.ids[index] if self.ids else f"{self.name}/{index}"

    @cached_property
    def _digest(self) -> bytes:
        h = hashlib.sha256(f"{self.name} {len(self)}\n".encode())
        h.update(self.labels.astype("<i8").tobytes())
        for text in self.texts:
            data = text.encode("utf-8", "surrogatepass")
            h.update(len(data).to_bytes(8, "little") + data)
        return h.digest()

    def digest(self) -> bytes:
        """SHA-256 of the name, labels and texts; computed once."""
        return self._digest
