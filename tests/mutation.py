"""Mutants of our own CUDA C++ kernels, and how many of them verification kills.

    python tests/mutation.py                      every kernel, 5 mutants of each file
    python tests/mutation.py --sample 12 --seed 7 a dozen of them
    python tests/mutation.py --only matmul --all

A mutant is a source with one mistake that people make: a barrier or a wait removed, an index off
by one, the condition of a tail dropped or off by one, a sum that does not begin at zero, an operand
of a stride exchanged. It is killed if a case of an op that the kernel serves fails in the emulator,
and does not fail without the mistake. One that cannot be compiled does not count. Those that
survive because they mean the same, or because nothing can tell, are listed with the reason in
`tests/survivors.toml`; they count as survivors.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import multiprocessing.connection
import os
import random
import re
import signal
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import ModuleType
from unittest import mock

from dlcli_kernels import check, raw, registry
from dlcli_kernels.emulate import CompileError, Emulator, build
from dlcli_kernels.spec import Case

SECONDS = 300  # of processor time; what is not killed until then survives
BUDGET = 300_000_000  # accesses to memory of one launch
SURVIVORS = Path(__file__).with_name("survivors.toml")

# Headers of words and tables rather than of loops: `act` and the emulator's own tests cover them.
WORDS = {"dlcli.cuh", "activation.cuh", "mma.cuh", "bfloat16.cuh", "tma.cuh", "wgmma.cuh"}
IDENTIFIER = r"[A-Za-z_]\w*"
# kind -> (what it looks for in a line of code, what it makes of it)
MISTAKES: dict[str, list[tuple[str, str]]] = {
    "barrier removed": [
        (r"__syncthreads\(\);", ";"),
        (r"__syncwarp\([^;]*\);", ";"),
        (r"async_wait<[^;]*>\(\);", ";"),
        (r"grid_sync\([^;]*\);", ";"),
    ],
    "index off by one": [
        (rf"({IDENTIFIER})\[([^\]\[;]+)\](?!\s*(?:=\s*\{{|;\s*$|,\s*\w+\[))", r"\1[\2 + 1]")
    ],
    "tail dropped": [
        (r"if \([^;{}]*(?:>=|<)[^;{}]*\) (?:return|continue);", ";"),
        (r"if \(([^(){};]*) < ([^(){};]*)\) (?=\w)", ""),
    ],
    "tail off by one": [
        (r"(if \([^;]*?) >= ", r"\1 > "),
        (r"((?:if|bool inside =|return) ?\(?[^;]*?\w) < (?=\w)", r"\1 <= "),
    ],
    "sum not zeroed": [
        (r"(float (?:\w+, )*\w*(?:sum|acc|total)\w*) = 0(?:\.0f)?\b", r"\1 = 1"),
        (r"(float \w+(?:\[\w+\])+) = \{\};", r"\1 = {1};"),
    ],
    "stride exchanged": [
        (rf"\* ({IDENTIFIER}) \+ ({IDENTIFIER})\b(?!\()", r"* \2 + \1"),
        (rf"({IDENTIFIER}) / ({IDENTIFIER})\b", r"\1 % \2"),
        (rf"({IDENTIFIER}) % ({IDENTIFIER})\b", r"\1 / \2"),
    ],
}


NO_LOOP = ("#", "*", "/*", "constexpr", "asm", "static_assert", "struct")  # how a line begins
# Not an index: the extent of an array that is declared.
DECLARATION = re.compile(r"^\s*(?!return\b|else\b)(?:[\w:]+(?:<[^>]*>)?(?:\([^)]*\))?\s+)+\w+\[")


@dataclass(frozen=True)
class Mutant:
    """One mistake in one line of a kernel's source, or of a header that it includes."""

    source: raw.Source
    file: str  # the .cu or .cuh that the line stands in
    line: int
    kind: str
    before: str
    after: str

    @property
    def name(self) -> str:
        """What it is, without the number of the line, which other edits move."""
        return f"{self.file}: {self.kind}: {self.before.strip()} -> {self.after.strip()}"

    def text(self, original: str) -> str:
        """The text of `file` with the mistake in it."""
        lines = original.splitlines()
        lines[self.line - 1] = self.after
        return "\n".join(lines) + "\n"


