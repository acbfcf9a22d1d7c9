"""dlcli kernels verify: compares kernels with their float64 references, on a GPU or without one."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from dlcli.cli import kernel_records, kernel_verification, output
from dlcli.cli.kernel_choice import Place, chosen, place, precisions_of
from dlcli.cli.kernel_verification import Outcome
from dlcli.cli.options import Choice, Number, command, kernel_file, output_options
from dlcli.errors import DeviceError, GateError, UsageError, did_you_mean

SHOWN = 3  # failures of one variant that are written out; -v shows all


class Cases(click.ParamType):
    """all, N (so many of the op's own, drawn) or random:N. Converts to (kind, N)."""

    name = "all|N|random:N"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, int]:
        if isinstance(value, tuple):
            return value
        kind, colon, count = value.rpartition(":")
        if value == "all":
            return ("all", 0)
        if count.isdecimal() and int(count) > 0 and (kind == "random" if colon else True):
            return (kind or "some", int(count))
        raise UsageError(
            f"--cases: '{value}' is not allowed", why="it takes all, a number, or random:50"
        )


@command(
    "verify",
    examples=[
        "dlcli kernels verify add",
        "dlcli kernels verify matmul --variant cpu_blas --precision float32 --cases random:20",
        "dlcli kernels verify scale --json --junit kernels.xml",
    ],
)
@click.argument("ops", metavar="[OP[/VARIANT]]...", nargs=-1)
@click.option("--variant", "names", metavar="NAME", multiple=True, help="Only variants so named.")
@click.option("--device", type=Choice(["cpu", "cuda"]), help="Only variants of this device.")
@click.option(
    "--emulate", is_flag=True, help="CUDA kernels on the CPU: in the emulator, in the simulator."
)
@click.option(
    "--cases",
    type=Cases(),
    metavar="all|N|random:N",
    default="all",
    show_default=True,
    help="The op's own, some of them, or new ones with other shapes.",
)
@click.option("--precision", metavar="P[,P]", help="Such as float32,float64 [default: every one].")
@click.option(
    "--seed", type=Number(int, 0, 2**63 - 1), help="Draws the same operands and cases again."
)
@click.option(
    "--junit", type=click.Path(dir_okay=False, path_type=Path), help="Writes JUnit XML as well."
)
@kernel_file
@output_options
def main(
    ops: tuple[str, ...],
    names: tuple[str, ...],
    device: str | None,
    emulate: bool,
    cases: tuple[str, int],
    precision: str | None,
    seed: int | None,
    junit: Path | None,
    kernel_file: list[Any],
) -> None:
    """Verifies kernels against their float64 references, in every case of their op's contract.

    Exit code 8 if a case fails, 5 if a kernel that was asked for by name cannot run here. A success
    is kept in the cache for exactly these files; `dlcli kernels list` shows it.
    """
    variants = chosen(ops, names, device, kernel_file)
    if not variants:
        raise UsageError(f"there is no {device} variant of {', '.join(ops) or 'these ops'}")
    asked = _precisions(precision, variants)
    seed = secrets.randbelow(2**31) if seed is None else seed
    outcomes = _run(variants, emulate, cases, asked, seed)
    if junit is not None:
        from dlcli.cli import junit as xml

        xml.write(junit, outcomes)
    if output.settings.json:
        results = [kernel_verification.document(outcome) for outcome in outcomes]
        output.document({"seed": seed, "emulate": emulate, "results": results})
    else:
        _show(outcomes, seed)
    explicit = bool(names or kernel_file or device == "cuda" or any("/" in op for op in ops))
    _judge(outcomes, seed, explicit)


def _precisions(asked: str | None, variants: Sequence[Any]) -> list[str] | None:
    """The precisions asked for, None for all; UsageError for one that no op has."""
    if asked is None:
        return None
    known = {precision for variant in variants for precision in variant.op.tolerance}
    for precision in asked.split(","):
        if precision not in known:
            raise UsageError(
                f"--precision: there is no '{precision}'", why=did_you_mean(precision, known)
            )
    return asked.split(",")


