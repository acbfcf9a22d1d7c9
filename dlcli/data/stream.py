"""A text as a stream of characters or words: a part of it, and how it is read in windows.

The whole text is one array of codes, each the number of a symbol in a list; parts are stretches of
it. A sample is one character or word, to be predicted from what stands before it: that of the
first one of a part is the last one of the part before.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from dlcli.errors import UsageError

EVALUATED = 256  # steps of a window without training: the figures do not depend on it


@dataclass(frozen=True)
class Windows:
    """What follows each other in B places of a text.

    codes: (B, T + 1), those of T symbols after the one before them. symbols: what the codes stand
    for; the code after the last of them stands for the beginning of the text. goes_on: whether row
    b follows row b of the batch before, so that a model may go on with the state it had.
    """

    codes: np.ndarray
    symbols: tuple[str, ...]
    goes_on: bool


class Stream:
    """A part of a text.

    name: the part's, e.g. "train". codes: of the whole text, behind that of its beginning,
    (n + 1,) unsigned integers. symbols: all that the codes stand for. first, last: the symbols
    first … last − 1 are the part. window: steps of training over which gradients are followed.
    """

    labels = None  # what is to be predicted is part of the text
    lengths = None

    def __init__(
        self,
        name: str,
        codes: np.ndarray,
        symbols: tuple[str, ...],
        first: int,
        last: int,
        window: int,
    ) -> None:
        self.name, self.codes, self.symbols = name, codes, symbols
        self.first, self.last, self.window = first, last, window

    def __len__(self) -> int:
        return self.last - self.first

    def samples(self, indices: np.ndarray) -> np.ndarray:
        """The codes at `indices` of the part."""
        return self.codes[1 + self.first + indices]

    def windows(self, starts: np.ndarray, steps: int) -> np.ndarray:
        """The codes of so many steps from each of `starts` (B,) on, and of the one before:
        (B, steps + 1).
        """
        return self.codes[self.first + starts[:, np.newaxis] + np.arange(steps + 1)]

    def id(self, index: int) -> str:
        """The part's name and the position in it, "train/17"."""
        return f"{self.name}/{index}"

    def counts(self) -> np.ndarray:
        """How often each symbol occurs in the part: (len(symbols),) int64."""
        return np.bincount(self.codes[1 + self.first : 1 + self.last], minlength=len(self.symbols))

    def digest(self) -> bytes:
        """SHA-256 of the name and of the text of the part."""
        h = hashlib.sha256(f"{self.name} {len(self)} {len(self.symbols)}\n".encode())
        h.update("\x00".join(self.symbols).encode())
        part = self.codes[self.first : self.last + 1]
        h.update(part.astype(part.dtype.newbyteorder("<"), copy=False).tobytes())
        return h.digest()

    def reading(self, size: int, *, training: bool) -> Stripes:
        """In `size` stripes to train on. To measure, in one, from the beginning to the end:
        whatever the size of a batch is, everything is predicted once, from all before it.
        """
        return Stripes(self, size, self.window) if training else Stripes(self, 1, EVALUATED)


class Stripes:
    """A text cut into stripes of the same length, read side by side: batch b holds the b-th window
    of each, and so goes on where batch b − 1 ended.

    Where the text does not come out even, stripes overlap by one symbol, so that none is left out:
    fewer symbols than there are stripes occur twice. The last window is shorter.

    UsageError: there are more stripes than symbols.
    """

    dropped = 0

    def __init__(self, stream: Stream, stripes: int, window: int) -> None:
        if 0 < len(stream) < stripes:
            raise UsageError(
                f"a batch of {stripes} is more than the text can be cut into",
                why=f"the {stream.name} part has {len(stream):,} symbols",
                hint="use a smaller batch size",
            )
        self.stream, self.window = stream, window
        self.length = -(-len(stream) // stripes)
        self.starts = np.arange(stripes, dtype=np.int64) * len(stream) // stripes
        self.size = stripes * min(window, self.length)

    def __len__(self) -> int:
        return -(-self.length // self.window)

    def order(self, epoch: int) -> np.ndarray:
        """Where the stripes begin, the same in each epoch."""
        return self.starts

    def batch(self, order: np.ndarray, number: int) -> tuple[Windows, None, np.ndarray]:
        """The windows, and where they begin."""
        done = number * self.window
        starts = order + done
        codes = self.stream.windows(starts, min(self.window, self.length - done))
        return Windows(codes, self.stream.symbols, number > 0), None, starts
