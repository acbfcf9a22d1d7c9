"""Groups of commands whose files are found by their first lines and imported when they are called.

A command is a file of this folder whose docstring begins with `dlcli <command>: what it does.` and
which defines `main`; one of a group, `dlcli kernels list: …`, is the file `kernels_list.py`. Adding
the file is all the registration there is.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import Path

import click

from dlcli.errors import UsageError, did_you_mean

QUOTES = '"' * 3


@cache
def commands(group: str = "") -> dict[str, str]:
    """Every command of a group by name with its one line of help; those of `dlcli` without one."""
    path = " ".join(filter(None, ("dlcli", group)))
    found = {}
    for file in sorted(Path(__file__).parent.glob("*.py")):
        with open(file, encoding="utf-8") as lines:
            first = lines.readline()
        name, colon, short = first.removeprefix(f"{QUOTES}{path} ").partition(": ")
        if colon and first.startswith(QUOTES) and _stem(group, name) == file.stem:
            found[name] = short.strip().removesuffix(QUOTES).rstrip(".")
    return found


def _stem(group: str, name: str) -> str:
    return f"{group}_{name}" if group else name


class LazyGroup(click.Group):
    """A group whose `--help` imports no command. `path` is its name, "" for `dlcli` itself."""

    path = ""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(commands(self.path))

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in commands(self.path):
            return None
        return import_module(f"dlcli.cli.{_stem(self.path, name)}").main

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        known = commands(self.path)
        if args[0] not in known and not args[0].startswith("-"):
            typed = ctx.command_path
            wanted = f"{typed} {args[0]}" if self.path else args[0]
            why = did_you_mean(args[0], known)
            hint = f"see '{typed} --help'"
            raise UsageError(f"there is no command '{wanted}'", why=why, hint=hint)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(commands(self.path).items()))
