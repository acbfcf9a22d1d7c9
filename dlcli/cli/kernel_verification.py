"""Runs the checker over cases of variants and gathers what it says, case by case."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dlcli.cli.kernel_choice import Place
from dlcli.errors import DeviceError

SIMULATOR = "NUMBA_ENABLE_CUDASIM"  # numba-cuda reads it when it is imported, and never again
PROGRAM = "import sys; from dlcli.cli.main import main; sys.exit(main())"


@dataclass(frozen=True)
class CaseOutcome:
    """One case: error is the worst one as a share of the tolerance; why says what failed."""

    case: str
    ok: bool
    error: float = 0.0
    why: str = ""
    supported: bool = True
    seconds: float = 0.0


@dataclass(frozen=True)
class Outcome:
    """One variant in one precision. where: cpu, cuda, emulator, simulator, or "" and `why` not."""

    op: str
    variant: str
    precision: str
    where: str
    why: str = ""
    tolerance: str = ""
    of: int = 0  # cases in the contract
    cases: list[CaseOutcome] = field(default_factory=list)

    @property
    def run(self) -> list[CaseOutcome]:
        """The cases that the variant supports."""
        return [case for case in self.cases if case.supported]

    @property
    def failed(self) -> list[CaseOutcome]:
        return [case for case in self.cases if not case.ok]

    @property
    def worst(self) -> CaseOutcome | None:
        """The case with the largest error among those that passed."""
        return max((c for c in self.run if c.ok), key=lambda c: c.error, default=None)


def select(op: Any, kind: str, count: int, seed: int) -> list[Any]:
    """The cases to run: all of the op's, `count` of them drawn, or `count` new ones ("random")."""
    rng = np.random.default_rng([seed, zlib.crc32(op.name.encode())])
    if kind == "random":
        from dlcli_kernels.check_random import random_case

        return [random_case(op, rng) for _ in range(count)]
    if kind == "all" or count >= len(op.cases):
        return list(op.cases)
    return [op.cases[i] for i in sorted(rng.choice(len(op.cases), count, replace=False))]


def verify(
    variant: Any,
    place: Place,
    precision: str,
    cases: Sequence[Any],
    seed: int,
    tick: Callable[[], None],
) -> Outcome:
    """Runs the cases at a place, each with operands of its own; what a kernel raises is a failure.

    tick: called after each case.
    """
    from dlcli_kernels import check, user

    done = []
    errors = user.kernel_errors()
    with _at(place):
        for i, case in enumerate(cases):
            began = time.perf_counter()
            try:
                result = check.verify(variant.op, variant, case, precision, seed=seed + i)
            except errors as error:
                done.append(CaseOutcome(case.label(), False, why=_told(error, variant)))
            else:
                supported = result.reason != "not supported"
                why = "" if result.ok else result.reason
                spent = time.perf_counter() - began
                done.append(
                    CaseOutcome(case.label(), result.ok, result.error, why, supported, spent)
                )
            tick()
    tol = variant.op.tolerance[precision]
    return Outcome(
        variant.op.name,
        variant.name,
        precision,
        place.name,
        tolerance=f"{tol.rtol:g}, {tol.atol:g}",
        of=len(variant.op.cases),
        cases=done,
    )


@contextlib.contextmanager
def _at(place: Place) -> Iterator[None]:
    """Arrays and launches of CUDA kernels belong to the emulator or simulator inside, if that is
    the place.
    """
    from dlcli_kernels import raw

    if place.name == "emulator":
        from dlcli_kernels.emulate import Emulator

        with raw.running_on(Emulator()):
            yield
    elif place.name == "simulator":
        from dlcli_kernels.cuda_numba_simulator import Simulator

        with raw.running_on(Simulator()):
            yield
    else:
        yield


def _told(error: BaseException, variant: Any) -> str:
    """What an exception says, with the line of the kernel's own file if it came through that."""
    from dlcli_kernels import user

    file = getattr(variant, "file", None) or getattr(variant.module, "__file__", None)
    at = user.where_raised(error, Path(file)) if file else ""
    said = " | ".join(line.strip() for line in str(error).strip().splitlines()[:3])
    return f"{type(error).__name__}{f' at {at}' if at else ''}: {said}"


# --- numba-cuda's simulator -----------------------------------------------------------------------


def simulates() -> bool:
    """Whether numba-cuda is, or would be, its simulator in this process."""
    return os.environ.get(SIMULATOR) == "1"


def in_simulator(names: Sequence[str], arguments: Sequence[str]) -> list[Outcome]:
    """`dlcli kernels verify` of some variants ("matmul/cuda_numba_tiled") in a process of its own,
    where numba-cuda is its simulator from the start.

    DeviceError if that process fails.
    """
    path = os.pathsep.join(filter(None, sys.path))
    command = [sys.executable, "-c", PROGRAM, "kernels", "verify", *names, *arguments]
    done = subprocess.run(
        [*command, "--emulate", "--json"],
        env={**os.environ, SIMULATOR: "1", "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        results = json.loads(done.stdout)["results"]
    except (ValueError, KeyError):
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise DeviceError("the simulator could not be run", why=said[-1]) from None
    return [from_document(result) for result in results]


def document(outcome: Outcome) -> dict[str, Any]:
    """An outcome for JSON."""
    worst = outcome.worst
    figures = {
        "ok": not outcome.failed,
        "run": len(outcome.run),
        "failed": len(outcome.failed),
        "worst": None if worst is None else worst.error,
        "worst_case": None if worst is None else worst.case,
    }
    return (
        {k: v for k, v in asdict(outcome).items() if k != "cases"}
        | figures
        | {"cases": [asdict(case) for case in outcome.cases]}
    )


def from_document(found: dict[str, Any]) -> Outcome:
    """The outcome that `document` wrote."""
    names = ("op", "variant", "precision", "where", "why", "tolerance", "of")
    cases = [CaseOutcome(**case) for case in found["cases"]]
    return Outcome(**{name: found[name] for name in names}, cases=cases)
