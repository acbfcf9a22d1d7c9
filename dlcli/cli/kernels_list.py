"""dlcli kernels list: every op and variant, where it runs, and whether it is known to be right."""

from __future__ import annotations

from typing import Any

import click

from dlcli.cli import formats, kernel_records, output
from dlcli.cli.kernel_choice import chosen, place, precisions_of
from dlcli.cli.options import Choice, command, kernel_file, output_options

COLUMNS = ("op", "variant", "device", "precision", "available", "preferred", "verified")


@command(
    "list",
    examples=["dlcli kernels list", "dlcli kernels list matmul --device cpu --format md"],
)
@click.argument("ops", metavar="[OP]...", nargs=-1)
@click.option("--device", type=Choice(["cpu", "cuda"]), help="Only variants of this device.")
@click.option("--format", "form", type=Choice(formats.FORMATS), default="table", show_default=True)
@kernel_file
@output_options
def main(ops: tuple[str, ...], device: str | None, form: str, kernel_file: list[Any]) -> None:
    """Lists kernels: op, variant, device and precision.

    available: whether it runs here, or why not. preferred: its rank among those that run by
    default; - for one that runs only where it is named. verified: whether `dlcli kernels verify`
    has found exactly these files right on this machine, and where it ran them.
    """
    variants = chosen(ops, (), device, kernel_file)
    facts = [fact for variant in variants for fact in _facts(variant)]
    plain = form in ("json", "jsonl") or output.settings.json
    formats.show(form, facts if plain else [_cells(fact) for fact in facts], COLUMNS, len(COLUMNS))


def _facts(variant: Any) -> list[dict[str, Any]]:
    """One for each precision that the variant supports in a case of its op; for one whose library
    is missing, each that the op has.
    """
    where, op, found = place(variant), variant.op, []
    for precision in precisions_of(variant):
        if not variant.missing and not _supports(variant, precision):
            continue
        preferred = list(op.prefer.get((variant.device, precision), ()))
        found.append(
            {
                "op": op.name,
                "variant": variant.name,
                "device": variant.device,
                "precision": precision,
                "available": bool(where),
                "why": where.why or None,
                "preferred": preferred.index(variant.name) + 1
                if variant.name in preferred
                else None,
                "verified": kernel_records.find(variant, precision),
            }
        )
    return found


def _cells(fact: dict[str, Any]) -> dict[str, Any]:
    return {
        **fact,
        "available": "yes" if fact["available"] else f"no: {fact['why']}",
        "preferred": fact["preferred"] or "-",
        "verified": fact["verified"] or "-",
    }


def _supports(variant: Any, precision: str) -> bool:
    """Whether the variant takes the operands of at least one case, wherever it could run."""
    import numpy as np
    from dlcli_kernels import raw
    from dlcli_kernels.check_compare import specs_of
    from dlcli_kernels.check_data import dtype_of, make_inputs

    op, rng, dtype = variant.op, np.random.default_rng(0), dtype_of(precision)
    with raw.running_on(raw.Simulated()):  # a question about shapes, not about this machine
        for case in op.cases:
            attrs = {name: value for name, value in case.attrs.items() if name in op.attrs}
            if variant.supports(specs_of(make_inputs(op, case, rng, dtype)), attrs):
                return True
    return False
