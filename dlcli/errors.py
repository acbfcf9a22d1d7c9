"""The exceptions that a user meets, each with its exit code. Imports nothing from the project.

An error says what happened, why, and what to do about it, in at most three lines:

    raise DataError("mnist: train-images-idx3-ubyte.gz is truncated", why="the header promises
    47,040,016 bytes, the file holds 1,024", hint="download it again")
"""

from collections.abc import Iterable


class DlcliError(Exception):
    """What every expected failure derives from. `exit_code` is documented in `dlcli --help`."""

    exit_code = 1

    def __init__(self, what: str, *, why: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what, self.why, self.hint = what, why, hint

    def lines(self) -> list[str]:
        """The message, one line each for what, why and what to do; empty parts left out."""
        return [line for line in (self.what, self.why, self.hint) if line]


class UsageError(DlcliError):
    """A wrong command, option, key or value."""

    exit_code = 2


class DataError(DlcliError):
    """A dataset or an input file that is missing, damaged or not what it claims to be."""

    exit_code = 3


class CheckpointError(DlcliError):
    """A model, run or checkpoint that cannot be used."""

    exit_code = 4


class DeviceError(DlcliError):
    """A device or an optional library that is not available here."""

    exit_code = 5


class OutOfMemoryError(DlcliError):
    """Not enough memory on the host or the device."""

    exit_code = 6


class NonFiniteError(DlcliError):
    """A loss or gradient became NaN or infinite."""

    exit_code = 7


class GateError(DlcliError):
    """A gate failed: `--fail-under`, a verification, a benchmark comparison."""

    exit_code = 8


class OutputError(DlcliError):
    """Writing failed: disk full, read-only, no permission."""

    exit_code = 9


class NetworkError(DlcliError):
    """A download failed or its hash is wrong."""

    exit_code = 10


class InconclusiveError(DlcliError):
    """A comparison that the measurements cannot decide."""

    exit_code = 11


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`did you mean 'x'?` for the closest of `known`, or a list of what there is."""
    import difflib

    names = sorted(known)
    close = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.6)
    return f"did you mean '{close[0]}'?" if close else f"there is: {', '.join(names)}"
