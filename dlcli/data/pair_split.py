"""Sentences with their translations as a part of a dataset, and how parts are cut from them.

A sentence often has several translations, each in a pair of its own. All pairs whose source has the
same words are in one part, whatever its punctuation and capitals: a model is never asked for the
translation of a sentence that it has learned.
"""

from __future__ import annotations

import hashlib
import re
from functools import cached_property
from typing import NamedTuple

import numpy as np

from dlcli.data.pair_text import key, tokens
from dlcli.errors import DataError

ONE_IN = 10  # the share of the sentences that the test part takes, and the validation part
PARTS = 3
_WORDS = re.compile(r"\w+")


class Pair(NamedTuple):
    """The tokens of a sentence and of its translation, None where that is asked for."""

    source: list[str]
    target: list[str] | None = None


class PairSplit:
    """Pairs held in memory, as a part of a dataset.

    name: the part's name, e.g. "train". pairs: (source, target) texts. ids: what messages call
    them. A pair has no label: `labels` (n,) are zeros.
    """

    def __init__(self, name: str, pairs: list[tuple[str, str]], ids: list[str]) -> None:
        if len(pairs) != len(ids):
            raise ValueError(f"{len(pairs)} pairs with {len(ids)} names")
        self.name, self.pairs, self.ids = name, pairs, ids
        self.labels = np.zeros(len(pairs), np.int64)
        self.labels.flags.writeable = False

    def __len__(self) -> int:
        return len(self.pairs)

    @cached_property
    def tokens(self) -> list[Pair]:
        """Those of each pair."""
        return [Pair(tokens(source), tokens(target)) for source, target in self.pairs]

    @cached_property
    def lengths(self) -> np.ndarray:
        """The number of tokens of each pair: (n,) int64."""
        return np.array([len(s) + len(t or ()) for s, t in self.tokens], np.int64)

    def samples(self, indices: np.ndarray) -> list[Pair]:
        """The tokens of the pairs at `indices`."""
        return [self.tokens[int(i)] for i in indices]

    def id(self, index: int) -> str:
        """The name of the pair."""
        return self.ids[index]

    def references(self) -> dict[str, list[str]]:
        """All translations of each source, of sources that a model cannot tell apart together: by
        the first such source's text, in order of appearance.
        """
        first: dict[tuple[str, ...], str] = {}
        found: dict[str, list[str]] = {}
        for (source, target), pair in zip(self.pairs, self.tokens, strict=True):
            words = tuple(map(key, pair.source))
            own = found.setdefault(first.setdefault(words, source), [])
            if target not in own:
                own.append(target)
        return found

    def digest(self) -> bytes:
        """SHA-256 of the name and the texts."""
        h = hashlib.sha256(f"{self.name} {len(self)}\n".encode())
        for text in (side for pair in self.pairs for side in pair):
            data = text.encode("utf-8", "surrogatepass")
            h.update(len(data).to_bytes(8, "little") + data)
        return h.digest()


def cut(sources: list[str], seed: int) -> dict[str, np.ndarray]:
    """The rows of each part, ascending: "train", "val", "test". Sentences are put in the order of
    a hash of the seed and their words; the first tenth is the test part, the next the validation
    part. So a pair that is added moves few others.

    DataError: there are fewer than three sentences.
    """
    keys = [" ".join(_WORDS.findall(source.lower())) or source for source in sources]
    groups = sorted(set(keys), key=lambda key: hashlib.sha256(f"{seed} {key}".encode()).digest())
    if len(groups) < PARTS:
        what = f"{len(groups)} sentence{'s' * (len(groups) != 1)} cannot be cut into parts"
        raise DataError(what, why=f"{PARTS} are needed, for training, validation and test")
    each = max(len(groups) // ONE_IN, 1)
    rank = {key: i for i, key in enumerate(groups)}
    part = np.array([min(rank[key] // each, PARTS - 1) for key in keys])
    return {name: np.flatnonzero(part == i) for i, name in enumerate(("test", "val", "train"))}
