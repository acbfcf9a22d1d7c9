"""One format fuzzed by atheris, in a process of its own:  guided.py FORMAT SECONDS SEED FOLDER

FOLDER holds the files to begin with; those that take branches which none took before are added.
SECONDS of processor time later the process ends with 0 and has written FOLDER.json: how many files
it tried, and its time. At a finding it ends with another code, and FOLDER.file is the file.
"""

from __future__ import annotations

import json
import os
import random
import resource
import sys
import time
import warnings
from pathlib import Path

import atheris

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "kernels")]

# branches of ours, and of what reads for us in Python
FOLLOWED = ["dlcli", "PIL", "tarfile", "zipfile", "tomllib", "safetensors"]
ROOM = 3 << 30  # bytes of address space beyond what is taken at the start
BLIND = 0.3  # of all changes are libFuzzer's, which know nothing of the format

with atheris.instrument_imports(include=FOLLOWED):
    from tests.fuzz import harness
    from tests.fuzz.formats import FORMATS


class Finding(Exception):
    """What is wrong."""


def main(name: str, seconds: float, seed: int, folder: Path) -> None:
    format_ = FORMATS[name]
    known = [path.read_bytes() for path in sorted(folder.iterdir())]
    with atheris.instrument_imports(include=FOLLOWED):
        for data in known:  # readers import what they need when they are called
            _read(format_, data, memory=False)
    tried, began = 0, time.process_time()

    def one(data: bytes) -> None:
        nonlocal tried
        spent = time.process_time() - began
        if spent >= seconds:
            report = {"files": tried, "seconds": spent}
            folder.with_suffix(".json").write_text(json.dumps(report))
            os._exit(0)  # an exception would be a finding
        _read(format_, data, memory=tried % 16 == 0)
        tried += 1

    def change(data: bytes, most: int, number: int) -> bytes:
        chance = random.Random(number)
        if chance.random() < BLIND:
            return bytes(atheris.Mutate(data, most))
        return harness.mutated(chance, data, known, format_.words)[:most]

    settings = {
        "seed": seed % (1 << 31) + 1,  # 0 would be the time
        "max_len": harness.MOST_LENGTH,
        "reduce_inputs": 0,  # what was found stays
        "use_counters": 0,  # how often a branch is taken is not new
        "timeout": 0,  # the harness looks after time and memory
        "rss_limit_mb": 0,
        "verbosity": 0,
        "exact_artifact_path": folder.with_suffix(".file"),
    }
    flags = [f"-{key}={value}" for key, value in settings.items()]
    atheris.Setup(["guided.py", *flags, str(folder)], one, custom_mutator=change)
    atheris.Fuzz()


def _read(format_, data: bytes, *, memory: bool) -> None:
    outcome = harness.attempt(format_, data, memory=memory)
    if outcome.finding:
        raise Finding(outcome.finding)


def _bound_memory() -> None:
    """What takes gigabytes fails, instead of the machine."""
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if sys.platform == "linux" else 0
    most = pages * resource.getpagesize() + ROOM
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.getrlimit(resource.RLIMIT_AS)[1]))


if __name__ == "__main__":
    warnings.simplefilter("error")
    _bound_memory()
    main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
