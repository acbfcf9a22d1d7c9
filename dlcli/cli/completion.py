"""dlcli completion: prints the script by which a shell completes what is typed.

The shell then calls `dlcli` at each TAB, with what stands on the line in its environment; `answer`
prints what may follow. click knows commands, options and choices; here stands what models,
datasets, runs and the values of some options are called. Nothing of it loads NumPy.
"""

from __future__ import annotations

import os
import pkgutil
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path

import click
from click import shell_completion
from click.shell_completion import CompletionItem

from dlcli.cli import output
from dlcli.cli.options import Choice, command, messages
from dlcli.errors import DlcliError, UsageError

Names = Callable[[str], list[CompletionItem]]  # what begins like a text

VARIABLE = "_DLCLI_COMPLETE"  # says which shell asks, and that it does
RUNS = Path("runs")  # where runs are unless another folder is named
MOST = 200  # runs that are offered
PROFILES = {
    "bash": "~/.bashrc",
    "zsh": "~/.zshrc",
    "fish": "~/.config/fish/completions/dlcli.fish",
}


@command("completion", examples=["dlcli completion bash", "dlcli completion fish"])
@click.argument("shell", type=Choice(list(PROFILES)))
@messages
def main(shell: str) -> None:
    """Prints a script that makes SHELL (bash, zsh or fish) complete commands, options, models,
    datasets and runs.

    For bash, add `eval "$(dlcli completion bash)"` to ~/.bashrc; for zsh the same with zsh to
    ~/.zshrc; for fish, write it to ~/.config/fish/completions/dlcli.fish.
    """
    source = shell_completion.get_completion_class(shell)
    assert source is not None  # click has these three
    output.text(source(_root(), {}, "dlcli", VARIABLE).source())


def answer(asked: str) -> int:
    """Prints what may follow what is typed, for the shell that asks: "bash_complete"."""
    shell, _, what = asked.partition("_")
    base = shell_completion.get_completion_class(shell)
    if base is None or what != "complete":
        return UsageError.exit_code
    made = base(_root(), {}, "dlcli", VARIABLE)
    try:
        _name_values(made.cli, made.get_completion_args()[0])
        click.echo(made.complete())
    except DlcliError:  # what is typed so far is wrong: it is said when the line is run
        pass
    return 0


def _root() -> click.Command:
    from dlcli.cli.main import cli

    return cli


def _name_values(found: click.Command, typed: list[str]) -> None:
    """Tells the parameters of the command that is typed what their values are called."""
    context, path = click.Context(found), ""
    for word in typed:
        if isinstance(found, click.Group) and (below := found.get_command(context, word)):
            found, path = below, f"{path}{word} "
    for parameter in found.params:
        names = _names_of(path, parameter)
        if names is not None:
            parameter.shell_complete = partial(_offer, names)  # type: ignore[method-assign]


def _names_of(path: str, parameter: click.Parameter) -> Names | None:
    if isinstance(parameter.type, Choice):
        return partial(_beginning, parameter.type.names)
    return VALUES.get(f"{path}{parameter.name}") or VALUES.get(parameter.name or "")


def _offer(names: Names, context: click.Context, text: str) -> list[CompletionItem]:
    return names(text)


# --- names ----------------------------------------------------------------------------------------


def _beginning(names: Iterable[str], text: str) -> list[CompletionItem]:
    return [CompletionItem(name) for name in names if name.startswith(text)]


def _files(text: str) -> list[CompletionItem]:
    """The shell completes names of files itself."""
    return [CompletionItem(text, type="file")]


def _modules(package: str) -> list[str]:
    """The files of a package that are no packages, by name, without importing one."""
    place = Path(__file__).parents[1] / package
    return sorted(m.name for m in pkgutil.iter_modules([str(place)]) if not m.ispkg)


def _models(text: str) -> list[CompletionItem]:
    names = [name.replace("_", "-") for name in _modules("models") if name != "catalog"]
    return _beginning(names, text)


def _datasets(text: str) -> list[CompletionItem]:
    """Names of datasets: the modules that describe one; or else files."""
    folder = Path(__file__).parents[1] / "data"
    describes = "\nDESCRIPTION = "
    names = [n for n in _modules("data") if describes in (folder / f"{n}.py").read_text("utf-8")]
    return _beginning([name.replace("_", "-") for name in names], text) or _files(text)


def _runs(text: str) -> list[CompletionItem]:
    """Runs below the folder that is typed, or below `runs`, the latest first; or else files."""
    folder = Path(text).parent if os.sep in text else RUNS
    try:
        found = [p for p in folder.iterdir() if (p / "config.toml").is_file()]
        found.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    except OSError:  # there is none, or it may not be read: nothing to offer
        found = []
    names = _beginning(map(str, found[:MOST]), text)
    return names or _files(text)


def _settings(text: str) -> list[CompletionItem]:
    """The values of a recipe, for --set."""
    from dlcli.train import recipe

    names = recipe.keys()
    return _beginning([f"{name}=" for name in names], text)


def _augment(text: str) -> list[CompletionItem]:
    """What comes after the last comma."""
    before, comma, last = text.rpartition(",")
    used = {part.partition("=")[0] for part in before.split(",")}
    names = [n for n in _modules("data/augmentations") if n not in used]
    return [CompletionItem(before + comma + item.value) for item in _beginning(names, last)]


def _schedules(text: str) -> list[CompletionItem]:
    from dlcli import schedule

    return _beginning(schedule.names(), text)


def _optimizers(text: str) -> list[CompletionItem]:
    from dlcli.train import recipe

    return _beginning(recipe.DEFAULT_LR, text)


VALUES: Mapping[str, Names] = {  # of parameters by name, with the command's where it matters
    "models show name": _models,
    "data get name": _datasets,
    "data export name": _datasets,
    "inputs": _files,
    "images": _files,
    "model": _models,
    "data": _datasets,
    "source": _datasets,
    "run": _runs,
    "runs": _runs,
    "resume": _runs,
    "sets": _settings,
    "augment": _augment,
    "optimizer": _optimizers,
    "schedule": _schedules,
}
