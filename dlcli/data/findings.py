"""What `dlcli data check` finds: the kinds of findings, how grave each is, and the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

ERROR, WARNING = "error", "warning"  # training stops; training goes on, its figures may mislead


@dataclass(frozen=True)
class About:
    """severity: ERROR or WARNING. title: of a heading; {n} is how many. advice: what to do."""

    severity: str
    title: str
    advice: str


KINDS = {
    "unreadable": About(
        ERROR,
        "cannot be read",
        "remove or replace them, or train with --on-bad-sample skip",
    ),
    "layout": About(ERROR, "not in place", "a file lies directly in the folder of its class"),
    "empty-class": About(ERROR, "a class without samples", "fill its folder or remove it"),
    "too-few": About(ERROR, "a class with too few samples", "add some, or remove the class"),
    "leak": About(
        WARNING,
        "the same in two parts",
        "what is tested or validated on was trained on: figures are too good; remove one side",
    ),
    "near-leak": About(
        WARNING, "alike in two parts", "look at them; if they are one picture, remove one side"
    ),
    "conflict": About(
        WARNING,
        "the same in two classes",
        "a label is wrong, or nothing in the data tells the classes apart: look at them",
    ),
    "near-conflict": About(
        WARNING, "alike in two classes", "one of the labels may be wrong: look at them"
    ),
    "duplicate": About(
        WARNING,
        "the same more than once",
        "keep one of each; 'dlcli data split' keeps them in one part",
    ),
    "near-duplicate": About(
        WARNING, "alike", "look at them; 'dlcli data split' keeps them in one part"
    ),
    "few": About(WARNING, "a class with few samples", "its figures will be uncertain"),
    "imbalance": About(
        WARNING, "unequal classes", "go by more than accuracy: F1 of each class, 'dlcli eval'"
    ),
    "misnamed": About(WARNING, "another format than the name says", "they are read; rename them"),
    "ignored": About(
        WARNING, "files that are no samples", "convert them, or remove them if they are none"
    ),
}


@dataclass(frozen=True)
class Finding:
    """One thing that was found: of a kind of KINDS, about `samples` (names), for a reason."""

    kind: str
    samples: tuple[str, ...]
    why: str = ""

    @property
    def severity(self) -> str:
        """ERROR or WARNING."""
        return KINDS[self.kind].severity


@dataclass
class Report:
    """What was looked at, and what was found.

    many: the word for samples. counts: by part and class; where there are no parts, the part is
    "all". facts: figures of the samples by name, such as sizes. compared: what was searched for
    duplicates, "content", or "content and looks", with "in part" where a bound was met.
    """

    source: str
    kind: str
    many: str
    classes: list[str]
    counts: dict[str, dict[str, int]]
    facts: dict[str, Any] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    compared: str = "content"

    @property
    def samples(self) -> int:
        """How many there are in all parts."""
        return sum(sum(of.values()) for of in self.counts.values())

    def of(self, kind: str) -> list[Finding]:
        """The findings of a kind."""
        return [found for found in self.findings if found.kind == kind]

    def to_json(self) -> dict[str, Any]:
        """The document of --json."""
        return {
            "source": self.source,
            "kind": self.kind,
            "samples": self.samples,
            "classes": self.classes,
            "counts": self.counts,
            "facts": self.facts,
            "compared": self.compared,
            "ok": not self.findings,
            "errors": sum(found.severity == ERROR for found in self.findings),
            "warnings": sum(found.severity == WARNING for found in self.findings),
            "findings": [
                {
                    "kind": found.kind,
                    "severity": found.severity,
                    "samples": list(found.samples),
                    "why": found.why,
                }
                for found in self.findings
            ],
        }


def spread(values: Sequence[float]) -> dict[str, float] | None:
    """The least, the median and the greatest of some figures; None of none."""
    if not values:
        return None
    import statistics

    return {"min": min(values), "median": statistics.median(values), "max": max(values)}


LEAST_PER_CLASS = 10  # samples to train on: fewer are "few"
UNEQUAL = 10  # times as many in the largest class as in the smallest: "imbalance"


def balance(counts: Mapping[str, Mapping[str, int]]) -> list[Finding]:
    """What the numbers of samples to learn from say: classes that are small, or very unequal.

    counts: by part and class; "train" counts where there is one, else "all".
    """
    learned = counts.get("train") or counts.get("all") or {}
    there = {name: n for name, n in learned.items() if n}
    found = [
        Finding("few", (name,), f"{n:,} to learn from; fewer than {LEAST_PER_CLASS}")
        for name, n in there.items()
        if n < LEAST_PER_CLASS
    ]
    if len(there) > 1 and max(there.values()) >= UNEQUAL * min(there.values()):
        most, least = max(there, key=lambda k: there[k]), min(there, key=lambda k: there[k])
        why = f"{there[most]:,} and {there[least]:,} samples: {there[most] / there[least]:.0f} to 1"
        found.append(Finding("imbalance", (most, least), why))
    return found


def doubles(
    groups: Sequence[Sequence[int]],
    names: Sequence[str],
    parts: Sequence[str],
    classes: Sequence[str],
    *,
    prefix: str = "",
) -> list[Finding]:
    """Findings of groups of samples that are the same (prefix "") or look it ("near-"): each is a
    leak if it is in two parts, else a conflict if in two classes, else a duplicate.
    """
    found = []
    for group in groups:
        within = sorted({parts[i] for i in group})
        labels = sorted({classes[i] for i in group})
        if len(within) > 1:
            kind, why = "leak", " and ".join(within)
        else:
            kind, why = "duplicate", ""
        files = tuple(names[i] for i in group)
        if kind == "leak" or len(labels) == 1:
            name = {"duplicate": f"{prefix}duplicate", "leak": f"{prefix}leak"}[kind]
            found.append(Finding(name, files, why))
        if len(labels) > 1:
            found.append(Finding(f"{prefix}conflict", files, " and ".join(labels)))
    return found
