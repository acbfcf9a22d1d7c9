"""What every CUDA C++ kernel may use: registers, spills, local and shared memory. Needs no GPU.

A variant's host code runs on every case and benchmark shape of its ops with a target that only
records, so that each specialisation that can be launched is known; each is compiled for every
architecture that it is for. What they use is compared with the family's `budget.json`, the worst
over the architectures, and with what the hardware has. `bench/budget.py` writes the budgets.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np

from . import cuda_cache, cuda_compile, registry
from .launch import Launch
from .raw import Call, Kernel, Simulated, Source, fitting, running_on
from .registry import Variant
from .spec import Case, Op, Spec

KB = 1 << 10
REGISTERS = 1 << 16  # of a multiprocessor, and at most of a block
RESERVED = KB  # shared memory of each block that the system takes
REMEDY = "if that is meant: python bench/budget.py --write {family}"


@dataclass(frozen=True)
class Hardware:
    """A multiprocessor: bytes of shared memory of a block and of all, threads, blocks; how many
    multiprocessors the common card has. Source: CUDA C++ Programming Guide, compute capabilities.
    """

    multiprocessors: int
    block_shared: int
    shared: int
    threads: int = 2048
    blocks: int = 32


HARDWARE = {
    "sm_80": Hardware(108, 163 * KB, 164 * KB),  # A100
    "sm_90": Hardware(132, 227 * KB, 228 * KB),  # H100, H200
    "sm_100": Hardware(148, 227 * KB, 228 * KB),  # B200
}


class Recorder(Simulated):
    """A target that launches nothing.

    used: each kernel that would be, with the most threads of a block and the most bytes of dynamic
    shared memory.
    """

    def __init__(self, arch: str) -> None:
        self.arch = arch
        self.multiprocessors = HARDWARE[arch].multiprocessors
        self.used: dict[Kernel, tuple[int, int]] = {}

    def launch(self, call: Call) -> None:
        """Notes the kernel."""
        threads, shared = self.used.get(call.kernel, (0, 0))
        x, y, z = call.block
        self.used[call.kernel] = max(threads, x * y * z), max(shared, call.shared)


@dataclass(frozen=True)
class Row:
    """One kernel compiled for one architecture. threads: of its largest block; shared: bytes, the
    static and the dynamic part; spills and stack: bytes per thread.
    """

    variant: str
    kernel: str
    arch: str
    threads: int
    registers: int
    spills: int
    stack: int
    shared: int
    advice: tuple[str, ...] = ()

    @property
    def hardware(self) -> Hardware:
        return HARDWARE[self.arch.rstrip("a")]

    @property
    def blocks(self) -> int:
        """How many blocks a multiprocessor holds at once; 0: the kernel cannot be launched."""
        hardware = self.hardware
        warps = -(-self.threads // 32)
        registers = warps * -(-self.registers * 32 // 256) * 256  # handed out in such pieces
        if self.threads > 1024 or registers > REGISTERS or self.shared > hardware.block_shared:
            return 0
        return min(
            hardware.blocks,
            hardware.threads // (warps * 32),
            REGISTERS // max(registers, 1),
            hardware.shared // (self.shared + RESERVED),
        )

    @property
    def occupancy(self) -> float:
        """Threads at once, as a share of what a multiprocessor can have."""
        return self.blocks * -(-self.threads // 32) * 32 / self.hardware.threads

    def faults(self) -> list[str]:
        """Why it cannot be launched, or what the assembler advises against."""
        found = list(self.advice)
        if not self.blocks:
            found.append(
                f"a block of {self.threads} threads with {self.registers} registers each and "
                f"{self.shared} bytes of shared memory cannot be launched"
            )
        return [f"{self.variant}: {self.kernel} on {self.arch}: {why}" for why in found]


Budget = Mapping[str, Mapping[str, int]]  # kernel -> registers, spills, stack, shared
FIELDS = ("registers", "spills", "stack", "shared")


def raw_variants(op: Op) -> list[Variant]:
    """The op's variants in CUDA C++."""
    return [v for v in registry.variants(op, "cuda") if v.module is not None and _sources(v)]


def _sources(variant: Variant) -> list[Source]:
    return [value for value in vars(variant.module).values() if isinstance(value, Source)]


def families() -> dict[str, tuple[str, ...]]:
    """The variants in CUDA C++ by family."""
    found: dict[str, set[str]] = {}
    for op in registry.ops().values():
        found.setdefault(op.family, set()).update(v.name for v in raw_variants(op))
    return {family: tuple(sorted(names)) for family, names in sorted(found.items()) if names}


def kernels_of(op: Op, variant: Variant, arch: str) -> dict[Kernel, tuple[int, int]]:
    """Every kernel that the variant launches for the op's cases and benchmark shapes on a device of
    `arch`: the most threads of a block, and bytes of dynamic shared memory.
    """
    recorder = Recorder(arch)
    with running_on(recorder):
        for ins, attrs in _signatures(op):
            if not variant.supports(ins, attrs):
                continue
            for optional in (True, False) if op.optional else (True,):
                launch = Launch(op, variant, ins, attrs, optional=optional)
                arrays = [None if spec is None else recorder.empty(spec) for spec in ins]
                launch.run_whole(launch.allocate(recorder.empty), arrays, recorder.empty)
    return recorder.used


