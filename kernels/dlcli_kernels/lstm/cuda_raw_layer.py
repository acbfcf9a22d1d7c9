"""A layer as what it is made of: the input products of all steps in one matmul, the steps as
`lstm_sequence` makes them, and for the gradients one product each for dx, dw_ih and dw_hh.

    forwards   zx = x · w_ihᵀ + b, then the steps: 8 N·T·F·H + 8 N·T·H² operations
    gradients  dz of the steps; dx = dz · w_ih; dw = Σ dzᵀ · x and Σ dzᵀ · h before; db = Σ dz

zx and dz, 4 N·T·H floats, go through memory once each way. On the CPU a range of sequences keeps
them in its cache; here the products are large enough to run at their full rate by themselves, and
the steps take longer than that memory. Chosen by analysis; not measured.
"""

from types import ModuleType
from typing import Any, NamedTuple

from ..matmul import cuda_raw_warptile
from ..reduction import cuda_raw_strided
from ..spec import Spec
from . import cuda_raw_persistent, cuda_raw_product, cuda_raw_tiles, raw_product
from .cuda_raw_persistent import SOURCE  # noqa: F401
from .raw_limits import countable

BOUNDARY = 64  # floats: 256 bytes, where what follows the gates in the scratch begins


class Part(NamedTuple):
    """A call of another op: the module of its variant, its inputs, arrays or specs."""

    module: ModuleType
    op: str
    ins: tuple[Any, ...]
    attrs: dict[str, Any]

    @property
    def scratch(self) -> Spec | None:
        """What the variant wants."""
        wants = getattr(self.module, "workspace", None)
        return None if wants is None else wants(self.op, *self.ins, **self.attrs)

    def run(self, room: Any, *outs: Any) -> None:
        """Runs it on arrays; its scratch lies in `room`."""
        attrs, spec = dict(self.attrs), self.scratch
        if spec is not None:
            attrs["scratch"] = (
                room[: _floats(spec)].view(spec.dtype)[: spec.size].reshape(spec.shape)
            )
        getattr(self.module, self.op)(*outs, *self.ins, **attrs)


def _floats(spec: Spec | None) -> int:
    return 0 if spec is None else -(-spec.nbytes // 4)


def _rows(a: Any) -> Any:
    """(N, T, …) as (N·T, …)."""
    n, t, wide = a.shape
    return a.like(n * t, wide) if isinstance(a, Spec) else a.reshape(n * t, wide)


def _gates(x: Any, w_ih: Any) -> Spec:
    """zx or dz: (N, T, 4H)."""
    return Spec((*x.shape[:2], w_ih.shape[0]), x.dtype)


def _steps(op: str, ins: tuple[Any, ...], reverse: bool) -> Part:
    """The steps, by the variant that runs by default."""
    persistent = cuda_raw_persistent.supports(op, *ins)
    module = cuda_raw_persistent if persistent else cuda_raw_tiles
    return Part(module, op, ins, {"reverse": reverse})


def _forwards(zx, x, h0, c0, w_ih, w_hh, b, lengths, reverse):
    """The products of the inputs, the steps."""
    attrs = {"ta": False, "tb": True, "act": None}
    products = Part(cuda_raw_warptile, "matmul", (_rows(x), w_ih, b), attrs)
    return products, _steps("lstm_sequence", (zx, h0, c0, w_hh, lengths), reverse)


def _backwards(dz, above, gates, cells, out, x, h0, c0, w_ih, w_hh, lengths, reverse):
    """The steps, the gradients of w_hh, of b and of x."""
    steps = (*above, gates, cells, c0, w_hh, lengths)
    attrs = {"ta": False, "tb": False, "act": None}
    return (
        _steps("lstm_sequence_grad", steps, reverse),
        Part(cuda_raw_product, "lstm_sequence_wgrad", (dz, out, h0, lengths), {"reverse": reverse}),
        Part(cuda_raw_strided, "sum", (dz,), {"axes": (0, 1)}),
        Part(cuda_raw_warptile, "matmul", (_rows(dz), w_ih, None), attrs),
    )


def _parts(op, ins, reverse=False, with_dx=True):
    if op == "lstm_layer":
        x, _, _, w_ih, *_ = ins
        return _forwards(_gates(x, w_ih), *ins, reverse)
    above, (gates, *others) = ins[:3], ins[3:]
    return _backwards(gates, above, gates, *others, reverse)


def supports(op, *ins, reverse=False, with_dx=True):
    if op not in ("lstm_layer", "lstm_layer_grad"):
        return False
    x, w_ih = (ins[0], ins[3]) if op == "lstm_layer" else (ins[6], ins[9])
    if not countable(*ins, _gates(x, w_ih)):
        return False
    steps = next(part for part in _parts(op, ins) if part.op.startswith("lstm_sequence"))
    return steps.module.supports(steps.op, *steps.ins)


def _before(gates):
    """Floats up to where what follows the gates begins."""
    return -(-gates.size // BOUNDARY) * BOUNDARY


def workspace(op, *ins, reverse=False, with_dx=True):
    """zx or dz, and then the scratch of one part after the other."""
    x, w_ih = (ins[0], ins[3]) if op == "lstm_layer" else (ins[6], ins[9])
    n, t, f = x.shape
    most = max(_floats(part.scratch) for part in _parts(op, ins))
    most = max(most, raw_product.parts_of(w_ih.shape[0], f, n * t))
    return Spec((_before(_gates(x, w_ih)) + most,), x.dtype)


def _split(scratch, spec):
    """The gates' array, and the room for the parts."""
    return scratch[: spec.size].reshape(spec.shape), scratch[_before(spec) :]


def lstm_layer(
    out, h_last, c_last, gates, cells, x, h0, c0, w_ih, w_hh, b, lengths,
    *, reverse=False, scratch,
):  # fmt: skip
    zx, room = _split(scratch, _gates(x, w_ih))
    products, steps = _forwards(zx, x, h0, c0, w_ih, w_hh, b, lengths, reverse)
    products.run(room, _rows(zx))
    steps.run(room, out, h_last, c_last, gates, cells)


def lstm_layer_grad(
    dx, dw_ih, dw_hh, db, dh0, dc0, dout, dh_last, dc_last, gates, cells, out, x, h0, c0,
    w_ih, w_hh, lengths, *, reverse=False, with_dx=True, scratch,
):  # fmt: skip
    dz, room = _split(scratch, _gates(x, w_ih))
    above, saved = (dout, dh_last, dc_last), (gates, cells, out)
    steps, of_w_hh, of_b, of_x = _backwards(
        dz, above, *saved, x, h0, c0, w_ih, w_hh, lengths, reverse
    )
    steps.run(room, dz, dh0, dc0)
    of_w_hh.run(room, dw_hh)
    of_b.run(room, db)
    wanted = raw_product.parts_of(*dw_ih.shape, x.shape[0] * x.shape[1])
    raw_product.weights(
        dw_ih, dz, x, x, lengths, shift=0, scratch=room[:wanted] if wanted else None
    )
    if with_dx:
        of_x.run(room, _rows(dx))