def _modules(module: ModuleType, found: dict[str, ModuleType]) -> dict[str, ModuleType]:
    """A variant's module and the others of its family that it takes something from."""
    family = module.__name__.rpartition(".")[0] + "."
    found[module.__name__] = module
    for value in list(vars(module).values()):
        name = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", "")
        if str(name).startswith(family) and name not in found:
            _modules(sys.modules[name], found)
    return found


def sources() -> dict[raw.Source, list[registry.Variant]]:
    """Every CUDA C++ source, and the ops that it serves as variants."""
    found: dict[raw.Source, list[registry.Variant]] = {}
    for op in registry.ops().values():
        for variant in registry.variants(op, "cuda"):
            if not variant.module or "cuda_raw" not in variant.name:
                continue
            modules = _modules(variant.module, {}).values()
            for source in {s for m in modules for s in vars(m).values() if type(s) is raw.Source}:
                found.setdefault(source, []).append(variant)
    return found


def _headers(text: str, found: dict[str, str]) -> dict[str, str]:
    """The headers of kernels' loops that a text includes, themselves or through another."""
    for name in re.findall(r'#include "(\w+\.cuh)"', text):
        if name not in WORDS and name not in found:
            found[name] = raw.headers()[name]
            _headers(found[name], found)
    return found


def mutants_of(source: raw.Source) -> Iterator[Mutant]:
    """Every mutant of a source and of the headers of kernels' loops that it includes."""
    for file, text in _headers(source.text(), {source.name: source.text()}).items():
        for number, line in enumerate(text.splitlines(), 1):
            code, _, _ = line.partition("//")
            if not code.strip() or code.lstrip().startswith(NO_LOOP):
                continue
            for kind, patterns in MISTAKES.items():
                if kind == "index off by one" and DECLARATION.match(code):
                    continue
                for pattern, made in patterns:
                    for match in re.finditer(pattern, code):
                        after = code[: match.start()] + match.expand(made) + code[match.end() :]
                        if after != code:
                            yield Mutant(source, file, number, kind, code, after)


class Mutated(Emulator):
    """An emulator in which one file, a source or a header, is another text."""

    def __init__(self, mutant: Mutant, folder: Path) -> None:
        super().__init__(budget=BUDGET)
        self.mutant, self.folder = mutant, folder
        self.headers = mock.Mock(return_value=dict(raw.headers()))
        if mutant.file in self.headers():
            self.headers()[mutant.file] = mutant.text(self.headers()[mutant.file])

    def launch(self, call: raw.Call) -> None:
        if call.kernel.source not in serving(self.mutant):
            return super().launch(call)
        source = call.kernel.source
        changed = source.name == self.mutant.file
        text = self.mutant.text(source.text()) if changed else source.text()
        (self.folder / source.file).write_text(text)
        made = replace(source, folder=str(self.folder))
        with mock.patch.object(build, "headers", self.headers):
            return super().launch(replace(call, kernel=replace(call.kernel, source=made)))


@cache
def _serving() -> dict[raw.Source, list[registry.Variant]]:
    return sources()


@cache
def serving(mutant: Mutant) -> dict[raw.Source, list[registry.Variant]]:
    """The sources that hold the mutant's file, its own first, and the variants of each."""
    if mutant.file == mutant.source.name:
        return {mutant.source: _serving()[mutant.source]}
    others = [s for s in _serving() if mutant.file in _headers(s.text(), {})]
    return {s: _serving()[s] for s in (mutant.source, *others)}


STILLBORN, UNFAIR = "stillborn", "fails without the mistake: "


def _failure(variant: registry.Variant, case: Case, seed: int) -> str:
    try:
        result = check.verify(variant.op, variant, case, variant.precision or "float32", seed=seed)
    except (raw.LaunchError, IndexError, ValueError, OverflowError) as error:
        return f"{type(error).__name__}: {error}"
    return "" if result.ok else result.reason


def examine(mutant: Mutant) -> str:
    """How it was killed; "" if it survived, STILLBORN if it cannot be compiled."""
    with tempfile.TemporaryDirectory() as folder:
        mutated = Mutated(mutant, Path(folder))
        for variant in dict.fromkeys(v for found in serving(mutant).values() for v in found):
            for seed, case in enumerate(variant.op.cases):
                try:
                    with raw.running_on(mutated):
                        killed = _failure(variant, case, seed)
                except CompileError:
                    return STILLBORN
                if killed:
                    with raw.running_on(Emulator(budget=BUDGET)):
                        without = _failure(variant, case, seed)
                    return f"{UNFAIR}{without}" if without else killed
    return ""


