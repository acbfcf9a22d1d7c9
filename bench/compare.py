"""A gate: whether steps became slower, by two files of `models.py`.

    python bench/compare.py results/models.json new.json [--fail-slower 5] [--against tuned]

What is compared is the lead over PyTorch, whose times were taken in the same run: so the files may
be of two days, or of two machines alike. Exit code 0: no work has lost more than so many percent of
its lead; 8: one has, beyond the intervals of both; 11: one seems to have, within them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

SLOWER, UNCERTAIN = 8, 11


def leads(path: Path, against: str) -> dict[str, tuple[float, float, float]]:
    """Of each work its lead with the ends of its interval. ClickException: it is no such file."""
    try:
        rows: list[dict[str, Any]] = json.loads(path.read_text())["rows"]
        return {
            f"{r['work']}:{r['batch']}, {r['threads']} threads": tuple(r["ratios"][against])
            for r in rows
            if against in r["ratios"]
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise click.ClickException(f"{path}: no results of models.py ({error})") from error


def verdict(
    before: tuple[float, float, float], now: tuple[float, float, float], percent: float
) -> str:
    """ "slower", "uncertain" or "" of a lead and the one of before."""
    least = 1 - percent / 100
    if now[0] >= least * before[0]:
        return ""
    return "slower" if now[2] < least * before[1] else "uncertain"


@click.command()
@click.argument("base", type=click.Path(path_type=Path))
@click.argument("new", type=click.Path(path_type=Path))
@click.option("--fail-slower", type=float, default=5.0, show_default=True, help="Percent.")
@click.option("--against", type=click.Choice(["installed", "tuned", "compiled"]), default="tuned")
def main(base: Path, new: Path, fail_slower: float, against: str) -> None:
    """Compares the leads of NEW with those of BASE."""
    before, now = leads(base, against), leads(new, against)
    found = [verdict(before[work], now[work], fail_slower) for work in before if work in now]
    if not found:
        raise click.ClickException("the files have no work in common")
    for work in before:
        if work in now:
            said = verdict(before[work], now[work], fail_slower) or "as fast"
            click.echo(f"{work:<32} {before[work][0]:.2f} → {now[work][0]:.2f}  {said}")
    sys.exit(SLOWER if "slower" in found else UNCERTAIN if "uncertain" in found else 0)


if __name__ == "__main__":
    main()
