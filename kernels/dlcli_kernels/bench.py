"""Times the variants of an op beside a vendor's: correct before, correct after, cold and warm.

A variant whose outputs are wrong, on the very arrays that are timed, gets no time; afterwards it
must be right on fresh inputs in the same arrays. Cold: the caches were flushed, then the same was
done to other arrays, so that code and threads are warm and the data alone are not; one call is
timed. Warm: the same call has just been made. All variants and the vendor take turns. A cold time
that beats the roofline by more than 5 % is an error of measurement, in the operations that are
really executed: a variant that does less than the op's count exports `work(op, *specs, **attrs)`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .bench_device import Device
from .bench_gate import Failed, Gate, poison
from .bench_row import Row
from .bench_sizes import Shape
from .bench_vendor import Vendor, vendor_of
from .check_compare import specs_of
from .check_data import dtype_of, make_inputs
from .launch import Launch
from .registry import Variant
from .spec import Op, Spec, Tol
from .timing import SHORT, Function, Sample, measure, ratio

IN_A_GRAPH = 20  # calls
SAME = 100.0  # tolerances within which a vendor's result is taken for the same thing


@dataclass(frozen=True)
class Settings:
    """repeats: of each function, at most what fits into `budget` seconds per case, cold and warm
    each. seed: of the inputs. vendor: whether one is measured.
    """

    repeats: int = 20
    seed: int = 0
    budget: float = 2.0
    min_time: float = 1e-3
    vendor: bool = True


class Subject:
    """A variant with the arrays that it runs on: inputs shared with others, outputs its own."""

    def __init__(
        self,
        device: Device,
        launch: Launch,
        ins: Mapping[str, Any],
        host: Sequence[np.ndarray | None],
    ) -> None:
        self.device, self.launch, self.op = device, launch, launch.op
        own = zip(self.op.inputs, host, strict=True)
        self.updated = {n: device.put(a) for n, a in own if n in self.op.inout and a is not None}
        self.ins = [{**ins, **self.updated}.get(name) for name in self.op.inputs]
        self.outs = [None if s is None else device.put(poison(s)) for s in launch.outputs]

    def run(self) -> None:
        """One call."""
        self.device.run(self.launch, self.outs, self.ins)

    def outputs(self, host: Sequence[np.ndarray | None]) -> dict[str, np.ndarray]:
        """What one call makes of the inputs: the updated operands get their first values again."""
        for name, values in zip(self.op.inputs, host, strict=True):
            if name in self.updated and values is not None:
                self.device.assign(self.updated[name], values)
        for out, spec in zip(self.outs, self.launch.outputs, strict=True):
            if out is not None and spec is not None:
                self.device.assign(out, poison(spec))
        self.run()
        found = dict(zip(self.launch.names, self.outs, strict=True)) | self.updated
        return {name: self.device.get(a) for name, a in found.items() if a is not None}


def inputs(op: Op, shape: Shape, precision: str, seed: int) -> list[np.ndarray | None]:
    """Random operands of a case, contiguous."""
    made = make_inputs(op, shape.case, np.random.default_rng(seed), dtype_of(precision))
    return [None if a is None else np.ascontiguousarray(a).reshape(a.shape) for a in made]


def attributes(op: Op, shape: Shape) -> dict[str, Any]:
    """The case's attributes that the op knows."""
    return {k: v for k, v in shape.case.attrs.items() if k in op.attrs}


def operations_of(op: Op, shape: Shape, precision: str) -> int:
    """Floating-point operations of a case, without making it; 0 where its operands say too little.

    Those of a case that makes its own operands are not known before.
    """
    if op.flops is None or shape.case.make is not None:
        return 0
    args = [shape.case.args.get(name) for name in op.inputs]
    dtype = dtype_of(precision)
    specs = [None if a is None else Spec(a.shape, np.dtype(a.dtype or dtype)) for a in args]
    return op.work(specs, attributes(op, shape))[0]


def memory_of(op: Op, shape: Shape, precision: str) -> int:
    """About how many bytes of the host's memory a case takes at the most.

    Operands are drawn in float64, widened for the reference, and held twice for the kernels.
    """
    item = dtype_of(precision).itemsize
    args = [arg for arg in shape.case.args.values() if arg is not None]
    specs = [Spec(arg.shape, np.dtype(arg.dtype or dtype_of(precision))) for arg in args]
    return sum(spec.size * (16 + 4 * item) for spec in specs)


