"""What an op promises: shapes, a reference, gradients, tolerances, the cases to verify and the
shapes to benchmark. NumPy only.

A family's `op.py` builds one `Op` per operation; a variant file implements any of them as a
function of the same name:

    def conv2d(out, x, w, b, *, stride, padding, dilation, groups, act):     # outputs first, then
    inputs, attributes by keyword

An absent optional operand or output is None. A variant writes into the arrays that it is given; it
may rely on them being C-contiguous, aligned and of the dtypes that `infer` names, except along an
axis that the op's `cut` names (a range of it is a view). Floating operands have one dtype.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Spec:
    """The shape and dtype of an array, without the array."""

    shape: tuple[int, ...]
    dtype: np.dtype

    @staticmethod
    def of(array: Any) -> Spec:
        """The spec of what a variant is given for `array`: in native byte order."""
        dtype = array.dtype
        return Spec(array.shape, dtype if dtype.isnative else dtype.newbyteorder("="))

    @property
    def size(self) -> int:
        n = 1
        for extent in self.shape:
            n *= extent
        return n

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    def like(self, *shape: int, dtype: Any = None) -> Spec:
        """A spec of another shape, with this dtype unless one is given."""
        return Spec(tuple(shape), self.dtype if dtype is None else np.dtype(dtype))


@dataclass(frozen=True)
class Tol:
    """An element passes if |got - want| <= rtol·|want| + atol·rms(want).

    `why` is the reason for the figures.
    """

    rtol: float
    atol: float
    why: str


@dataclass(frozen=True)
class Arg:
    """How the checker makes one operand: its shape, its values, its dtype (None: the precision
    under test) and memory layout.
    """

    shape: tuple[int, ...]
    kind: str = "normal"  # normal | uniform (low … high) | integers (low … high-1) | zeros
    low: float = 0.0
    high: float = 1.0
    dtype: Any = None
    layout: str = "C"  # C | F (transposed) | strided (every other element) | reversed


def normal(*shape: int, layout: str = "C") -> Arg:
    """Values from N(0, 1)."""
    return Arg(shape, layout=layout)


def uniform(low: float, high: float, *shape: int, dtype: Any = None) -> Arg:
    """Values from U(low, high)."""
    return Arg(shape, "uniform", low, high, dtype)


def integers(low: int, high: int, *shape: int, dtype: Any = np.int64) -> Arg:
    """Integers in low … high-1."""
    return Arg(shape, "integers", low, high, dtype)


def zeros(*shape: int, dtype: Any = None) -> Arg:
    """Zeros: an accumulator or a flag, never the data of a test."""
    return Arg(shape, "zeros", dtype=dtype)


@dataclass(frozen=True)
class Case:
    """One call to verify or benchmark: its operands and attributes. `make(rng, dtype) -> {name:
    array}` replaces or adds operands that depend on others.
    """

    args: Mapping[str, Arg | None]
    attrs: Mapping[str, Any] = field(default_factory=dict)
    make: Callable[[np.random.Generator, np.dtype], dict[str, np.ndarray]] | None = None
    name: str = ""
    smooth: bool = (
        True  # False: at a kink (ties, a corner of relu), where differences are no gradient
    )

    def label(self) -> str:
        """Shapes and attributes in one line."""
        shapes = " ".join(
            f"{k}={'×'.join(map(str, a.shape)) or '()'}" for k, a in self.args.items() if a
        )
        attrs = " ".join(f"{k}={v}" for k, v in self.attrs.items())
        return " ".join(filter(None, (self.name, shapes, attrs)))


def case(name: str = "", /, make: Any = None, smooth: bool = True, **operands: Any) -> Case:
    """`case(x=normal(2, 3), act="relu")`: `Arg`s are operands, everything else is an attribute;
    operands not given are absent (None).
    """
    args = {k: v for k, v in operands.items() if isinstance(v, Arg)}
    attrs = {k: v for k, v in operands.items() if not isinstance(v, Arg)}
    return Case(args, attrs, make, name, smooth)


class SparseGradient:
    """A gradient of a table (V, D) that is zero but for a few rows, as an op's `grad` may give it:
    whoever gathers gradients decides in which of the two forms it is made.
    """

    def dense(self, call: Callable[..., Any]) -> Any:
        """The whole table."""
        raise NotImplementedError

    def rows(self, call: Callable[..., Any]) -> tuple[Any, Any]:
        """index (C,) int64 and values (C, D): the rows in ascending order, each once, and what is
        theirs. Places that are left over have the index V and zeros.
        """
        raise NotImplementedError


Cut = Mapping[str, int]


@dataclass(eq=False, repr=False)
class Op:
    """One operation. `infer`, `reference` and `grad` are described in the fields; names of
    operands come from `infer`'s signature.
    """

    name: str
    # (*Spec | None, **attrs) -> the outputs by name, in order
    infer: Callable[..., dict[str, Spec]]
    # (*array | None, **attrs) -> the outputs, one or a tuple; inout operands are updated in place
    reference: Callable[..., Any]
    # (call, ins, outs, douts, needed, **attrs) -> {input: gradient or SparseGradient}
    grad: Callable[..., dict[str, Any]] | None = None
    # (call, *ins, **attrs) -> the required outputs, in plain ops
    decompose: Callable[..., Any] | None = None
    inout: tuple[str, ...] = ()  # inputs that are updated in place
    optional: tuple[str, ...] = ()  # outputs that only backward needs
    cut: Cut | Callable[..., Cut | None] | None = None  # operand -> axis of independent work
    partial: tuple[str, ...] = ()  # outputs that are sums over the ranges
    # (*Spec | None, **attrs) -> rows per range, more where partial sums would be too many; None: by
    # the bytes that they touch
    grain: Callable[..., int | None] | None = None
    offset: bool = False  # variant and reference get `start=`, the first index of the range
    tolerance: Mapping[str, Tol] = field(default_factory=dict)
    cases: Sequence[Case] = ()
    bench: Sequence[Case] = ()
    # (device, precision) -> the variants that may run by default, in order
    prefer: Mapping[tuple[str, str], Sequence[str]] = field(default_factory=dict)
    precision_of: str = ""  # the operand whose dtype is the precision; the first by default
    wide: tuple[str, ...] = ()  # floating inputs that are float64 whatever the precision is
    # (*Spec | None, **attrs) -> floating-point operations of a call; None: memory is what it costs
    flops: Callable[..., int] | None = None
    # (*Spec | None, **attrs) -> bytes that a call must move; None: every operand and output once
    traffic: Callable[..., int] | None = None
    # operand -> axis any subset of which is a call by itself, where `cut` leaves partial sums
    sample: Cut | Callable[..., Cut | None] | None = None
    # (**sizes with defaults) -> the case of these sizes, e.g. sized(M=256, N=64, K=64)
    sized: Callable[..., Case] | None = None
    inputs: tuple[str, ...] = field(init=False)
    attrs: tuple[str, ...] = field(init=False)
    family: str = field(init=False, default="")

    def __post_init__(self) -> None:
        parameters = inspect.signature(self.infer).parameters.values()
        self.inputs = tuple(p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD)
        self.attrs = tuple(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)
        self.precision_of = self.precision_of or self.inputs[0]

    def __repr__(self) -> str:
        return f"Op({self.name!r})"

    def cut_axes(self, ins: Sequence[Spec | None], attrs: Mapping[str, Any]) -> Cut | None:
        """The axes to cut for these operands, or None if the call is one piece of work."""
        return self.cut(*ins, **attrs) if callable(self.cut) else self.cut

    def sample_axes(self, ins: Sequence[Spec | None], attrs: Mapping[str, Any]) -> Cut | None:
        """Axes any subset of which is a call by itself, or None: all of the outputs is one piece.

        Those of the cut, or of `sample` where ranges of the cut leave partial sums.
        """
        axes = self.cut_axes(ins, attrs)
        if axes is not None and not set(self.partial) - set(axes):
            return axes
        return self.sample(*ins, **attrs) if callable(self.sample) else self.sample

    def work(self, ins: Sequence[Spec | None], attrs: Mapping[str, Any]) -> tuple[int, int]:
        """(floating-point operations, bytes moved) of one call at the least: what a roofline needs.

        0 operations where the op says nothing: it is then bound by memory. Operands that are
        updated in place are read and written; outputs that only backward needs are counted.
        """
        flops = 0 if self.flops is None else int(self.flops(*ins, **attrs))
        if self.traffic is not None:
            return flops, int(self.traffic(*ins, **attrs))
        read = sum(spec.nbytes for spec in ins if spec is not None)
        updated = [spec for n, spec in zip(self.inputs, ins, strict=True) if n in self.inout]
        written = (*self.outputs(ins, attrs).values(), *updated)
        return flops, read + sum(spec.nbytes for spec in written if spec is not None)

    def precision(self, ins: Sequence[Spec | None]) -> str:
        """The name of the dtype that says which variants and tolerances apply."""
        spec = ins[self.inputs.index(self.precision_of)]
        return spec.dtype.name if spec is not None else "float32"

    def outputs(self, ins: Sequence[Spec | None], attrs: Mapping[str, Any]) -> dict[str, Spec]:
        """What `infer` says. ValueError if the operands do not fit the op or each other.

        The floating ones must have one dtype, but those named in `wide`, which are float64.
        """
        self._check_precision(ins)
        return self.infer(*ins, **attrs)

    def _check_precision(self, ins: Sequence[Spec | None]) -> None:
        main = ins[self.inputs.index(self.precision_of)]
        for name, spec in zip(self.inputs, ins, strict=True):
            if main is None or spec is None or spec.dtype.kind != "f":
                continue
            want = np.dtype(np.float64) if name in self.wide else main.dtype
            if spec.dtype != want:
                raise ValueError(
                    f"{self.name}: {name} is {spec.dtype} and {self.precision_of} {main.dtype}, "
                    f"but {name} must be {want}"
                )

    def namespace(
        self, values: Sequence[Any], names: Sequence[str] | None = None
    ) -> SimpleNamespace:
        """Operands by name, for `grad`."""
        return SimpleNamespace(**dict(zip(names or self.inputs, values, strict=True)))


def as_tuple(result: Any) -> tuple[Any, ...]:
    """What a reference returned as a tuple of outputs."""
    if result is None:
        return ()
    return result if isinstance(result, tuple) else (result,)
