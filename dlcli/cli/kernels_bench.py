"""dlcli kernels bench: times kernels against a vendor's and against the machine's roofline."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from dlcli.cli import bench_output, output
from dlcli.cli.bench_jobs import check_memory, device_of, jobs_of
from dlcli.cli.options import Choice, Number, command, kernel_file, output_options
from dlcli.errors import GateError, UsageError


@command(
    "bench",
    examples=[
        "dlcli kernels bench matmul --shape M=64,N=64,K=64 --repeats 6",
        "dlcli kernels bench add --sweep N=1024..65536*8 --repeats 6 --no-vendor --format csv",
        "dlcli kernels bench scale --shape N=4096 --repeats 6 --json -o base.json",
    ],
)
@click.argument("ops", metavar="[OP[/VARIANT]]...", nargs=-1)
@click.option("--variant", "names", metavar="NAME", multiple=True, help="Only variants so named.")
@click.option(
    "--shape",
    "shapes",
    metavar="M=256,N=64|LABEL",
    multiple=True,
    help="Sizes, or a part of the label of one of the op's own shapes.",
)
@click.option("--sweep", metavar="M=256..8192*2", help="A series: *2, +64 or 3,5,7; M,N,K=… too.")
@click.option("--device", type=Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--threads", type=Number(int, 1, 1024), help="On the CPU, of the vendor's too.")
@click.option("--precision", metavar="P", default="float32", show_default=True)
@click.option("--repeats", type=Number(int, 2, 10_000), default=20, show_default=True)
@click.option(
    "--budget",
    type=Number(float, 0.0),
    default=2.0,
    show_default=True,
    help="Seconds per shape, cold and warm each, after which repeats are left out.",
)
@click.option("--seed", type=Number(int, 0, 2**63 - 1), default=0, help="Of the inputs.")
@click.option("--vendor/--no-vendor", default=True, help="Time BLAS, cuBLAS or PyTorch as well.")
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE.png",
              help="Draws the rates of a sweep.")  # fmt: skip
@click.option(
    "--format",
    "form",
    type=Choice(bench_output.FORMATS),
    help="[default: table, or what FILE's name ends with]",
)
@click.option("-o", "--out", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="Writes the result there; the table is still shown.")  # fmt: skip
@kernel_file
@output_options
def main(
    ops: tuple[str, ...],
    names: tuple[str, ...],
    shapes: tuple[str, ...],
    sweep: str | None,
    device: str,
    threads: int | None,
    precision: str,
    repeats: int,
    budget: float,
    seed: int,
    vendor: bool,
    plot: Path | None,
    form: str | None,
    out: Path | None,
    kernel_file: list[Any],
) -> None:
    """Times kernels: cold, warm, against the roofline measured here and against a vendor.

    Rates and shares are those of the cold median, with the caches flushed before each call; the
    vendor is compared warm, by turns, with an interval of 95 %. A kernel whose outputs are wrong,
    before it is timed or after, gets no time, and neither does a time that beats the roofline by
    more than 5 %: exit code 8.
    """
    if plot is not None and sweep is None:
        raise UsageError("--plot draws a sweep", hint="add --sweep, e.g. --sweep M,N,K=64..1024*2")
    form = bench_output.format_of(form, out)
    where = device_of(device)
    jobs = jobs_of(ops, names, where, precision, shapes, sweep or "", kernel_file)
    found = _run(jobs, where, threads, precision, seed, repeats, budget, vendor)
    bench_output.show(found, form, out)
    if plot is not None:
        from dlcli.cli import plot_sweep

        plot_sweep.rates(found, plot)
        output.note(f"wrote {plot}")
    refused = [row for row in found.rows if row.reason]
    if refused:
        first = refused[0]
        more = f" ({len(refused)} of {len(found.rows)} rows)" if len(refused) > 1 else ""
        raise GateError(
            f"{first.op}/{first.variant} gets no time{more}",
            why=f"{first.case}: {first.reason}",
            hint="see dlcli kernels verify" if first.reason.startswith("wrong") else "run it again",
        )


def _run(
    jobs: Sequence[tuple[Any, Any, list[Any]]],
    device: str,
    threads: int | None,
    precision: str,
    seed: int,
    repeats: int,
    budget: float,
    vendor: bool,
) -> bench_output.Found:
    from dlcli_kernels import bench, bench_device, bench_machine, bench_row

    on = bench_device.Gpu() if device == "cuda" else bench_device.Host(threads)
    before = bench_machine.state(device)
    settings = bench.Settings(repeats, seed, budget, vendor=vendor)
    rows: list[Any] = []
    try:
        roofline = on.roofline(precision)
        with output.Bar("kernels", total=len(jobs)) as bar:
            for i, (op, shape, variants) in enumerate(jobs):
                bar.update(i, op.name)
                check_memory(op, shape, precision)
                rows += bench.bench_case(on, op, shape, precision, variants, settings)
        roofline = bench_row.settled(rows, on, roofline)
    finally:
        on.close()
    machine = bench_machine.identity(device, on.threads)
    states = [before, bench_machine.state(device)]
    remarks = bench_machine.remarks(states[0], states[1], cores=machine["cores"] or 1)
    return bench_output.Found(machine, states, remarks, roofline, rows)
