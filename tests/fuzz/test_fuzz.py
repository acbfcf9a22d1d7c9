"""Readers of files from outside, given files that were changed at random: some seconds of what
`python tests/fuzz/run.py` does for as long as one likes.
"""

import json
import random
import re
import subprocess
import sys
import time
import tracemalloc
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
        assert harness.attempt(FORMATS[name], data) == harness.Outcome()


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


def test_the_bound_of_time_is_that_of_a_reader_that_is_not_traced(monkeypatch):
    monkeypatch.setattr(harness, "SECONDS", 0.1)

    def compute(path, folder, when=(False, True)):
        began = time.process_time()
        while tracemalloc.is_tracing() in when and time.process_time() - began < 0.3:
            pass

    def compute_traced(path, folder):
        compute(path, folder, (True,))

    assert "no answer" in harness.attempt(reader(compute), b"x").finding
    assert harness.attempt(reader(compute_traced), b"x").finding == ""


def test_an_error_that_is_meant_is_no_finding():
    assert harness.attempt(reader(refuse), b"x").finding == ""


def test_changes_are_repeatable_and_bounded():
    known = harness.corpus("wav")
    made = [harness.mutated(random.Random(i), known[0], known, (b"data",)) for i in range(200)]
    again = [harness.mutated(random.Random(i), known[0], known, (b"data",)) for i in range(200)]
    assert made == again
    assert len(set(made)) > 150
    assert max(map(len, made)) <= harness.MOST_LENGTH


# --- fuzzing for as long as one likes -------------------------------------------------------------

LETTERS = """
import os

import atheris


@atheris.instrument_func
def read_letters(path, folder):
    data = path.read_bytes()
    if data[:1] == b"g" and data[-1:] == b"!":
        {does}


FORMATS = {{"letters": Format(lambda: [b"good"], read_letters)}}
"""


@pytest.fixture
def program():
    """run.py of a folder, with arguments."""
    pytest.importorskip("atheris")

    def run(place, *arguments):
        called = [sys.executable, str(place / "run.py"), *arguments]
        return subprocess.run(called, capture_output=True, text=True, cwd=place)

    return run


def letters(folder, does):
    """A copy of the program, whose one reader `does` something at letters like b"good!"."""
    place = folder / "tests" / "fuzz"
    place.mkdir(parents=True)
    for path in Path(harness.__file__).parent.glob("*.py"):
        (place / path.name).write_text(path.read_text())
    with (place / "formats.py").open("a") as stream:
        stream.write(LETTERS.format(does=does))
    (place / "spent.json").write_text("{}")
    return place


@pytest.mark.fuzzer
def test_the_program_fuzzes_what_it_is_asked_to(program):
    place = Path(harness.__file__).parent
    done = program(place, "--minutes", "0.002", "--seed", "1", "idx", "wav")
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line.partition(":")[0] for line in done.stdout.splitlines()] == ["idx", "wav"]
    wrong = program(place, "wave")
    assert wrong.returncode == 2
    assert "there is no 'wave'" in wrong.stderr


@pytest.mark.fuzzer
@pytest.mark.parametrize("does", ["raise KeyError(data)", "os.abort()"])
def test_what_the_program_finds_is_written(does, tmp_path, program):
    place = letters(tmp_path, does)
    done = program(place, "--minutes", "1", "--seed", "1", "--keep")
    assert done.returncode == 1, done.stdout + done.stderr
    (found,) = (place / "found" / "letters").iterdir()
    assert re.fullmatch(rb"g.*!", found.read_bytes(), re.DOTALL)
    assert done.stdout.splitlines()[-1].endswith(f", {found}")
    assert json.loads((place / "spent.json").read_text()) == {}


@pytest.mark.fuzzer
def test_what_took_new_branches_is_kept_with_the_time_that_it_took(tmp_path, program):
    place = letters(tmp_path, "return 1")
    done = program(place, "--minutes", "0.05", "--seed", "1", "--keep")
    assert done.returncode == 0, done.stdout + done.stderr
    kept = [path.read_bytes() for path in (place / "corpus" / "letters").iterdir()]
    assert any(re.fullmatch(rb"g.*!", data, re.DOTALL) for data in kept)
    spent = json.loads((place / "spent.json").read_text())["letters"]
    assert spent["minutes"] > 0
    assert spent["files"] > 100
