"""What `train --dry-run` shows: the layers, the memory and the time of a step; nothing is written.

The steps are real ones, on the first batches of the first epoch: nothing here is estimated from
a formula but the total of the run.
"""

from __future__ import annotations

import time
import tracemalloc
from itertools import islice
from typing import Any

from dlcli.cli import models, output
from dlcli.engine import executor
from dlcli.models import catalog
from dlcli.train import prepare
from dlcli.train.step import Stepper

TIMED = 5  # steps
BEFORE = 5  # steps that compile, allocate, and are made a plan of
MIB = 1 << 20


def show(model: Any, dataset: Any, recipe: Any, name: str) -> None:
    """Shows what training `model` on `dataset` by `recipe` would take."""
    prepare.check_data(dataset, recipe)
    rows = catalog.summary(model, dataset.shape)
    loader, _ = prepare.loaders(model, dataset, dataset.kind.fit(dataset), recipe, 1)
    _, steps = prepare.steps(len(loader), recipe)
    prepare.make_schedule(recipe, steps)  # so that a mistake in it is said here too
    stepper = Stepper(model, lambda phase: prepare.make_optimizer(recipe, phase))
    stepper.pieces.tell, stepper.pieces.many = output.warn, dataset.kind.many
    seconds, peak, losses = _measure(stepper, loader, recipe)
    parameters = sum(row.parameters for row in rows)
    found = {
        "model": name,
        "data": dataset.name,
        "layers": [models.layer(row) for row in rows],
        "parameters": parameters,
        "batch_size": recipe.batch_size,
        "steps": steps,
        "seconds_per_step": seconds,
        "images_per_second": loader.reading.size / seconds,
        "step_bytes": peak,
        "losses": losses,
    }
    if output.settings.json:
        output.document(found)
        return
    many = dataset.kind.many
    shape = models.taken(dataset.kind, dataset.shape, dataset.classes)
    output.text(f"{name} for {dataset.name}, {shape}:")
    output.text()
    models.layers(rows)
    output.text()
    speed = f"{found['images_per_second']:,.0f} {many}/s"
    total = seconds * steps
    facts = [
        ("parameters", f"{parameters:,}, {parameters * 4 / MIB:.2f} MiB in float32"),
        (
            "memory",
            f"{peak / MIB:.1f} MiB more at the peak of a step of {loader.reading.size} {many}"
            if peak is not None
            else "not measured on a GPU",
        ),
        ("a step", f"{seconds * 1e3:.1f} ms ({speed}), median of {TIMED}"),
        ("all steps", f"{steps:,}, about {total:.0f} s without validation"),
        ("loss", " → ".join(f"{loss:.3f}" for loss in losses)),
    ]
    for key, value in facts:
        output.text(f"{key:<11} {value}")
    output.note("\nnothing was written")


def _measure(stepper: Stepper, loader: Any, recipe: Any) -> tuple[float, int | None, list[float]]:
    """The median seconds of a step, the peak of its memory in bytes, and the losses.

    The memory is that of the host: None where the arrays are elsewhere.
    """
    lr = recipe.resolved_lr()
    times, losses, peak = [], [], 0
    stepper.model.train()
    batches = list(islice(loader.epoch(0), BEFORE + TIMED + 1))
    for number in range(BEFORE + TIMED + 1):
        if number == 1:
            tracemalloc.start()  # a step of its own: it is slower, and a plan's memory stays
        began = time.perf_counter()
        loss, _, _ = stepper.step([batches[number % len(batches)]], lr, number)
        times.append(time.perf_counter() - began)
        losses.append(loss)
        if number == 1:
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
    timed = sorted(times[BEFORE : BEFORE + TIMED])
    here = executor.current().device == "cpu"
    return timed[TIMED // 2], peak if here else None, losses
