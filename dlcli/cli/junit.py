"""JUnit XML, the form of test results that CI systems read."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable
from pathlib import Path

from dlcli.cli.kernel_verification import Outcome
from dlcli.cli.output import printable


def write(path: Path, outcomes: Iterable[Outcome]) -> None:
    """One suite for each variant and precision, one test for each case; skipped: unsupported cases,
    and variants that cannot run here.
    """
    root = ET.Element("testsuites", name="dlcli kernels verify")
    for outcome in outcomes:
        cases = outcome.cases
        skipped = len(cases) - len(outcome.run) if outcome.where else 1
        suite = ET.SubElement(
            root,
            "testsuite",
            name=f"{outcome.op}/{outcome.variant} {outcome.precision}",
            tests=str(len(cases) if outcome.where else 1),
            failures=str(len(outcome.failed)),
            errors="0",
            skipped=str(skipped),
            time=f"{sum(case.seconds for case in cases):.3f}",
        )
        if not outcome.where:
            test = ET.SubElement(suite, "testcase", classname=outcome.op, name=outcome.variant)
            ET.SubElement(test, "skipped", message=printable(outcome.why))
        for case in cases:
            test = ET.SubElement(
                suite,
                "testcase",
                classname=f"{outcome.op}.{outcome.variant}.{outcome.precision}",
                name=printable(case.case),
                time=f"{case.seconds:.3f}",
            )
            if not case.ok:
                ET.SubElement(test, "failure", message=printable(case.why))
            elif not case.supported:
                ET.SubElement(test, "skipped", message="not supported")
    ET.indent(root)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(ET.tostring(root, encoding="unicode") + "\n", encoding="utf-8")