@functools.cache
def _signatures(op: Op) -> list[tuple[list[Spec | None], dict[str, Any]]]:
    """Specs and attributes of every case and benchmark shape, in every precision, each once."""
    found: dict[str, tuple[list[Spec | None], dict[str, Any]]] = {}
    for case in (*op.cases, *op.bench):
        attrs = {k: v for k, v in case.attrs.items() if k in op.attrs}
        for dtype in filter(None, map(_dtype, op.tolerance)):
            ins = _specs(op, case, dtype)
            found.setdefault(repr((ins, attrs)), (ins, attrs))
    return list(found.values())


def _specs(op: Op, case: Case, precision: np.dtype) -> list[Spec | None]:
    specs = {
        name: Spec(arg.shape, precision if arg.dtype is None else np.dtype(arg.dtype))
        for name, arg in case.args.items()
        if arg is not None
    }
    if case.make is not None:
        made = case.make(np.random.default_rng(0), precision)
        specs.update({name: Spec.of(array) for name, array in made.items()})
    return [specs.get(name) for name in op.inputs]


def _dtype(precision: str) -> np.dtype | None:
    """The dtype of a precision's operands; None for one that is computed in but not stored."""
    try:
        return np.dtype(precision)
    except TypeError:
        try:
            import ml_dtypes
        except ImportError:
            return None
        return np.dtype(getattr(ml_dtypes, precision)) if hasattr(ml_dtypes, precision) else None


def measure(family: str, variant: str, archs: Sequence[str] = tuple(HARDWARE)) -> list[Row]:
    """What the variant's kernels use, compiled for each architecture that they are for.

    Raises CompileError with file and line.
    """
    rows = []
    for arch in archs:
        used: dict[Kernel, tuple[int, int]] = {}
        for op in registry.ops().values():
            for found in raw_variants(op) if op.family == family else ():
                if found.name == variant:
                    for kernel, (threads, shared) in kernels_of(op, found, arch).items():
                        before = used.get(kernel, (0, 0))
                        used[kernel] = max(before[0], threads), max(before[1], shared)
        for kernel, (threads, shared) in used.items():
            rows.append(_row(variant, kernel, arch, threads, shared))
    return sorted(rows, key=lambda row: row.kernel)


def _row(variant: str, kernel: Kernel, device: str, threads: int, dynamic: int) -> Row:
    arch = fitting(kernel.source.archs, device)
    if not arch:
        raise ValueError(f"{variant} launches {kernel.label()}, which is not for {device}")
    cubin = cuda_cache.cubin(kernel.source, kernel.constants, arch)
    if kernel.name not in cubin.resources:
        raise ValueError(f"{kernel.source.name} has no kernel {kernel.name}")
    uses = cubin.resources[kernel.name]
    own = kernel.source.file == f"{variant}.cu"
    return Row(
        variant,
        kernel.label() if own else f"{kernel.source.file}: {kernel.label()}",
        arch,
        threads,
        uses.registers,
        uses.spills,
        uses.stack,
        uses.shared + dynamic,
        cubin.advice,
    )


def budget_of(rows: Sequence[Row]) -> dict[str, dict[str, int]]:
    """The budget that just allows the rows: the worst of each kernel over the architectures."""
    worst: dict[str, dict[str, int]] = {}
    for row in rows:
        entry = worst.setdefault(row.kernel, dict.fromkeys(FIELDS, 0))
        for field in FIELDS:
            entry[field] = max(entry[field], getattr(row, field))
    return worst


def read(family: str) -> dict[str, Any]:
    """The family's budget.json: {"nvrtc": "13.5", "variants": {variant: budget}}; empty if there is
    none.
    """
    file = resources.files(f"dlcli_kernels.{family}") / "budget.json"
    if not file.is_file():
        return {"nvrtc": "", "variants": {}}
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def compiler() -> str:
    """NVRTC's version as budgets name it."""
    return "{}.{}".format(*cuda_compile.version())


def excesses(family: str, rows: Sequence[Row], budget: Budget, same_compiler: bool) -> list[str]:
    """Everything that is over the budget or cannot be launched, in sentences.

    Registers and stack move with the compiler's version and are compared within one only.
    """
    found = [fault for row in rows for fault in row.faults()]
    worst = budget_of(rows)
    fields = FIELDS if same_compiler else ("spills", "shared")
    for kernel, used in worst.items():
        if kernel not in budget:
            found.append(f"{kernel} has no budget")
            continue
        found += [
            f"{kernel} uses {used[field]} of {field}, its budget is {budget[kernel][field]}"
            for field in fields
            if used[field] > budget[kernel][field]
        ]
    found += [f"{kernel} has a budget and is launched no more" for kernel in budget.keys() - worst]
    return [f"{why}; {REMEDY.format(family=family)}" for why in found]
