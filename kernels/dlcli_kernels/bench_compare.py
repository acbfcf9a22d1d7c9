"""Two benchmarks row by row: how many times longer the new one takes, and how sure that is.

slower: the whole interval lies above the limit. same: none of it does. undecided: the limit lies
within. The interval is a bootstrap of the medians; it covers the spread within each run and knows
nothing of what changed between them, so that both are best run one right after the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .bench_document import key_of, sample_of
from .bench_machine import HARDWARE
from .timing import Ratio, ratio_of_runs

SAME, SLOWER, UNDECIDED, BROKEN = "same or faster", "slower", "undecided", "no longer measured"


@dataclass(frozen=True)
class Comparison:
    """One row of both. ratio: new time / old time; None where the new one has none."""

    key: tuple[str, ...]
    ratio: Ratio | None
    verdict: str
    reason: str = ""


@dataclass
class Compared:
    """rows: in both. only_base, only_new: keys of the others. skipped: had no time before."""

    rows: list[Comparison] = field(default_factory=list)
    only_base: list[tuple[str, ...]] = field(default_factory=list)
    only_new: list[tuple[str, ...]] = field(default_factory=list)
    skipped: list[tuple[str, ...]] = field(default_factory=list)

    def with_verdict(self, *verdicts: str) -> list[Comparison]:
        """The rows of which one of these is true."""
        return [row for row in self.rows if row.verdict in verdicts]


def different_hardware(base: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What of the hardware differs, in words; empty if figures may be compared."""
    a, b = base["machine"], new["machine"]
    return [f"{key}: {a.get(key)} and {b.get(key)}" for key in HARDWARE if a.get(key) != b.get(key)]


def compare_documents(
    base: Mapping[str, Any],
    new: Mapping[str, Any],
    *,
    limit: float,
    times: str = "warm",
    confidence: float = 0.95,
) -> Compared:
    """limit: what is tolerated, 0.05 for five percent. times: "warm" or "cold".

    BadDocument for times that are none. A row that was measured before and is refused now is
    `BROKEN`.
    """
    old, young = ({key_of(row): row for row in d["rows"]} for d in (base, new))
    found = Compared(only_base=[k for k in old if k not in young])
    for key, row in young.items():
        if key not in old:
            found.only_new.append(key)
            continue
        before, after = sample_of(old[key], times), sample_of(row, times)
        if before is None:
            found.skipped.append(key)
        elif after is None:
            reason = str(row.get("reason") or f"without {times} times")
            found.rows.append(Comparison(key, None, BROKEN, reason))
        else:
            ratio = ratio_of_runs(after, before, confidence=confidence)
            found.rows.append(Comparison(key, ratio, verdict(ratio, limit)))
    return found


def verdict(ratio: Ratio, limit: float) -> str:
    """What an interval says of a limit."""
    if ratio.low > 1 + limit:
        return SLOWER
    return SAME if ratio.high <= 1 + limit else UNDECIDED
