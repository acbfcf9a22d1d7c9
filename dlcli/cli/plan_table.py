"""What `models show NAME --plan` shows: the kernels of a training step, in their order."""

from __future__ import annotations

import math
from contextlib import closing
from itertools import islice
from time import perf_counter
from typing import Any

import numpy as np

from dlcli.cli import build, output
from dlcli.engine.cpu_plan import CpuPlan
from dlcli.engine.trace import HostCall
from dlcli.errors import UsageError
from dlcli.train import prepare
from dlcli.train.recipe import Recipe
from dlcli.train.repeated import arrays_of
from dlcli.train.step import Stepper

STEPS = 5  # after which there is a plan
REPEATS = 20
KIB, MIB = 1 << 10, 1 << 20


def show(name: str, module: Any, dataset: Any, batch_size: int | None, threads: int | None) -> None:
    """Takes steps of the model by its usual recipe, and shows the plan that comes of them.

    UsageError: there is none.
    """
    executor = build.device("cpu", threads)
    settings = module.Config()
    model = module.build(settings, dataset.shape, len(dataset.classes), seed=0).train()
    model.plan = True
    usual = module.recipe(settings) if hasattr(module, "recipe") else {}
    recipe = Recipe.from_dict({**dataset.recipe, **usual})
    recipe = recipe.with_(batch_size=batch_size or recipe.batch_size)
    recipe = recipe.with_(lr=recipe.resolved_lr())
    loader, _ = prepare.loaders(model, dataset, dataset.kind.fit(dataset), recipe, 1)
    if hasattr(model, "hold"):
        model.hold(recipe.batch_size)
    stepper = Stepper(model, lambda phase: prepare.make_optimizer(recipe, phase))
    with closing(loader.epoch(0)) as batches:
        (batch,) = islice(batches, 1)
    for number in range(STEPS):
        stepper.step([batch], recipe.resolved_lr(), number)
    entry = list(stepper.repeater.planner.entries.values())[-1]
    if entry.plan is None:
        raise UsageError(f"a step of {name} has no plan", why=entry.refusal)
    _table(name, len(batch.indices), dataset, entry.plan, arrays_of(batch), executor)


def _table(
    name: str, samples: int, dataset: Any, plan: CpuPlan, given: list[np.ndarray], executor: Any
) -> None:
    from dlcli_kernels.bench_device import Host

    host = Host(executor.threads)
    try:
        roofline = host.roofline("float32")
    finally:
        host.close()
    seconds = plan.timed(given, REPEATS)
    rows = [
        _row(plan, call, s, roofline) for call, s in zip(plan.trace.calls, seconds, strict=True)
    ]
    whole = _whole(plan, given)
    made = sum(plan.trace.sizes)
    if output.settings.json:
        facts = {"samples": samples, "threads": executor.threads, "seconds": whole}
        memory = {"arena_bytes": plan.bytes, "made_bytes": made}
        found = {"name": name, "data": dataset.name, **facts, **memory, "calls": rows}
        output.document(found)
        return
    cells = [
        (
            row["op"],
            row["variant"],
            " ".join("×".join(map(str, shape)) or "1" for shape in row["operands"]),
            row["at"],
            f"{row['seconds'] * 1e6:,.0f}",
            f"{row['roofline']:.0%}" if row["roofline"] else "",
        )
        for row in rows
    ]
    output.text(f"A training step of {name}, {samples} {dataset.kind.many} of {dataset.name}:")
    output.text()
    output.table(("op", "variant", "operands", "at, KiB", "µs", "roofline"), cells, left=3)
    output.text()
    output.text(
        f"{len(rows)} calls, {whole * 1e3:.2f} ms on {executor.threads} threads; one by one"
        f" {math.fsum(seconds) * 1e3:.2f} ms\n{plan.bytes / MIB:.1f} MiB hold what is made on the"
        f" way, {made / MIB:.1f} MiB without sharing"
    )


def _row(plan: CpuPlan, call: Any, seconds: float, roofline: Any) -> dict[str, Any]:
    """A call in plain values. at: where its result is, in KiB of the arena, or what it is."""
    if isinstance(call, HostCall):
        return {
            "op": getattr(call.make, "__name__", "made on the host"),
            "variant": "python",
            "operands": [list(p.shape) for p in call.ins if p],
            "at": "host",
            "seconds": seconds,
            "roofline": None,
        }
    launch = call.launch
    flops, moved = launch.op.work(launch.specs, launch.attrs)
    floor, _ = roofline.floor(flops, moved, "float32")
    written = [*call.outs, *_inout(call)]
    return {
        "op": launch.op.name,
        "variant": launch.variant.name if launch.program else f"{launch.variant.name} (python)",
        "operands": [list(p.shape) for p in call.ins if p],
        "at": next((plan.where(p) for p in written if p is not None), ""),
        "seconds": seconds,
        "roofline": floor / seconds,
    }


def _inout(call: Any) -> list[Any]:
    op = call.launch.op
    return [p for n, p in zip(op.inputs, call.ins, strict=True) if n in op.inout]


def _whole(plan: CpuPlan, given: list[np.ndarray]) -> float:
    """Median seconds of all calls together."""
    times = []
    for _ in range(REPEATS):
        begun = perf_counter()
        plan.run(given)
        times.append(perf_counter() - begun)
    return float(np.median(times))
