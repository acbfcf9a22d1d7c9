"""Options that mean the same in every command, their types, and the form of a command's help.

    @command("eval", examples=["dlcli eval runs/first"])
    @click.argument("run")
    @output_options
    @device_options
    def main(run, device, threads): ...

Types reject a value when the line is parsed, before anything is imported or read.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click

from dlcli.cli import output
from dlcli.errors import UsageError, did_you_mean
from dlcli.train.recipe import MOST

HELP = {"help_option_names": ["-h", "--help"]}


# --- a command whose help ends with examples ----------------------------------------------------


class WithExamples:
    """Writes the examples at the end of the help, as they are typed."""

    examples: Sequence[str] = ()

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write("\nExamples:\n" + "".join(f"  {line}\n" for line in self.examples))


class Command(WithExamples, click.Command):
    """A command with examples."""


class Group(WithExamples, click.Group):
    """A command with subcommands and examples."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):  # click would cut each line short
            formatter.write_dl([(name, c.help or "") for name, c in self.commands.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in self.commands and not args[0].startswith("-"):
            path = ctx.command_path
            why = did_you_mean(args[0], self.commands)
            raise UsageError(
                f"there is no command '{path} {args[0]}'", why=why, hint=f"see '{path} --help'"
            )
        return super().resolve_command(ctx, args)


def command(name: str, *, examples: Sequence[str], parent: Any = click) -> Callable[..., Any]:
    """Declares a command; `examples` run as they stand, in the order given."""

    def declare(function: Callable[..., Any]) -> Command:
        made = parent.command(name, cls=Command, context_settings=HELP)(function)
        made.examples = examples
        return made

    return declare


def group(name: str, *, examples: Sequence[str]) -> Callable[..., Any]:
    """Declares a command that has subcommands."""

    def declare(function: Callable[..., Any]) -> Group:
        made = click.group(name, cls=Group, context_settings=HELP)(function)
        made.examples = examples
        return made

    return declare


# --- types --------------------------------------------------------------------------------------


def _refuse(what: str, param: click.Parameter | None, *, why: str) -> UsageError:
    name = max(param.opts, key=len) if param is not None else "the value"
    return UsageError(f"{name}: {what}", why=why)


class Choice(click.ParamType):
    """One of a few names, with a suggestion for a mistyped one."""

    name = "choice"

    def __init__(self, names: Sequence[str]) -> None:
        self.names = list(names)

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return "|".join(self.names)

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        if value in self.names:
            return value
        raise _refuse(f"there is no '{value}'", param, why=did_you_mean(value, self.names))


class Number(click.ParamType):
    """A finite number in a range. kind: int or float. low is included unless `above`.

    high: a whole number is at most a billion unless something else is said.
    """

    name = "number"

    def __init__(
        self,
        kind: type,
        low: float,
        high: float | None = None,
        *,
        above: bool = False,
    ) -> None:
        self.kind, self.low, self.above = kind, low, above
        self.high = (MOST if kind is int else math.inf) if high is None else high
        self.name = "N" if kind is int else "F"

    @property
    def allowed(self) -> str:
        """The range in words."""
        what = "a whole number" if self.kind is int else "a number"
        low = f"above {self.low:g}" if self.above else f"of at least {self.low:g}"
        return f"{what} {low}" + (f" and at most {self.high:,}" if self.high < math.inf else "")

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        try:
            number = self.kind(value)
        except ValueError:
            number = math.nan
        enough = number > self.low if self.above else number >= self.low
        if not (enough and number <= self.high and math.isfinite(number)):
            raise _refuse(f"'{value}' is not allowed", param, why=f"it takes {self.allowed}")
        return number


UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}  # seconds


class Duration(click.ParamType):
    """Seconds, or a number with s, m or h: "90", "90s", "10m", "1.5h". Converts to seconds."""

    name = "TIME"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        if isinstance(value, float | int):
            return float(value)
        found = re.fullmatch(r"(\d+(?:\.\d+)?|\.\d+)([smh]?)", value.strip())
        seconds = float(found[1]) * UNITS[found[2]] if found else 0.0
        if not seconds > 0:
            raise _refuse(
                f"'{value}' is not allowed", param, why="it takes a time, e.g. 90s, 10m or 1.5h"
            )
        return seconds


def thresholds(pairs: Iterable[str], option: str) -> dict[str, float]:
    """`("accuracy=0.98",)` to `{"accuracy": 0.98}`. UsageError: another form."""
    found = {}
    for pair in pairs:
        name, equals, figure = pair.partition("=")
        try:
            value = float(figure)
        except ValueError:
            value = math.nan
        if not name or not equals or not math.isfinite(value):
            raise UsageError(
                f"{option}: '{pair}' is not allowed", why="it takes NAME=NUMBER, accuracy=0.5"
            )
        found[name] = value
    return found


# --- the options --------------------------------------------------------------------------------


def _set_json(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    output.settings.json = output.settings.json or value


def _set_quiet(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    output.settings.quiet = output.settings.quiet or value


def _set_verbose(ctx: click.Context, param: click.Parameter, value: int) -> None:
    output.settings.verbose = max(output.settings.verbose, value)


def _together(options: Sequence[Callable[..., Any]]) -> Callable[..., Any]:
    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def _setting(*names: str, callback: Callable[..., None], help: str, **more: Any) -> Any:
    """An option that output.py keeps; eager, so that it is known when another one is wrong."""
    more = {"is_flag": True, **more}
    return click.option(
        *names, callback=callback, expose_value=False, is_eager=True, help=help, **more
    )


messages = _together(
    [
        _setting("-q", "--quiet", callback=_set_quiet, help="No messages and no progress."),
        _setting(
            "-v",
            "--verbose",
            callback=_set_verbose,
            count=True,
            is_flag=False,
            help="More messages; -vv: the traceback of an error.",
        ),
    ]
)
as_json = _setting("--json", callback=_set_json, help="One JSON document on standard output.")
output_options = _together([as_json, messages])

device_options = _together(
    [
        click.option(
            "--device",
            type=Choice(["auto", "cpu", "cuda"]),
            default="auto",
            show_default=True,
            help="Where to compute.",
        ),
        click.option(
            "--threads",
            type=Number(int, 1, 1024),
            help="Threads on the CPU [default: every core]; the results do not depend on it.",
        ),
    ]
)

precision = click.option(
    "--precision",
    type=Choice(["float32", "tf32"]),
    default="float32",
    show_default=True,
    help="What is computed in; tf32 rounds products on a GPU's tensor cores to 10 bits.",
)

no_plan = click.option(
    "--no-plan", is_flag=True, help="Call the model each time; the same results, more slowly."
)

data_dir = click.option(
    "--data-dir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Where datasets are looked for first, before $DLCLI_DATA and the user's cache.",
)

model_file = click.option(
    "--model-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A model of your own: Python code, which runs with your rights.",
)


def _load_kernel_files(ctx: click.Context, param: Any, paths: Sequence[Path]) -> list[Any]:
    """The files' variants, known to the registry until the command ends."""
    if not paths:
        return []
    from dlcli_kernels import registry, user

    loaded = []
    for path in paths:
        try:
            variants = user.load(path)
        except user.BadKernelFile as error:
            raise UsageError(str(error), why=error.why, hint=error.hint) from error
        for variant in variants:
            ctx.call_on_close(partial(registry.forget, variant))
        loaded += variants
    return loaded


kernel_file = click.option(  # the command gets the list of the files' variants
    "--kernel-file",
    type=click.Path(path_type=Path),
    multiple=True,
    callback=_load_kernel_files,
    metavar="FILE",
    help="A kernel of your own, .py or .cu: code, which runs with your rights.",
)
