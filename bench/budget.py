"""What every CUDA C++ kernel uses, compared with its budget; needs NVRTC and no GPU.

    python bench/budget.py [--write] [FAMILY]…

A row for each kernel and architecture: registers of a thread, bytes spilled and on the stack of a
thread, shared memory and threads of a block, and the occupancy that these allow. `--write` makes
what is measured the budget. Exits with 8 where something is over its budget.
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "kernels")]

from dlcli_kernels import cuda_budget, cuda_compile  # noqa: E402
from dlcli_kernels.cuda_budget import Row  # noqa: E402

OVER_BUDGET = 8
LINE = "{:<44} {:>7} {:>5} {:>7} {:>6} {:>8} {:>8} {:>5}"
TITLES = ("kernel", "arch", "regs", "spills", "stack", "shared", "threads", "occ")


def show(variant: str, rows: list[Row]) -> None:
    """Prints the rows of a variant."""
    click.echo(f"\n{variant}")
    click.echo(LINE.format(*TITLES))
    for row in rows:
        values = (row.registers, row.spills, row.stack, row.shared, row.threads)
        click.echo(LINE.format(row.kernel, row.arch, *values, f"{row.occupancy:.0%}"))


def write(family: str, measured: dict[str, list[Row]]) -> None:
    """Makes what was measured the family's budget."""
    budgets = {name: cuda_budget.budget_of(rows) for name, rows in measured.items()}
    document = {"nvrtc": cuda_budget.compiler(), "variants": budgets}
    file = ROOT / "kernels" / "dlcli_kernels" / family / "budget.json"
    file.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", encoding="utf-8")


@click.command(help=__doc__)
@click.argument("chosen", metavar="[FAMILY]…", nargs=-1)
@click.option("--write", "writes", is_flag=True, help="Make what is measured the budget.")
def main(chosen: tuple[str, ...], writes: bool) -> None:
    families = cuda_budget.families()
    if unknown := set(chosen) - families.keys():
        raise click.UsageError(f"no CUDA C++ kernels: {', '.join(sorted(unknown))}")
    if why := cuda_compile.problem():
        raise click.ClickException(why)
    over = []
    for family in chosen or tuple(families):
        with ThreadPoolExecutor() as pool:
            rows = pool.map(lambda name, f=family: cuda_budget.measure(f, name), families[family])
            measured = dict(zip(families[family], rows, strict=True))
        for variant, found in measured.items():
            show(f"{family}/{variant}", found)
        if writes:
            write(family, measured)
        budget = cuda_budget.read(family)
        same = budget["nvrtc"] == cuda_budget.compiler()
        for variant, found in measured.items():
            limits = budget["variants"].get(variant, {})
            over += cuda_budget.excesses(family, found, limits, same)
    click.echo()
    for why in over:
        click.echo(why, err=True)
    sys.exit(OVER_BUDGET if over else 0)


if __name__ == "__main__":
    main()
