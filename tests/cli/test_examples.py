"""Every example in every help is run as it stands, in the order given, in an empty folder."""

import io
import json
import shlex
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import click
import pytest

from dlcli.cli import main


def helps():
    """The arguments that show each help."""
    found = [[]]
    for name in main.commands():
        found.append([name])
        command = main.cli.get_command(None, name)
        if isinstance(command, click.Group):
            found += [[name, below] for below in command.list_commands(None)]
    return found


def examples(text):
    """The lines after "Examples:"."""
    lines = text.partition("\nExamples:\n")[2].splitlines()
    return [line.removeprefix("  ") for line in lines]


@pytest.mark.parametrize("arguments", helps(), ids=lambda a: " ".join(["dlcli", *a]))
def test_a_help_ends_with_examples_that_run(dlcli, monkeypatch, arguments):
    shown = dlcli(*arguments, "--help")
    assert shown.code == 0
    lines = examples(shown.out)
    assert lines
    for line in lines:
        typed, _, source = line.partition(" < ")
        if source:
            stdin = SimpleNamespace(buffer=io.BytesIO(Path(source).read_bytes()))
            monkeypatch.setattr(sys, "stdin", stdin)
        program, *words = shlex.split(typed)
        assert program == "dlcli"
        done = dlcli(*words)
        assert done.code == 0, f"{line}\n{done.out}\n{done.err}"


def test_a_shell_can_chain_the_commands(start, environment):
    lines = [
        "dlcli train cnn-small --max-steps 3 --out 'runs/a name' --json | grep -q '\"steps\": 3'",
        "code=0",
        "dlcli eval 'runs/a name' --no-plots --json --fail-under accuracy=1 > found || code=$?",
        "test $code = 8",
        "dlcli predict 'runs/a name' - < 'runs/a name/plots/curves.png' | grep -q probability",
    ]
    script = "\n".join([f'dlcli() {{ {shlex.join(start)} "$@"; }}', "set -e", *lines])
    done = subprocess.run(["sh", "-c", script], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert "accuracy" in json.loads(Path("found").read_text())


def test_every_command_has_an_example_that_calls_it(dlcli):
    for arguments in helps()[1:]:
        lines = examples(dlcli(*arguments, "--help").out)
        assert any(line.startswith(" ".join(["dlcli", *arguments])) for line in lines), arguments
