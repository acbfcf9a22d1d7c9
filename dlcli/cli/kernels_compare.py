"""dlcli kernels compare: two benchmarks of the same machine, with an exit code for CI."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from dlcli.cli import output
from dlcli.cli.options import Choice, command, output_options
from dlcli.errors import DataError, GateError, InconclusiveError, UsageError


class Percent(click.ParamType):
    """ "5%" or "0.05" as 0.05."""

    name = "5%"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        if isinstance(value, float):
            return value
        number = value.strip().removesuffix("%")
        try:
            share = float(number) / (100.0 if value.strip().endswith("%") else 1.0)
        except ValueError:
            share = -1.0
        if not 0 <= share < 10:
            raise UsageError(
                f"--fail-slower: '{value}' is not allowed", why="it takes a share, 5% or 0.05"
            )
        return share


@command(
    "compare",
    examples=[
        "dlcli kernels bench scale --shape N=4096 --threads 1 -q -o base.json",
        "dlcli kernels compare base.json base.json --fail-slower 900%",
    ],
)
@click.argument("base", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("new", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--fail-slower", type=Percent(), default="5%", show_default=True,
              help="How much longer NEW may take.")  # fmt: skip
@click.option("--times", type=Choice(["warm", "cold"]), default="warm", show_default=True,
              help="Which times are compared.")  # fmt: skip
@click.option("--allow-different-hardware", is_flag=True, help="Compare them all the same.")
@output_options
def main(
    base: Path, new: Path, fail_slower: float, times: str, allow_different_hardware: bool
) -> None:
    """Compares two files that `dlcli kernels bench -o FILE.json` wrote, row by row.

    For each row the ratio of the medians, new by base, with a bootstrap interval of 95 %. Exit code
    0: no interval goes beyond the limit; 8: one lies wholly beyond it, or a kernel is refused that
    was measured before; 11: the limit lies within one. The interval knows of the spread within each
    run alone, so make both runs one right after the other, on a machine that does nothing else.
    """
    from dlcli_kernels import bench_compare as compare
    from dlcli_kernels.bench_document import BadDocument, load

    try:
        documents = [load(path) for path in (base, new)]
        differ = compare.different_hardware(*documents)
        if differ and not allow_different_hardware:
            raise UsageError(
                "the benchmarks are of different hardware",
                why="; ".join(differ),
                hint="--allow-different-hardware compares them all the same",
            )
        found = compare.compare_documents(*documents, limit=fail_slower, times=times)
    except BadDocument as error:
        raise DataError(str(error)) from error
    if not found.rows:
        raise UsageError("the benchmarks have no row in common", hint=f"see {base} and {new}")
    if output.settings.json:
        output.document(_document(found, fail_slower, times, differ))
    else:
        _show(found, differ)
    _judge(found, fail_slower)


def _show(found: Any, differ: list[str]) -> None:
    rows = []
    for row in found.rows:
        ratio = row.ratio
        interval = f"{ratio.low:.3f}–{ratio.high:.3f}" if ratio else ""
        said = f"{row.verdict}: {row.reason}" if row.reason else row.verdict
        rows.append((_kernel(row.key), row.key[2], _ratio(ratio), interval, said))
    output.table(("kernel", "shape", "new / base", "95 %", "verdict"), rows, left=2)
    lists = ((found.only_base, "only in BASE"), (found.only_new, "only in NEW"),
             (found.skipped, "without a time in BASE"))  # fmt: skip
    for keys, what in lists:
        for key in keys:
            output.text(f"{what}: {_kernel(key)} {key[2]}")
    for difference in differ:
        output.warn(f"different hardware: {difference}")


def _kernel(key: tuple[str, ...]) -> str:
    op, variant, _, precision, _ = key
    return f"{op}/{variant} {precision}"


def _ratio(ratio: Any) -> str:
    return f"{ratio.value:.3f}" if ratio else ""


def _document(found: Any, limit: float, times: str, differ: list[str]) -> dict[str, Any]:
    from dlcli_kernels.bench_document import KEY

    def named(key: tuple[str, ...]) -> dict[str, str]:
        return dict(zip(KEY, key, strict=True))

    rows = [
        {**named(r.key), "ratio": r.ratio, "verdict": r.verdict, "reason": r.reason}
        for r in found.rows
    ]
    return {
        "limit": limit,
        "times": times,
        "different_hardware": differ,
        "rows": rows,
        "only_base": [named(key) for key in found.only_base],
        "only_new": [named(key) for key in found.only_new],
        "without_time_in_base": [named(key) for key in found.skipped],
    }


def _judge(found: Any, limit: float) -> None:
    """GateError if something is slower, InconclusiveError if that cannot be told."""
    from dlcli_kernels.bench_compare import BROKEN, SLOWER, UNDECIDED

    worse, unclear = found.with_verdict(SLOWER, BROKEN), found.with_verdict(UNDECIDED)
    if worse:
        first = worse[0]
        why = (
            first.reason or f"{first.key[2]}: {first.ratio.low:.2f} to {first.ratio.high:.2f} times"
        )
        more = f" and {len(worse) - 1} more" if len(worse) > 1 else ""
        what = "slower" if first.ratio else "no longer measured"
        raise GateError(f"{_kernel(first.key)}{more}: {what}", why=why)
    if unclear:
        first = unclear[0]
        raise InconclusiveError(
            f"{_kernel(first.key)}: the interval includes a slowdown of {limit:.0%}",
            why=f"{first.ratio.low:.3f} to {first.ratio.high:.3f} times ({len(unclear)} rows so)",
            hint="measure both again with more --repeats, with nothing else running",
        )
