"""dlcli kernels tune: tries the configurations that a kernel declares and keeps the fastest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from dlcli.cli import output
from dlcli.cli.bench_jobs import check_memory, device_of, jobs_of
from dlcli.cli.bench_output import duration
from dlcli.cli.options import Choice, Number, command, kernel_file, output_options
from dlcli.errors import GateError, UsageError


@command("tune", examples=["dlcli kernels tune --list"])
@click.argument("ops", metavar="[OP[/VARIANT]]...", nargs=-1)
@click.option("--variant", "names", metavar="NAME", multiple=True, help="Only variants so named.")
@click.option(
    "--shape",
    "shapes",
    metavar="M=256,N=64|LABEL",
    multiple=True,
    help="For which shapes [default: the op's own]; one choice is kept for all of them.",
)
@click.option("--device", type=Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--threads", type=Number(int, 1, 1024), help="On the CPU.")
@click.option("--precision", metavar="P", default="float32", show_default=True)
@click.option("--repeats", type=Number(int, 2, 10_000), default=20, show_default=True)
@click.option("--seed", type=Number(int, 0, 2**63 - 1), default=0, help="Of the inputs.")
@click.option("--list", "listing", is_flag=True, help="Shows what can be tuned and what is kept.")
@kernel_file
@output_options
def main(
    ops: tuple[str, ...],
    names: tuple[str, ...],
    shapes: tuple[str, ...],
    device: str,
    threads: int | None,
    precision: str,
    repeats: int,
    seed: int,
    listing: bool,
    kernel_file: list[Any],
) -> None:
    """Tries the configurations that kernels declare: each verified, all timed by turns.

    A kernel declares them as TUNE in its file and asks `dlcli_kernels.tuned.choose` which to take.
    The fastest is kept for this device, in the user's cache, if it beats the default beyond chance
    on one shape and loses beyond chance on none. A wrong configuration is never kept: exit code 8.
    """
    if not ops and not names and not kernel_file and not listing:
        raise UsageError("which kernel shall be tuned?", hint="see dlcli kernels tune --list")
    where = device_of(device)
    jobs = jobs_of(ops, names, where, precision, shapes, "", kernel_file)
    tunable = _tunable(jobs)
    if listing:
        _list(tunable)
        return
    if not tunable:
        raise UsageError(
            "none of these kernels declares anything to tune",
            why="a kernel does so by TUNE in its file",
            hint="see dlcli kernels tune --list",
        )
    results = _run(tunable, where, threads, precision, repeats, seed)
    if output.settings.json:
        output.document(results)
    wrong = [f"{r['kernel']} {t['config']}: {t['reason']}"
             for r in results for s in r["shapes"] for t in s["trials"] if t["reason"]]  # fmt: skip
    if wrong:
        raise GateError(f"{len(wrong)} configurations are wrong", why=wrong[0])


def _tunable(jobs: Sequence[tuple[Any, Any, list[Any]]]) -> dict[Any, list[Any]]:
    """variant -> shapes, of the variants that declare something."""
    from dlcli_kernels.bench_tune import configurations

    found: dict[Any, list[Any]] = {}
    for _, shape, variants in jobs:
        for variant in variants:
            if configurations(variant):
                found.setdefault(variant, []).append(shape)
    return found


def _list(tunable: dict[Any, list[Any]]) -> None:
    from dlcli_kernels import bench_tune, tuned

    rows = []
    for variant in tunable:
        configs = bench_tune.configurations(variant)
        name = tuned.name_of(variant.op.name, variant.name, {})
        rows.append((name, len(configs), tuned.kept(variant.name).get(name)))
    if output.settings.json:
        output.document([{"kernel": n, "configurations": c, "kept": k} for n, c, k in rows])
    elif rows:
        output.table(
            ("kernel", "configurations", "kept here"),
            [(n, c, _words(k) if k else "the default") for n, c, k in rows],
        )
    else:
        output.text("no kernel that runs here declares anything to tune")


def _run(
    tunable: dict[Any, list[Any]],
    device: str,
    threads: int | None,
    precision: str,
    repeats: int,
    seed: int,
) -> list[dict[str, Any]]:
    from dlcli_kernels import bench, bench_device, bench_tune, tuned

    on = bench_device.Gpu() if device == "cuda" else bench_device.Host(threads)
    settings = bench.Settings(repeats, seed, vendor=False)
    results = []
    try:
        for variant, shapes in tunable.items():
            tried = []
            for shape in shapes:
                check_memory(variant.op, shape, precision)
                trials = bench_tune.tune_case(on, variant.op, shape, precision, variant, settings)
                if trials:
                    tried.append((shape, trials))
            name = tuned.name_of(variant.op.name, variant.name, {})
            if not tried:
                output.note(f"{name} takes none of these shapes in {precision}")
                continue
            best = bench_tune.best_of([trials for _, trials in tried])
            config = None if best is None else tried[0][1][best].config
            if config is not None:
                path = tuned.keep(variant.op.name, variant.name, config)
                output.detail(f"kept in {path}")
            _show(name, tried, best)
            results.append(_document(name, tried, config))
    finally:
        on.close()
    return results


def _show(name: str, tried: Sequence[tuple[Any, Any]], best: int | None) -> None:
    rows = []
    for shape, trials in tried:
        for i, trial in enumerate(trials):
            time = duration(trial.warm.median) if trial.warm else f"refused: {trial.reason}"
            ratio = trial.ratio
            against = f"{ratio.value:.3f} ({ratio.low:.3f}–{ratio.high:.3f})" if ratio else ""
            mark = "kept" if i == best else ""
            rows.append((_words(trial.config), shape.case.label(), time, against, mark))
    columns = ("configuration", "shape", "warm", "/ default", "")
    output.table(columns, rows, title=name, left=2)
    config = None if best is None else tried[0][1][best].config
    output.text(f"kept: {_words(config)}" if config else "kept nothing: every one is wrong")


def _words(config: dict[str, Any]) -> str:
    return " ".join(f"{key}={value}" for key, value in config.items())


def _document(
    name: str, tried: Sequence[tuple[Any, Any]], config: dict[str, Any] | None
) -> dict[str, Any]:
    shapes = [
        {
            "shape": shape.case.label(),
            "trials": [
                {
                    "config": trial.config,
                    "reason": trial.reason,
                    "median": trial.warm.median if trial.warm else None,
                    "ratio": trial.ratio,
                }
                for trial in trials
            ],
        }
        for shape, trials in tried
    ]
    return {"kernel": name, "kept": config, "shapes": shapes}
