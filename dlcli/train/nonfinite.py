"""What is done when a loss or gradient is not finite: say of which samples, stop or skip the step.

    RUN/nan.json         the step that stopped the run: its loss, its samples and those before
    RUN/skipped.jsonl    a line for each step that was skipped, with --on-nan skip:N

No weight is touched by such a step: the optimiser does not move, the buffers are put back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dlcli.errors import NonFiniteError
from dlcli.train import atomic, jsonfile
from dlcli.train.progress import Progress
from dlcli.train.run import RunDir
from dlcli.train.step import Halted

DUMP, SKIPPED = "nan.json", "skipped.jsonl"
NAMED = 6  # samples that a message names


def describe(halted: Halted, at: Progress, lr: float) -> dict[str, Any]:
    """Where it happened and what was not finite, as JSON: step and epoch count those done."""
    found = {"step": at.step, "epoch": at.epoch, "phase": halted.phase, "lr": lr}
    return {**found, "loss": str(halted.loss), "grad_norm": str(halted.grad_norm)}


def identified(batches: Sequence[Mapping[str, Any]], split: Any) -> list[dict[str, Any]]:
    """The batches {"epoch", "batch", "indices"} with the "ids" of their samples."""
    return [{**b, "ids": [split.id(int(i)) for i in b["indices"]]} for b in batches]


def skip(run: RunDir, found: Mapping[str, Any], batches: Sequence[Mapping[str, Any]]) -> None:
    """Adds the step to the run's list of those that were skipped. OutputError: it cannot be."""
    line = jsonfile.dumps({**found, "batches": list(batches)}, indent=None)
    atomic.append(run.path / SKIPPED, line)


def stop(
    run: RunDir,
    halted: Halted,
    found: Mapping[str, Any],
    batches: Sequence[Mapping[str, Any]],
    of_step: int,
    skipped: int,
) -> NonFiniteError:
    """Writes nan.json; the error to raise. of_step: how many of the batches are the step's own."""
    atomic.write_file(run.path / DUMP, jsonfile.dumps({**found, "batches": list(batches)}))
    ids = [i for batch in batches[-of_step:] for i in batch["ids"]]
    why = f"loss {halted.loss:g}, lr {found['lr']:g}; its samples: {named(ids)}, all in "
    hint = "try a lower --lr, or clip_norm=1"
    if skipped:
        hint = f"{skipped:,} steps were skipped before; {hint}"
    elif not halted.clean:
        hint = f"{hint}; no step is skipped of which a part was done"
    return NonFiniteError(
        f"{said(halted)} in step {found['step'] + 1}, epoch {found['epoch'] + 1}",
        why=why + str(run.path / DUMP),
        hint=hint,
    )


def said(halted: Halted) -> str:
    """What became NaN or infinite."""
    what = "a gradient" if halted.grad_norm is not None else "the loss"
    return f"{what} became NaN or infinite"


def skipping(
    halted: Halted, batches: Sequence[Mapping[str, Any]], at: Progress, most: int, run: RunDir
) -> str:
    """A warning that the step with these batches was left out, by then one of at.skipped."""
    ids = named([i for batch in batches for i in batch["ids"]])
    return (
        f"{said(halted)}: step {at.step} is skipped, {at.skipped:,} of at most"
        f" {most:,}; its samples: {ids}, all in {run.path / SKIPPED}"
    )


def named(ids: Sequence[str]) -> str:
    """The first few of them, and how many more there are."""
    more = f" and {len(ids) - NAMED:,} more" if len(ids) > NAMED else ""
    return ", ".join(str(i) for i in ids[:NAMED]) + more
