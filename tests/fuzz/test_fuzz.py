"""Readers of files from outside, given files that were changed at random: some seconds of what
`python tests/fuzz/run.py` does for as long as one likes.
"""

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dlcli.errors import DataError
from tests.fuzz import harness
from tests.fuzz.formats import FORMATS, Format

SLOW = {"manifest": 6, "archive": 15}  # each try writes files
EACH = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize("name", FORMATS)
def test_good_files_are_read(name):
    for data in FORMATS[name].seeds():
        assert harness.attempt(FORMATS[name], data) == harness.Outcome(())


@pytest.mark.parametrize("name", FORMATS)
def test_what_was_kept_is_read_or_refused(name):
    for data in harness.corpus(name):
        assert harness.attempt(FORMATS[name], data).finding == ""


@pytest.mark.parametrize("name", FORMATS)
def test_changed_files_are_read_or_refused(name, capfd):
    format_, known = FORMATS[name], harness.corpus(name)

    @settings(EACH, max_examples=SLOW.get(name, EACH.max_examples))
    @given(st.integers(0, 2**64), st.sampled_from(known))
    def each(seed, data):
        changed = harness.mutated(random.Random(seed), data, known, format_.words)
        assert harness.attempt(format_, changed).finding == "", changed

    each()
    capfd.readouterr()  # libraries in C say things of damaged images


# --- the harness itself ---------------------------------------------------------------------------


def reader(does):
    return Format(lambda: [b"x"], does)


def crash(path, folder):
    return {}["no such key"]


def refuse(path, folder):
    raise DataError(f"{path}: is bad")


def mumble(path, folder):
    raise DataError("")


def hang(path, folder):
    try:
        while True:
            time.sleep(0.01)
    except Exception:
        return


def spin(path, folder):
    while True:
        pass


def take(path, folder):
    return len(bytes(harness.MOST_BYTES + 1))


@pytest.mark.parametrize(
    ("does", "finding"),
    [
        (crash, "KeyError"),
        (mumble, "says nothing"),
        (take, "bytes were taken"),
        (hang, "no answer"),
        (spin, "no answer"),
    ],
)
def test_what_is_wrong_is_found(does, finding, monkeypatch):
    monkeypatch.setattr(harness, "SECONDS", 0.5 if does is spin else 1e6)
    monkeypatch.setattr(harness, "LONGEST", 0.5 if does is hang else 1e6)
    assert finding in harness.attempt(reader(does), b"x").finding


def test_an_error_that_is_meant_is_no_finding():
    assert harness.attempt(reader(refuse), b"x").finding == ""


def test_changes_are_repeatable_and_bounded():
    known = harness.corpus("wav")
    made = [harness.mutated(random.Random(i), known[0], known, (b"data",)) for i in range(200)]
    again = [harness.mutated(random.Random(i), known[0], known, (b"data",)) for i in range(200)]
    assert made == again
    assert len(set(made)) > 150
    assert max(map(len, made)) <= harness.MOST_LENGTH


def test_the_program_fuzzes_what_it_is_asked_to(tmp_path):
    program = [sys.executable, str(Path(harness.__file__).with_name("run.py"))]
    done = subprocess.run(
        [*program, "--minutes", "0.002", "--seed", "1", "idx", "wav"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line.partition(":")[0] for line in done.stdout.splitlines()] == ["idx", "wav"]
    wrong = subprocess.run([*program, "wave"], capture_output=True, text=True)
    assert wrong.returncode == 2
    assert "there is no 'wave'" in wrong.stderr
