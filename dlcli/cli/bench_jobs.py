"""What `bench` and `tune` time: which kernels on which shapes, or a clear error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dlcli.cli import output
from dlcli.cli.kernel_choice import chosen
from dlcli.errors import DeviceError, OutOfMemoryError, UsageError, did_you_mean

MOST_ON_CPU = 5e9  # operations of an op's own shape: beyond, one call takes a good part of a second
DECLARED = ("tf32", "bfloat16")  # what a kernel computes in only if it says so


def device_of(asked: str) -> str:
    """cpu or cuda; DeviceError where it is not to be had."""
    from dlcli.engine.device import choose

    chosen, remark = choose(asked)
    if remark:
        output.note(remark)
    return chosen


def jobs_of(
    ops: Sequence[str],
    names: Sequence[str],
    device: str,
    precision: str,
    shapes: Sequence[str],
    sweep: str,
    own: Sequence[Any],
) -> list[tuple[Any, Any, list[Any]]]:
    """(op, shape, variants) of everything that is timed. UsageError, DeviceError if nothing is."""
    from dlcli_kernels.bench_sizes import BadShape, shapes_of

    wanted = chosen(ops, names, device, own)
    _check_precision(precision, wanted)
    there = _available(wanted, bool(names or own or any("/" in op for op in ops)))
    if not there:
        what = ", ".join(ops) or "these ops"
        raise DeviceError(f"there is no {device} kernel of {what} that runs here",
                          hint=f"see dlcli kernels list {' '.join(ops)}".rstrip())  # fmt: skip
    jobs = []
    try:
        for op in dict.fromkeys(variant.op for variant in there):
            mine = [v for v in there if v.op is op and _computes_in(precision, v)]
            if precision in op.tolerance and mine:
                found = shapes_of(op, shapes, sweep)
                if device == "cpu" and not shapes and not sweep:
                    found = _small_enough(op, found, precision)
                jobs += [(op, shape, mine) for shape in found]
    except BadShape as error:
        why = did_you_mean(error.name, error.known) if error.known else error.why
        raise UsageError(str(error), why=why) from error
    if not jobs:
        raise DeviceError(f"no {device} kernel of {', '.join(ops)} computes in {precision}")
    return jobs


def _small_enough(op: Any, shapes: Sequence[Any], precision: str) -> list[Any]:
    """Without the shapes that are there for GPUs; what is left out is said."""
    from dlcli_kernels.bench import operations_of

    large = [s for s in shapes if operations_of(op, s, precision) > MOST_ON_CPU]
    for shape in large:
        name = shape.case.name or shape.case.label()
        output.note(f"{op.name}: '{name}' is left out on the CPU; --shape '{name}' takes it")
    return [shape for shape in shapes if shape not in large]


def _check_precision(precision: str, variants: Sequence[Any]) -> None:
    known = {p for variant in variants for p in variant.op.tolerance}
    if known and precision not in known:
        raise UsageError(f"--precision: there is no '{precision}'",
                         why=did_you_mean(precision, known))  # fmt: skip


def _computes_in(precision: str, variant: Any) -> bool:
    """A variant that declares tf32 or bfloat16 is for that alone, and that for it alone."""
    return variant.precision == (precision if precision in DECLARED else "")


def _available(variants: Sequence[Any], explicit: bool) -> list[Any]:
    """Those whose library is here. DeviceError if one that was asked for by name is not."""
    missing = [v for v in variants if v.missing]
    for variant in missing:
        if explicit:
            raise DeviceError(f"{variant.op.name}/{variant.name} cannot run here",
                              why=variant.missing)  # fmt: skip
        output.note(f"{variant.op.name}/{variant.name} is left out: {variant.missing}")
    return [v for v in variants if not v.missing]


def check_memory(op: Any, shape: Any, precision: str) -> None:
    """OutOfMemoryError before the system ends the process for want of memory."""
    from dlcli_kernels import bench, bench_machine

    needed, free = bench.memory_of(op, shape, precision), bench_machine.free_memory()
    if needed > free:
        raise OutOfMemoryError(
            f"{op.name} of {shape.case.label()} does not fit into memory",
            why=f"it needs about {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are free",
            hint="choose smaller sizes",
        )
