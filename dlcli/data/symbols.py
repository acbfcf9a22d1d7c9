"""Characters or words as numbers: the symbols of the training part, which travel with a checkpoint.

Id 0 stands for every symbol that is not among them, and for the beginning of a text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from dlcli.data.stream import Windows
from dlcli.errors import CheckpointError

UNKNOWN = 0
SPECIAL = 1  # ids that are no symbols
MOST_SYMBOLS = 1_000_000  # that are read from a file
MOST_LETTERS = 128  # of one of them


class Symbols:
    """Encodes windows of a text.

    symbols: in the order of their ids, from 1 on. ValueError: one of them twice, or none at all.
    """

    def __init__(self, symbols: Sequence[str]) -> None:
        self.symbols = list(symbols)
        self.ids = {symbol: i for i, symbol in enumerate(self.symbols, SPECIAL)}
        if len(self.ids) != len(self.symbols) or not self.symbols:
            raise ValueError(f"{len(self.symbols)} symbols, {len(self.ids)} of them different")
        self._table: tuple[tuple[str, ...], np.ndarray] = ((), np.zeros(1, np.int64))

    def __len__(self) -> int:
        """The number of ids."""
        return len(self.symbols) + SPECIAL

    def __call__(self, windows: Windows) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """ids (B, T) int64, goes_on (B,) float32 of 0 or 1, what follows each id: (B·T,) int64."""
        ids = self._ids_of(windows.symbols)[windows.codes]
        goes_on = np.full(len(ids), windows.goes_on, np.float32)
        return ids[:, :-1].copy(), goes_on, ids[:, 1:].flatten()  # each with memory of its own

    def _ids_of(self, symbols: tuple[str, ...]) -> np.ndarray:
        """The id of each code of a text; a text is encoded many times, so it is kept."""
        known, table = self._table
        if known is not symbols:
            table = np.append(self.encode(symbols), UNKNOWN)  # the last: the text's beginning
            self._table = (symbols, table)
        return table

    def encode(self, symbols: Iterable[str]) -> np.ndarray:
        """The ids of symbols: (n,) int64."""
        return np.array([self.ids.get(symbol, UNKNOWN) for symbol in symbols], np.int64)

    def unknown(self, symbols: Iterable[str]) -> list[str]:
        """Those of the symbols that have no id of their own, each once, in order."""
        return list(dict.fromkeys(symbol for symbol in symbols if symbol not in self.ids))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Symbols) and self.symbols == other.symbols

    __hash__ = None  # type: ignore[assignment]

    @classmethod
    def fit(cls, symbols: Sequence[str], counts: np.ndarray, most: int, least: int) -> Symbols:
        """Those with at least `least` of the `counts` (n,), the most frequent so that there are at
        most `most` ids; of equally frequent ones those that come first by their letters.
        """
        found = sorted((-int(counts[i]), symbols[i]) for i in np.flatnonzero(counts >= least))
        return cls([symbol for _, symbol in found[: max(most - SPECIAL, 1)]])

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        return {"symbols": self.symbols}

    @classmethod
    def from_json(cls, stored: object) -> Symbols:
        """What `to_json` gave. CheckpointError: it is something else, or too large."""
        try:
            symbols = stored["symbols"]  # type: ignore[index]
            if not isinstance(symbols, list) or len(symbols) > MOST_SYMBOLS:
                raise TypeError(f"they must be a list of at most {MOST_SYMBOLS:,}")
            if not all(isinstance(s, str) and 0 < len(s) <= MOST_LETTERS for s in symbols):
                raise TypeError(f"they must be text of 1 to {MOST_LETTERS} letters")
            return cls(symbols)
        except (TypeError, KeyError, ValueError) as error:
            raise CheckpointError("the stored symbols are damaged", why=str(error)) from error
