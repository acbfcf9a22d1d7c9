"""The `dlcli` command: finds the commands, runs one, and gives its exit code.

Whatever a command raises becomes an exit code and a message of at most three lines. A command is
a file `dlcli/cli/<command>.py`; how it is found stands in `lazy.py`.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence

import click

from dlcli import __version__
from dlcli.cli import output
from dlcli.cli.lazy import LazyGroup, commands
from dlcli.errors import DlcliError, OutOfMemoryError, OutputError, UsageError, did_you_mean

__all__ = ["cli", "commands", "main"]

EXIT_CODES = """\
Exit codes:
  0 ok · 1 unexpected error · 2 usage or configuration · 3 data · 4 model or
  checkpoint · 5 device or library not available · 6 out of memory · 7 NaN or
  infinity · 8 a gate failed (--fail-under) · 9 input/output · 10 network ·
  11 inconclusive · 129 hung up (SIGHUP) · 130 interrupted (SIGINT) · 141 the
  reader of the output went away · 143 terminated (SIGTERM)"""

EXAMPLES = """\
Examples:
  dlcli train cnn --epochs 5 --out runs/first
  dlcli eval runs/first
  dlcli models list"""

SIGINT, SIGPIPE = 130, 141  # 128 + the signal's number, as a shell says it


class Commands(LazyGroup):
    """`dlcli` itself: its help ends with the exit codes and examples."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write(f"\n{EXIT_CODES}\n\n{EXAMPLES}\n")


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="dlcli", message="%(prog)s %(version)s")
def cli() -> None:
    """Deep learning from the shell, on kernels that can be read, verified and benchmarked.

    Results go to standard output, progress and messages to standard error; --json puts exactly
    one JSON document on standard output.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs `dlcli` with `arguments`, by default the process's, and returns the exit code."""
    output.reset()
    try:
        _guard_streams()
        return _run(list(sys.argv[1:] if arguments is None else arguments))
    except KeyboardInterrupt:
        return SIGINT  # a second Ctrl-C while the first one was being answered
    except OSError as error:  # even the message could not be written
        output.silence()
        return SIGPIPE if error.errno == errno.EPIPE else OutputError.exit_code


def _run(arguments: list[str]) -> int:
    try:
        if asked := os.environ.get("_DLCLI_COMPLETE"):  # a shell, after `dlcli completion`
            from dlcli.cli import completion

            return completion.answer(asked)
        with cli.make_context("dlcli", arguments) as context:
            code = cli.invoke(context)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except click.exceptions.Exit as stop:  # --help, --version
        sys.stdout.flush()
        return stop.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return UsageError.exit_code
    except click.ClickException as error:
        return _report(_from_click(error))
    except DlcliError as error:
        return _report(error)
    except (KeyboardInterrupt, click.Abort):
        output.error(["interrupted"])
        return SIGINT
    except MemoryError:
        hint = "use a smaller --batch-size or model, or free some memory"
        return _report(OutOfMemoryError("out of memory", hint=hint))
    except OSError as error:
        if error.errno == errno.EPIPE:
            output.silence()
            return SIGPIPE
        return _report(_from_os(error))
    except Exception as error:  # the last resort: a bug of ours is a short message too
        return _report(error)


def _report(error: BaseException) -> int:
    """Says what went wrong (with -vv also where) and returns the exit code."""
    if output.settings.verbose >= 2:
        import traceback

        click.echo("".join(traceback.format_exception(error)), err=True, nl=False)
    if isinstance(error, DlcliError):
        output.error(error.lines()[:3])
        return error.exit_code
    why = f"{type(error).__name__}: {error}"
    output.error(["something unexpected happened", why, "run it again with -vv to see where"])
    return 1


def _from_click(error: click.ClickException) -> UsageError:
    """click's complaint in our form, with a suggestion where a name was mistyped."""
    context = getattr(error, "ctx", None)
    hint = f"see '{context.command_path} --help'" if context else ""
    if isinstance(error, click.NoSuchOption) and context:
        known = [name for p in context.command.get_params(context) for name in p.opts]
        guess = did_you_mean(error.option_name, known)
        why = guess if guess.startswith("did") else ""
        return UsageError(f"there is no option '{error.option_name}'", why=why, hint=hint)
    what = error.format_message().strip().rstrip(".").replace("\n", " ")
    return UsageError(what[:1].lower() + what[1:], hint=hint)


def _from_os(error: OSError) -> OutputError:
    """A failed read or write that no command has explained: a full disk, a missing permission."""
    reason = error.strerror or str(error) or type(error).__name__
    where = f"{error.filename}: " if error.filename else ""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return OutputError(f"{where}{reason}", hint="free some space and run it again" if full else "")


def _guard_streams() -> None:
    """Lets no printing fail for its letters, and gives closed streams a place to write to."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