class CaseBench:
    """One case of one op: `rows` holds one row for each variant that takes the case."""

    def __init__(
        self,
        device: Device,
        op: Op,
        shape: Shape,
        precision: str,
        variants: Sequence[Variant],
        settings: Settings,
    ) -> None:
        self.device, self.op, self.settings = device, op, settings
        self.shape, self.precision = shape, precision
        self.host = inputs(op, shape, precision, settings.seed)
        self.attrs = attributes(op, shape)
        specs = specs_of(self.host)
        tol = op.tolerance[precision]
        self.gate = Gate(op, specs, self.attrs, tol, seed=settings.seed)
        self.ins, self.other_ins = self._put(), self._put()
        self.subjects: dict[str, Subject] = {}
        self.others: dict[str, Subject] = {}  # the same on other arrays
        self.rows: dict[str, Row] = {}
        for variant in variants:
            if variant.supports(specs, self.attrs):
                launch = Launch(op, variant, specs, self.attrs)
                self.subjects[variant.name] = Subject(device, launch, self.ins, self.host)
                self.others[variant.name] = Subject(device, launch, self.other_ins, self.host)
                self.rows[variant.name] = self._row(variant)

    def _put(self) -> dict[str, Any]:
        """Copies of the inputs that no call changes, by name."""
        named = zip(self.op.inputs, self.host, strict=True)
        return {n: self.device.put(a) for n, a in named if a is not None and n not in self.op.inout}

    def _row(self, variant: Variant) -> Row:
        specs = specs_of(self.host)
        executed = getattr(variant.module, "work", None)
        work = self.op.work(specs, self.attrs)
        if executed is not None:
            work = executed(self.op.name, *specs, **self.attrs)
        row = Row(self.op.name, variant.name, self.shape.case.label(), self.precision,
                  self.device.name, *work, sizes=self.shape.sizes)  # fmt: skip
        row.compared = self.gate.coverage()
        return row

    def verify(self, when: str = "") -> None:
        """Refuses the variants whose outputs are wrong. They run before the reference does."""
        found = {n: s.outputs(self.host) for n, s in self.running().items()}
        want = self.gate.expected(self.host)
        for name, outputs in found.items():
            try:
                error = self.gate.compare(outputs, want)
                self.rows[name].error = max(self.rows[name].error, error)
            except Failed as failure:
                self.rows[name].refuse(f"wrong{when}: {failure}")

    def running(self) -> dict[str, Subject]:
        """The variants that have not been refused."""
        return {name: s for name, s in self.subjects.items() if not self.rows[name].reason}

    def renew(self) -> None:
        """Fresh values in the same arrays."""
        self.host = inputs(self.op, self.shape, self.precision, self.settings.seed + 1)
        for name, values in zip(self.op.inputs, self.host, strict=True):
            if name in self.ins and values is not None:
                self.device.assign(self.ins[name], values)

    def _vendor(self, ins: Mapping[str, Any]) -> Vendor | None:
        if not self.settings.vendor or self.op.inout:
            return None
        operands = [ins.get(name) for name in self.op.inputs]
        return vendor_of(self.op, operands, self.attrs, self.precision,
                         device=self.device.name, threads=self.device.threads)  # fmt: skip

    def find_vendor(self) -> tuple[Vendor | None, str]:
        """The vendor whose result is right, or none and why not."""
        vendor = self._vendor(self.ins)
        if vendor is None:
            return None, ""
        vendor.begin()
        found = vendor.results(vendor.call())
        vendor.end()
        want = {k: v for k, v in self.gate.expected(self.host).items() if k in found}
        tol = self.gate.tol
        same = Tol(tol.rtol * SAME, tol.atol * SAME, why="the same quantity, however it is summed")
        try:
            error = SAME * self.gate.compare(found, want, same)
        except Failed as failure:
            return None, f"{vendor.name} is left out, since it computes something else: {failure}"
        wide = f"{vendor.name} is {error:.2g} times the tolerance off" if error > 1 else ""
        return vendor, wide

    def time(self) -> None:
        """Times what has not been refused and the vendor, cold and warm, by turns."""
        subjects = self.running()
        if not subjects:
            return
        vendor, note = self.find_vendor()
        functions: dict[str, Function] = {n: s.run for n, s in subjects.items()}
        others: dict[str, Function] = {n: self.others[n].run for n in subjects}
        begin: dict[str, Callable[[], None]] = {}
        if vendor is not None:
            begin = dict.fromkeys(functions, vendor.end) | {"": vendor.begin}
            other = self._vendor(self.other_ins)
            functions[""], others[""] = vendor.call, other.call if other else vendor.call
        cold = self._measured(functions, begin, others)
        warm = self._measured(functions, begin, None)
        if vendor is not None:
            vendor.end()
        for name, subject in subjects.items():
            row = self.rows[name]
            row.cold, row.warm, row.note = cold[name], warm[name], note
            if vendor is not None:
                row.vendor, row.vendor_cold, row.vendor_warm = vendor.name, cold[""], warm[""]
                row.speedup = ratio(warm[""], warm[name])
            if row.warm.median < SHORT and hasattr(self.device.clock, "replayed"):
                row.replayed = self._replayed(subject)

    def _measured(
        self,
        functions: Mapping[str, Function],
        begin: Mapping[str, Callable[[], None]],
        others: Mapping[str, Function] | None,
    ) -> dict[str, Sample]:
        """Warm, or cold with `others`: what is called after a flush."""

        def preparation(name: str) -> Callable[[], None]:
            def prepare() -> None:
                if name in begin:
                    begin[name]()
                if others is None:
                    functions[name]()
                else:
                    self.device.flush()
                    others[name]()

            return prepare

        return measure(
            functions,
            repeats=self.settings.repeats,
            warmup=1,
            min_time=self.settings.min_time if others is None else 0.0,
            before={name: preparation(name) for name in functions},
            clock=self.device.clock,
            budget=self.settings.budget,
        )

    def _replayed(self, subject: Subject) -> Sample:
        clock: Any = self.device.clock
        graph = clock.replayed(subject.run, IN_A_GRAPH)
        found = measure({"": graph}, repeats=self.settings.repeats, clock=clock)[""]
        return Sample(found.times / IN_A_GRAPH)


def bench_case(
    device: Device,
    op: Op,
    shape: Shape,
    precision: str,
    variants: Sequence[Variant],
    settings: Settings,
) -> list[Row]:
    """The rows of one case: verified, timed, verified again. None of a variant that refuses it.

    KeyError if the op has no tolerance for the precision; MemoryError if the arrays do not fit.
    What a variant raises is not caught.
    """
    case = CaseBench(device, op, shape, precision, variants, settings)
    case.verify()
    _list_kernels(device, case)
    case.time()
    case.renew()
    case.verify(" after it was timed")
    return list(case.rows.values())


def _list_kernels(device: Device, case: CaseBench) -> None:
    listed: Any = getattr(device, "kernels", None)
    if listed is not None:
        for name, subject in case.running().items():
            case.rows[name].kernels = listed(subject.run)