def _run(
    variants: Sequence[Any],
    emulate: bool,
    cases: tuple[str, int],
    asked: list[str] | None,
    seed: int,
) -> list[Outcome]:
    """The outcome of each variant in each precision, those of the simulator's process last."""
    here, apart, found = [], [], []
    for variant in variants:
        where = place(variant, emulate=emulate)
        if where.name == "simulator" and not kernel_verification.simulates():
            apart.append(variant)
            continue
        for precision in precisions_of(variant):
            if asked is None or precision in asked:
                here.append((variant, where, precision))
    chosen_cases = {v.op.name: kernel_verification.select(v.op, *cases, seed) for v in variants}
    total = sum(len(chosen_cases[v.op.name]) for v, where, _ in here if where)
    done = 0
    with output.Bar("verifying", total) as bar:

        def tick() -> None:
            nonlocal done
            done += 1
            bar.update(done)

        for variant, where, precision in here:
            bar.relabel(f"{variant.op.name}/{variant.name}")
            found.append(_one(variant, where, precision, chosen_cases[variant.op.name], seed, tick))
            _record(variant, found[-1], cases[0])
    if apart:
        output.note(f"{len(apart)} kernels in numba-cuda's simulator, which takes its time")
        arguments = ["--cases", _written(cases), "--seed", str(seed)]
        arguments += ["--precision", ",".join(asked)] if asked else []
        for file in {str(v.file): None for v in apart if hasattr(v, "file")}:
            arguments += ["--kernel-file", file]
        names = [f"{v.op.name}/{v.name}" for v in apart]
        found += kernel_verification.in_simulator(names, arguments)
    return found


def _one(
    variant: Any, where: Place, precision: str, cases: Sequence[Any], seed: int, tick: Any
) -> Outcome:
    if not where:
        return Outcome(variant.op.name, variant.name, precision, "", where.why)
    return kernel_verification.verify(variant, where, precision, cases, seed, tick)


def _written(cases: tuple[str, int]) -> str:
    kind, count = cases
    return {"all": "all", "some": str(count)}.get(kind, f"{kind}:{count}")


def _record(variant: Any, outcome: Outcome, kind: str) -> None:
    """Keeps what was found. Random cases are no part of the contract: one counts if it fails."""
    if not outcome.run or (kind == "random" and not outcome.failed):
        return
    worst = outcome.worst
    record = kernel_records.Record(
        outcome.op,
        outcome.variant,
        outcome.precision,
        outcome.where,
        cases=sum(case.ok for case in outcome.cases),
        of=outcome.of,
        failed=len(outcome.failed),
        worst=worst.error if worst is not None else 0.0,
    )
    kernel_records.keep(variant, record)


def _show(outcomes: Sequence[Outcome], seed: int) -> None:
    rows, failures, absent = [], [], {}
    for outcome in outcomes:
        name = f"{outcome.op}/{outcome.variant}"
        if not outcome.where:
            absent[name] = outcome.why
            continue
        if not outcome.run and _ran(outcome, outcomes):
            continue  # it takes another precision
        worst = outcome.worst
        verdict = "FAILED" if outcome.failed else "ok" if outcome.run else "no case supported"
        passed = f"{len(outcome.run) - len(outcome.failed)} of {len(outcome.run)}"
        figure = (f"{worst.error:.3f}", worst.case) if worst is not None else ("", "")
        rows.append((name, outcome.precision, outcome.where, verdict, passed, *figure))
        limit = len(outcome.failed) if output.settings.verbose else SHOWN
        for case in outcome.failed[:limit]:
            failures.append(f"{name} {outcome.precision} [{case.case}]\n    {case.why}")
        if len(outcome.failed) > limit:
            failures.append(f"{name}: {len(outcome.failed) - limit} more (-v)")
    if rows:
        columns = ("kernel", "precision", "where", "", "cases", "worst", "in the case")
        output.table(columns, rows, left=4)
        output.text(f"\nworst: the largest error as a share of the tolerance; seed {seed}")
    for failure in failures:
        output.text(f"\n{failure}")
    for name, why in absent.items():
        output.text(f"\n{name} was not verified: {why}")


def _ran(outcome: Outcome, outcomes: Sequence[Outcome]) -> bool:
    """Whether its variant was verified in any precision."""
    names = outcome.op, outcome.variant
    return any(other.run for other in outcomes if (other.op, other.variant) == names)


def _judge(outcomes: Sequence[Outcome], seed: int, explicit: bool) -> None:
    """GateError where a case failed; where kernels were named, also if one was not verified at all,
    DeviceError if it cannot run here.
    """
    failed = sum(len(outcome.failed) for outcome in outcomes)
    if failed:
        total = sum(len(outcome.run) for outcome in outcomes)
        raise GateError(f"{failed} of {total} cases failed", hint=f"--seed {seed} repeats them")
    if not explicit:
        return
    for outcome in outcomes:
        name = f"{outcome.op}/{outcome.variant}"
        if not outcome.where:
            hint = "--emulate runs CUDA kernels on the CPU"
            raise DeviceError(f"{name} cannot run here", why=outcome.why, hint=hint)
        if not _ran(outcome, outcomes):
            raise GateError(f"{name} was not verified", why="it supports none of the cases")
