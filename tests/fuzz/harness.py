"""Changes files at random and looks at what a reader does with them: whatever it raises but a
DlcliError, no answer within seconds, and memory beyond a bound are findings.
"""

from __future__ import annotations

import random
import re
import signal
import struct
import tempfile
import traceback
import tracemalloc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from dlcli.errors import DlcliError
from tests.fuzz.formats import FORMATS, Format

CORPUS = Path(__file__).parent / "corpus"
SECONDS = 10.0  # of processor time for one small file
TRACED = 10.0  # times as long when it is read once more, traced: each allocation takes longer
LONGEST = 60.0  # seconds for one, whoever else has the processor
MOST_BYTES = 64 << 20  # of memory for one small file
MOST_LENGTH = 1 << 14  # bytes of a file that is made
MOST_KEPT = 2048  # bytes of a file that is kept in the corpus
NUMBERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 63)
TOKEN = re.compile(rb'"[^"\n]{0,40}"|[\w.+-]{1,40}|[\[{(][^\]})]{0,40}[\]})]')  # of a text
WORDS = (b"\x00" * 8, b"\xff" * 8, b"0", b"-", b"999999999999", b" ", b"\xf0\x9f\x98\x80")


class TooSlow(BaseException):  # not to be caught by what is tested
    """A reader computed longer than SECONDS or waited longer than LONGEST."""


@dataclass(frozen=True)
class Outcome:
    """What became of a file. refusal: what the program says of it, "" if it was read. finding: what
    is wrong, "" if nothing is.
    """

    refusal: str = ""
    finding: str = ""


def corpus(name: str) -> list[bytes]:
    """The good files of a format, and those that were kept, in a fixed order."""
    kept = sorted((CORPUS / name).glob("*"))
    return [*FORMATS[name].seeds(), *(path.read_bytes() for path in kept)]


def attempt(format_: Format, data: bytes, *, memory: bool = True) -> Outcome:
    """Reads a file that holds `data`, in a folder of its own; with `memory` once more, traced."""
    outcome = _attempt(format_, data, SECONDS)
    if not memory or outcome.finding:
        return outcome
    tracemalloc.start()
    try:
        traced = _attempt(format_, data, SECONDS * TRACED)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    if peak > MOST_BYTES:
        return Outcome(traced.refusal, f"{peak:,} bytes were taken")
    return traced


def _attempt(format_: Format, data: bytes, computing: float) -> Outcome:
    with tempfile.TemporaryDirectory(prefix="dlcli-fuzz-") as folder:
        path = Path(folder) / format_.name
        path.write_bytes(data)
        try:
            with _limited(computing):
                format_.read(path, Path(folder))
        except DlcliError as error:
            if not error.what or len(error.lines()) > 3:
                return Outcome(finding=f"a message that says nothing: {error.lines()}")
            return Outcome(refusal=error.what)
        except TooSlow as error:
            return Outcome(finding=f"no answer\n{_trace(error)}")
        except Exception as error:  # whatever it is: that is what is looked for
            return Outcome(finding=_trace(error))
    return Outcome()


def _trace(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


@contextmanager
def _limited(computing: float) -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        raise TooSlow

    timers = (
        (signal.ITIMER_PROF, signal.SIGPROF, computing),  # goes round and round
        (signal.ITIMER_REAL, signal.SIGALRM, LONGEST),  # waits for what does not come
    )
    before = [signal.signal(number, stop) for _, number, _ in timers]
    for timer, _, seconds in timers:
        signal.setitimer(timer, seconds)
    try:
        yield
    finally:
        for (timer, number, _), handler in zip(timers, before, strict=True):
            signal.setitimer(timer, 0)
            signal.signal(number, handler)


# --- changing files -------------------------------------------------------------------------------


def mutated(
    chance: random.Random, data: bytes, others: Sequence[bytes], words: Sequence[bytes]
) -> bytes:
    """`data` after one to six changes. others: files that a piece may be taken from."""
    found = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 3, 6))):
        at = chance.randrange(len(found) + 1)
        to = min(len(found), at + chance.choice((1, 2, 4, 8, 32, 256)))
        match chance.randrange(11):
            case 0 if found:
                found[at % len(found)] ^= 1 << chance.randrange(8)
            case 1 if found:
                found[at % len(found)] = chance.randrange(256)
            case 2:
                number, code = chance.choice(NUMBERS), chance.choice("BHIQ")
                number = max(0, number - chance.randrange(2)) & (
                    (1 << 8 * struct.calcsize(code)) - 1
                )
                piece = struct.pack(chance.choice("<>") + code, number)
                found[at : at + len(piece)] = piece
            case 3:
                del found[at:to]
            case 4:
                found[at:at] = found[at:to] * chance.choice((1, 2, 30))
            case 5:
                found[at:at] = chance.choice((*WORDS, *words))
            case 6:
                found[at:to] = chance.choice((*WORDS, *words))
            case 7:
                del found[at:]
            case 8 | 9 if tokens := list(TOKEN.finditer(found)):
                start, end = chance.choice(tokens).span()
                other = chance.choice(list(TOKEN.findall(chance.choice(others))) or [b""])
                found[start:end] = chance.choice((other, *WORDS, *words))
            case _:
                other = chance.choice(others)
                start = chance.randrange(len(other) + 1)
                found[at:to] = other[start : start + chance.choice((4, 16, 128, 1024))]
    return bytes(found[:MOST_LENGTH])
