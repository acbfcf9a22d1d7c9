"""Fuzzes readers for as long as one likes:  python tests/fuzz/run.py --minutes 60 wav image

Begins with the good files of a format and with what was kept of earlier runs, changes them at
random, and keeps those by which a reader came to another place of its code than by any before:
small ones below corpus/FORMAT/ with --keep, which also adds the time to spent.json: how long each
format has been fuzzed in all. A finding is written below found/ and ends that format; the exit
code is then 1. With the same --seed and corpus the same files are tried.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import random
import resource
import sys
import time
import warnings
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "kernels")]

from tests.fuzz import harness  # noqa: E402
from tests.fuzz.formats import FORMATS  # noqa: E402

FOUND = Path(__file__).parent / "found"
SPENT = Path(__file__).parent / "spent.json"
ROOM = 3 << 30  # bytes of address space beyond what is taken at the start


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("formats", nargs="*", metavar="FORMAT", help=", ".join(FORMATS))
    parser.add_argument("--minutes", type=float, default=1.0, help="of processor time, each [1]")
    parser.add_argument("--seed", type=int, default=None, help="[the time]")
    parser.add_argument("--keep", action="store_true", help="add to the corpus and to spent.json")
    given = parser.parse_args()
    if unknown := [name for name in given.formats if name not in FORMATS]:
        parser.error(f"there is no {unknown[0]!r}; there is: {', '.join(FORMATS)}")
    if not 0 < given.minutes < 1e6:
        parser.error("--minutes must be above 0")
    warnings.simplefilter("error")
    _bound_memory()
    seed = time.time_ns() if given.seed is None else given.seed
    names = given.formats or list(FORMATS)
    found = [fuzz(name, 60 * given.minutes, seed, given.keep) for name in names]
    return int(any(found))


def fuzz(name: str, seconds: float, seed: int, keep: bool) -> bool:
    """Whether a finding was made."""
    format_, chance = FORMATS[name], random.Random(f"{seed}/{name}")
    known = harness.corpus(name)
    seen = {harness.attempt(format_, data, memory=False).at for data in known}
    tried, began = 0, time.process_time()
    while time.process_time() - began < seconds:
        data = harness.mutated(chance, chance.choice(known), known, format_.words)
        outcome = harness.attempt(format_, data, memory=tried % 16 == 0)
        tried += 1
        if outcome.finding:
            place = _write(FOUND, name, data)
            print(f"{name}: {outcome.finding}\n{place}, after {tried:,} files, --seed {seed}")
            return True
        if outcome.at not in seen:
            seen.add(outcome.at)
            known.append(data)
            if keep and len(data) <= harness.MOST_KEPT:
                _write(harness.CORPUS, name, data)
    spent = time.process_time() - began
    if keep:
        _add_to_spent(name, spent, tried)
    print(f"{name}: {tried:,} files in {spent:,.0f} s, {len(seen)} ways through it, none is wrong")
    return False


def _write(folder: Path, name: str, data: bytes) -> Path:
    place = folder / name / hashlib.sha256(data).hexdigest()[:12]
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(data)
    return place


def _add_to_spent(name: str, seconds: float, files: int) -> None:
    """Processor time and files by which no finding was made; several may fuzz at once."""
    with SPENT.open("r+") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        all_of_them = json.load(stream)
        of_it = all_of_them.setdefault(name, {"minutes": 0.0, "files": 0})
        of_it["minutes"] = round(of_it["minutes"] + seconds / 60, 1)
        of_it["files"] += files
        stream.seek(0)
        stream.truncate()
        stream.write(json.dumps(all_of_them, indent=1, sort_keys=True) + "\n")


def _bound_memory() -> None:
    """What takes gigabytes fails, instead of the machine."""
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if sys.platform == "linux" else 0
    most = pages * resource.getpagesize() + ROOM
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.getrlimit(resource.RLIMIT_AS)[1]))


if __name__ == "__main__":
    sys.exit(main())
