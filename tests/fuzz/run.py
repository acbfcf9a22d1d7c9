"""Fuzzes readers for as long as one likes:  python tests/fuzz/run.py --minutes 60 wav image

By atheris (pip install -e '.[fuzz]'). Begins with the good files of a format and with what was kept
of earlier runs, changes them, and goes on from those by which the reader takes a branch that it
took for none before: small ones are put below corpus/FORMAT/ with --keep, which also adds the time
to spent.json: how long each format has been fuzzed in all. A finding is written below found/ and
ends that format; the exit code is then 1.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "kernels")]

from tests.fuzz import harness  # noqa: E402
from tests.fuzz.formats import FORMATS  # noqa: E402

FOUND = Path(__file__).parent / "found"
SPENT = Path(__file__).parent / "spent.json"
GUIDED = Path(__file__).with_name("guided.py")
LINES, WIDTH = 60, 200  # of what was said before a finding


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("formats", nargs="*", metavar="FORMAT", help=", ".join(FORMATS))
    parser.add_argument("--minutes", type=float, default=1.0, help="of processor time, each [1]")
    parser.add_argument("--seed", type=int, default=None, help="of the changes [the time]")
    parser.add_argument("--keep", action="store_true", help="add to the corpus and to spent.json")
    given = parser.parse_args()
    if unknown := [name for name in given.formats if name not in FORMATS]:
        parser.error(f"there is no {unknown[0]!r}; there is: {', '.join(FORMATS)}")
    if not 0 < given.minutes < 1e6:
        parser.error("--minutes must be above 0")
    if importlib.util.find_spec("atheris") is None:
        parser.error("atheris is not installed: pip install -e '.[fuzz]'")
    seed = time.time_ns() if given.seed is None else given.seed
    names = given.formats or list(FORMATS)
    found = [fuzz(name, 60 * given.minutes, seed, given.keep) for name in names]
    return int(any(found))


def fuzz(name: str, seconds: float, seed: int, keep: bool) -> bool:
    """Whether a finding was made."""
    with tempfile.TemporaryDirectory(prefix="dlcli-fuzz-") as temporary:
        folder = Path(temporary) / name
        known = {_write(folder, data) for data in harness.corpus(name)}
        log = folder.with_suffix(".log")
        with log.open("wb") as stream:  # libraries say things of damaged files
            given = [str(seconds), str(seed), str(folder)]
            code = subprocess.run(
                [sys.executable, str(GUIDED), name, *given], stdout=stream, stderr=stream
            ).returncode
        if code:
            lines = log.read_text(errors="replace").splitlines()[-LINES:]
            said = "\n".join(line[:WIDTH] for line in lines)
            file = folder.with_suffix(".file")
            place = _write(FOUND / name, file.read_bytes()) if file.exists() else "no file"
            print(f"{said}\n{name}: exit code {code}, {place}")
            return True
        report = json.loads(folder.with_suffix(".json").read_text())
        new = [path for path in folder.iterdir() if path not in known]
        if keep:
            for path in new:
                if path.stat().st_size <= harness.MOST_KEPT:
                    _write(harness.CORPUS / name, path.read_bytes())
            _add_to_spent(name, report["seconds"], report["files"])
    print(
        f"{name}: {report['files']:,} files in {report['seconds']:,.0f} s, none is wrong; "
        f"{len(new)} took new branches"
    )
    return False


def _write(folder: Path, data: bytes) -> Path:
    place = folder / hashlib.sha256(data).hexdigest()[:12]
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


if __name__ == "__main__":
    sys.exit(main())