def _child(mutant: Mutant, answer: multiprocessing.connection.Connection) -> None:
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    answer.send(examine(mutant))


def examine_all(mutants: list[Mutant], jobs: int) -> Iterator[tuple[Mutant, str]]:
    """`examine`, `jobs` mutants at a time, each in a process of its own: it may crash, or never
    end. They come as they are done.
    """
    fork, waiting, running = multiprocessing.get_context("fork"), [*reversed(mutants)], {}
    while waiting or running:
        while waiting and len(running) < jobs:
            mutant = waiting.pop()
            ours, theirs = multiprocessing.Pipe(duplex=False)
            process = fork.Process(target=_child, args=(mutant, theirs))
            process.start()
            theirs.close()
            running[ours] = mutant, process
        for ours in multiprocessing.connection.wait([*running]):
            mutant, process = running.pop(ours)
            yield mutant, _outcome(process, ours)


def _outcome(
    process: multiprocessing.Process, answer: multiprocessing.connection.Connection
) -> str:
    try:
        found = answer.recv()
    except EOFError:
        found = ""
    answer.close()
    process.join()
    if process.exitcode == -signal.SIGPROF:
        return ""
    if process.exitcode > 0:
        return f"{UNFAIR}Python's code is at fault"
    return f"it crashed ({process.exitcode})" if process.exitcode else found


def choose(each: int | None, only: str, sample: int, seed: int) -> list[Mutant]:
    """Mutants by the options: some of each file, or a sample of those not known to survive."""
    rng = random.Random(seed)
    chosen, seen = [], set()
    for source in sorted(_serving(), key=lambda s: s.name):
        if not source.name.startswith(only):
            continue
        found = {m.name: m for m in mutants_of(source) if m.name not in seen}
        seen |= found.keys()
        names = sorted(found)
        picked = names if each is None else rng.sample(names, min(each, len(names)))
        chosen += [found[name] for name in picked]
    if sample:
        known = survivors()
        chosen = rng.sample([m for m in chosen if m.name not in known], sample)
    return chosen


def survivors() -> dict[str, str]:
    """The mutants that are known to survive, and why."""
    if not SURVIVORS.exists():
        return {}
    return {s["mutant"]: s["why"] for s in tomllib.loads(SURVIVORS.read_text())["survivor"]}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--only", default="", help="sources whose name begins so: matmul, conv/cuda_raw_d…"
    )
    parser.add_argument("--each", type=int, default=5, help="mutants of each source (5)")
    parser.add_argument("--all", action="store_true", help="every mutant of each source")
    parser.add_argument(
        "--sample", type=int, default=0, help="examine only so many, drawn from all"
    )
    parser.add_argument("--seed", type=int, default=0)
    cores = len(os.sched_getaffinity(0))
    parser.add_argument("--jobs", type=int, default=cores, help=f"at a time ({cores}, the cores)")
    parser.add_argument("--fail-under", type=float, default=0.95, help="the least score (0.95)")
    parser.add_argument("--json", type=Path, help="writes what became of each mutant")
    given = parser.parse_args()
    each = None if given.all or given.sample else given.each
    chosen = choose(each, given.only, given.sample, given.seed)
    known, outcomes, apart = survivors(), [], []
    for mutant, outcome in examine_all(chosen, given.jobs):
        if outcome.startswith((STILLBORN, UNFAIR)):
            print(f"not counted  {mutant.name}\n          {outcome}"[:300], flush=True)
            apart.append(mutant)
            continue
        outcomes.append((mutant, outcome))
        print(f"{'killed  ' if outcome else 'SURVIVED'}  {mutant.name}", flush=True)
        print(f"          {outcome or known.get(mutant.name, 'and no reason is listed')}"[:200])
    killed = sum(bool(outcome) for _, outcome in outcomes)
    score = killed / max(len(outcomes), 1)
    files = len({m.source.name for m, _ in outcomes})
    print(
        f"mutation score {score:.1%}: {killed} of {len(outcomes)} mutants of {files} sources killed"
        f" ({len(apart)} more were no mutants)"
    )
    if given.json:
        rows = [
            {"mutant": m.name, "line": m.line, "killed": bool(o), "how": o} for m, o in outcomes
        ]
        given.json.write_text(json.dumps({"score": score, "mutants": rows}, indent=1) + "\n")
    return 0 if outcomes and score >= given.fail_under else 8


if __name__ == "__main__":
    sys.exit(main())
