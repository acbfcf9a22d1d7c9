"""Tries the configurations that a variant declares: each is verified, all take turns, one is kept.

The fastest by its median is kept only if it beats the default by more than chance: the whole
interval of the ratio lies below one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from . import tuned
from .bench import CaseBench, Settings
from .bench_device import Device
from .bench_sizes import Shape
from .registry import Variant
from .spec import Op
from .timing import Ratio, Sample, measure, ratio


@dataclass(frozen=True)
class Trial:
    """One configuration on one case. ratio: its time / the default's, which stands first."""

    config: dict[str, Any]
    reason: str = ""
    warm: Sample | None = None
    ratio: Ratio | None = None


def configurations(variant: Variant) -> list[dict[str, Any]]:
    """What the variant declares for its op, the default first; empty if it declares nothing."""
    declared = getattr(variant.module, "TUNE", {})
    return [dict(config) for config in declared.get(variant.op.name, ())]


def tune_case(
    device: Device, op: Op, shape: Shape, precision: str, variant: Variant, settings: Settings
) -> list[Trial]:
    """Every configuration, verified before it is timed. Empty if the variant refuses the case."""
    configs = configurations(variant)
    reasons, functions = {}, dict[str, Callable[[], object]]()
    for i, config in enumerate(configs):
        with tuned.trying(op.name, variant.name, config):
            case = CaseBench(device, op, shape, precision, [variant], settings)
            if not case.subjects:
                return []
            case.verify()
        reasons[i] = case.rows[variant.name].reason
        if not reasons[i]:
            functions[str(i)] = _with(op, variant, config, case.subjects[variant.name].run)
    samples = measure(
        functions, repeats=settings.repeats, min_time=settings.min_time,
        clock=device.clock, budget=settings.budget,
    )  # fmt: skip
    default = samples.get("0")
    trials = []
    for i, config in enumerate(configs):
        warm = samples.get(str(i))
        against = ratio(warm, default) if warm is not None and default is not None else None
        trials.append(Trial(config, reasons[i], warm, against))
    return trials


def _with(op: Op, variant: Variant, config: dict[str, Any], run: Callable[[], object]) -> Any:
    def call() -> None:
        with tuned.trying(op.name, variant.name, config):
            run()

    return call


def best_of(cases: Sequence[Sequence[Trial]]) -> int | None:
    """The configuration to keep for all cases, by its place; None if all of them are wrong.

    The one whose product of ratios is least, of those that are right in every case; the default
    (0) unless the winner is faster beyond chance somewhere and slower beyond chance nowhere.
    """
    right = [i for i in range(len(cases[0])) if all(not case[i].reason for case in cases)]
    if not right:
        return None
    if 0 not in right:
        return min(right, key=lambda i: _total(cases, i))
    winner = min(right, key=lambda i: _product(cases, i))
    ratios = [case[winner].ratio for case in cases]
    gains = any(r is not None and r.high < 1 for r in ratios)
    loses = any(r is not None and r.low > 1 for r in ratios)
    return winner if gains and not loses else 0


def _product(cases: Sequence[Sequence[Trial]], i: int) -> float:
    product = 1.0
    for case in cases:
        found = case[i].ratio
        product *= found.value if found is not None else 1.0
    return product


def _total(cases: Sequence[Sequence[Trial]], i: int) -> float:
    samples = [case[i].warm for case in cases]
    return sum(sample.median for sample in samples if sample is not None)
