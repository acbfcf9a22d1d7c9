"""Every command line in README.md and in docs/ has a command and options that there are, and every
setting in it is one of the model's or of a recipe's.
"""

import re
import shlex
from pathlib import Path

import click
import pytest

from dlcli.cli import config, main, output
from dlcli.models import catalog
from dlcli.train import recipe

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```|^((?: {4}.*\n)+)", re.DOTALL | re.MULTILINE)
WITHOUT = {"fuzzing.md", "layers.md", "shell.md"}  # pages with no line of dlcli's in a block
ENDS = {"|", "||", "&&", ";", ">", "<"}


def lines_of(page):
    """What is typed in the blocks of a page, the lines of a console without its answers."""
    for kind, fenced, indented in BLOCK.findall(page.read_text()):
        for line in (fenced or indented).replace("\\\n", " ").splitlines():
            if kind in ("sh", "") or (kind == "console" and line.startswith("$ ")):
                yield line.strip().removeprefix("$ ")


def calls_of(line):
    """The words after each `dlcli` of a line."""
    try:
        words = shlex.split(line, comments=True)
    except ValueError:  # a quoted line break
        return
    while "dlcli" in words:
        words = words[words.index("dlcli") + 1 :]
        if "--kernel-file" in words:  # it is loaded at once, and is the reader's own
            at = words.index("--kernel-file")
            words = words[:at] + words[at + 2 :]
        end = next((i for i, word in enumerate(words) if word in ENDS), len(words))
        yield words[:end]
        words = words[end:]


def parsed(words):
    """The command's context. click.ClickException: there is no such command, option or value."""
    context = main.cli.make_context("dlcli", list(words))
    command = main.cli
    rest = [*context._protected_args, *context.args]
    while isinstance(command, click.Group):
        name, command, rest = command.resolve_command(context, rest)
        context = command.make_context(name, rest, parent=context)
        rest = [*context._protected_args, *context.args]
    return context


@pytest.fixture(autouse=True)
def _settings(monkeypatch, tmp_path):
    monkeypatch.setattr(output, "settings", output.Settings())
    monkeypatch.chdir(tmp_path)
    for name in ("base.json", "new.json"):  # that have to be there
        Path(name).touch()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_command_lines_of_a_page_are_such_that_there_are(page):
    calls = [words for line in lines_of(page) for words in calls_of(line)]
    for words in calls:
        if "--version" in words or words[:1] == ["completion"]:
            continue
        context = parsed(words)
        given = context.params
        if context.command_path != "dlcli train" or not given.get("sets"):
            continue
        model = catalog.load(given["model"]) if given["model"] else None
        own = [f.name for f in model.Config.__dataclass_fields__.values()] if model else []
        config.assignments(given["sets"], recipe.keys(), own)
    assert calls or page.name in WITHOUT
