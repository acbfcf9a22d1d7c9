"""Calling `dlcli` within this process, and a run that the tests of a worker share."""

import io
import json
import os
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import dlcli_kernels.cpu
import pytest

import dlcli
from dlcli.cli.main import main


def strict(text):
    """One JSON document, without NaN, Infinity or double keys."""

    def refuse(name):
        raise AssertionError(f"{name} is no JSON")

    def unique(pairs):
        assert len({key for key, _ in pairs}) == len(pairs), "a key twice"
        return dict(pairs)

    return json.loads(text, parse_constant=refuse, object_pairs_hook=unique)


@pytest.fixture
def start():
    """The command line that starts dlcli in a process of its own."""
    return [sys.executable, "-m", "dlcli"]


@pytest.fixture
def environment(elsewhere):
    """The environment of such a process: it finds the packages that are tested, and their cache."""
    roots = [Path(package.__file__).parents[1] for package in (dlcli, dlcli_kernels)]
    kept = {k: v for k, v in os.environ.items() if k != "XDG_CACHE_HOME"}
    return {**kept, "PYTHONPATH": os.pathsep.join(map(str, roots))}


@dataclass
class Result:
    """What a call printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        return strict(self.out)

    @property
    def lines(self):
        """The JSON document of each line."""
        return [strict(line) for line in self.out.splitlines()]


def call(*arguments):
    """`dlcli arguments…` within this process."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main([str(argument) for argument in arguments])
    return Result(code, out.getvalue(), err.getvalue())


def is_clear(result):
    """Whether an error is said in at most three lines and without a traceback."""
    lines = result.err.splitlines()
    at = next((i for i, line in enumerate(lines) if line.startswith("error: ")), None)
    return at is not None and 1 <= len(lines) - at <= 3 and "Traceback" not in result.err


@pytest.fixture(name="dlcli")
def _dlcli():
    return call


@pytest.fixture
def fails(dlcli):
    """Calls dlcli, expects an exit code and a clear message, and returns what was said."""

    def expect(code, *arguments):
        result = dlcli(*arguments)
        assert result.code == code, result.err
        assert is_clear(result), result.err
        assert result.out == ""
        return result.err

    return expect


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """An empty working folder, and no datasets but the embedded ones."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DLCLI_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> Path:
    """A run of four epochs on the digits. Shared: tests that change it take `a_copy`."""
    run = tmp_path_factory.mktemp("runs") / "first"
    result = call("train", "cnn-small", "--epochs", "4", "--out", run)
    assert result.code == 0, result.err
    return run


@pytest.fixture
def a_copy(trained, tmp_path):
    """A copy of the run that may be damaged."""
    import shutil

    return Path(shutil.copytree(trained, tmp_path / "copy"))


@pytest.fixture
def digit(tmp_path):
    """A PNG of an 8×8 digit of the test part, and its class."""
    import numpy as np
    from PIL import Image

    from dlcli.data import catalog

    part = catalog.load("digits").splits["test"]
    path = tmp_path / "digit.png"
    Image.fromarray(part.samples(np.array([0]))[0, :, :, 0]).save(path)
    return path, str(part.labels[0])
