"""Files that cannot be decoded, left out of a dataset instead of stopping a training: counted,
named, and never many.

What becomes of them is `on_bad_sample`: "error" stops (the default), "skip" leaves them out and
lists them in the run, "quarantine" also copies them there. They are left out after the parts were
cut, so that mending one does not move any other sample to another part.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dlcli.data.class_folder import Found
from dlcli.data.file_inputs import error_of
from dlcli.errors import DataError, UsageError, did_you_mean

POLICIES = ("error", "skip", "quarantine")
FEW, SHARE = 5, 0.01  # as many, or this share of all files, may be left out
THREADS = min(8, os.cpu_count() or 1)


@dataclass(frozen=True)
class Bad:
    """A file that was left out. path: of the file. label: its class. why: what is wrong."""

    path: str
    label: str
    why: str


def check_policy(policy: str) -> None:
    """UsageError: there is no such policy."""
    if policy not in POLICIES:
        what = f"on_bad_sample = '{policy}' is not possible"
        raise UsageError(what, why=did_you_mean(policy, POLICIES))


def sift(root: Path, found: Found, verify: Callable[[Path], object]) -> tuple[Found, list[Bad]]:
    """The files that `verify` accepts, and the others.

    verify(path): DataError if it cannot be decoded. DataError: more than FEW files and more than
    SHARE of all are bad, or a class has no file left to learn from.
    """
    bad = _bad(root, found, verify)
    if not bad:
        return found, []
    n, most = len(found.paths), max(FEW, int(SHARE * len(found.paths)))
    left_out = [
        Bad(str(root / found.paths[row]), found.classes[found.labels[row]], why)
        for row, why in bad.items()
    ]
    if len(bad) > most:
        raise DataError(
            f"{root}: {len(bad):,} of {n:,} files cannot be read, too many to leave out",
            why=f"at most {most:,} are; the first is {left_out[0].path}: {left_out[0].why}",
            hint=f"dlcli data check {root}",
        )
    kept = _without(found, np.array(sorted(bad)))
    learned = np.bincount(kept.labels[kept.rows["train"]], minlength=len(kept.classes))
    if not learned.all():
        name = kept.classes[int(np.argmin(learned))]
        why = "the files that are left in the training part are none"
        raise DataError(f"{root}: class '{name}' has nothing to learn from", why=why)
    return kept, left_out


def _bad(root: Path, found: Found, verify: Callable[[Path], object]) -> dict[int, str]:
    """Why a file cannot be decoded, by its row."""

    def one(row: int) -> str | None:
        path = root / found.paths[row]
        try:
            verify(path)
        except DataError as error:
            return error_of(str(path), error)
        return None

    with ThreadPoolExecutor(THREADS, "dlcli-verify") as pool:
        try:
            reasons = list(pool.map(one, range(len(found.paths))))
        except BaseException:  # Ctrl-C: do not go through the rest first
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return {row: why for row, why in enumerate(reasons) if why is not None}


def _without(found: Found, rows: np.ndarray) -> Found:
    """Without the files `rows`; the others keep their parts."""
    stay = np.ones(len(found.paths), bool)
    stay[rows] = False
    place = np.cumsum(stay) - 1  # where a file that stays is now
    kept = np.flatnonzero(stay).tolist()
    parts = {part: place[of[stay[of]]] for part, of in found.rows.items()}
    return Found(
        [found.paths[i] for i in kept],
        [found.sizes[i] for i in kept],
        found.labels[stay],
        found.classes,
        parts,
    )
