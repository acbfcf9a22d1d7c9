"""The eager tape: `apply` runs an op and appends a node, `backward` is one loop back over them.

Append order is a topological order, so nothing recurses: a sequence of any length works. A tape is
consumed by the backward pass that walks it, node by node, so that activations are freed as soon as
they have been used.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from dlcli_kernels.registry import op as find_op
from dlcli_kernels.spec import Op, SparseGradient, Spec

from . import executor
from .tensor import Tensor


class Node:
    """One op that ran: its operands, its outputs (None where not made), its attributes."""

    __slots__ = ("attrs", "ins", "names", "op", "outs")

    def __init__(
        self,
        op: Op,
        ins: Sequence[Tensor | None],
        names: Sequence[str],
        outs: Sequence[Tensor | None],
        attrs: dict[str, Any],
    ) -> None:
        self.op, self.ins, self.names, self.outs, self.attrs = op, ins, names, outs, attrs


_tape: list[Node] = []
_recording = True


@contextmanager
def no_grad() -> Iterator[None]:
    """Runs ops without recording them."""
    global _recording
    before, _recording = _recording, False
    try:
        yield
    finally:
        _recording = before


def clear() -> None:
    """Forgets what was recorded: a forward pass that no backward pass will follow."""
    _tape.clear()


def apply(name: str, *tensors: Tensor | None, **attrs: Any) -> Any:
    """Runs op `name` on tensors (None for an absent operand; trailing ones may be left out).

    Returns its required output, or a tuple of them where there are several (an op that only
    updates operands returns an empty tuple). A fused op for which the device has no kernel at all
    runs, and is recorded, as the plain ops that it is made of.
    """
    op = find_op(name)
    if op.decompose is not None and not executor.current().has_kernel(op):
        return op.decompose(apply, *tensors, **attrs)
    ins = tensors + (None,) * (len(op.inputs) - len(tensors))
    wanted = _recording and any(t is not None and t.requires_grad for t in ins)
    names, arrays = executor.current().run(
        op, [None if t is None else t.data for t in ins], attrs, wanted
    )
    outs = tuple([None if a is None else Tensor(a, wanted, leaf=False) for a in arrays])
    if wanted:
        _tape.append(Node(op, ins, names, outs, attrs))
    if not op.optional and len(outs) == 1:
        return outs[0]
    required = tuple([o for n, o in zip(names, outs, strict=True) if n not in op.optional])
    return required[0] if len(required) == 1 else required


def _reshape_grad(
    call: Any, ins: Any, outs: Any, douts: Any, needed: set[str]
) -> dict[str, Tensor]:
    return {"x": Tensor(douts.out.data.reshape(ins.x.shape), leaf=False)}


VIEW = Op("reshape", lambda x: {"out": x}, lambda x: x, _reshape_grad)


def reshape(x: Tensor, shape: Sequence[int]) -> Tensor:
    """A view of x in another shape. Not a kernel: nothing is computed or copied."""
    recorded = _recording and x.requires_grad
    out = Tensor(x.data.reshape(tuple(shape)), recorded, leaf=False)
    if recorded:
        _tape.append(Node(VIEW, (x,), ("out",), (out,), {}))
    return out


def backward(loss: Tensor) -> None:
    """Adds d loss / d leaf to the `grad` of every leaf that requires it, and consumes the tape. A
    gradient of few rows goes to the leaf's list `sparse` if it has one.

    loss: a scalar, or any shape (its sum is then differentiated). ValueError if it was not
    recorded, or if an earlier pass has consumed what it is made of: where two losses share a part,
    differentiate their sum.
    """
    global _tape
    if not loss.requires_grad:
        raise ValueError("backward: the loss does not depend on anything that requires a gradient")
    tape, _tape = _tape, []
    with no_grad():
        one = Tensor(executor.current().empty(Spec.of(loss.data)))
        apply("fill", one, value=1.0)
        grads: dict[int, Tensor] = {id(loss): one}
        while tape:
            node = tape.pop()
            douts = [None if o is None else grads.pop(id(o), None) for o in node.outs]
            if all(d is None for d in douts):
                continue
            op = node.op
            needed = {
                n
                for n, t in zip(op.inputs, node.ins, strict=True)
                if t is not None and t.requires_grad
            }
            if op.grad is None:
                raise NotImplementedError(f"{op.name} has no gradient")
            found = op.grad(
                apply,
                op.namespace(node.ins),
                op.namespace(node.outs, node.names),
                op.namespace(douts, node.names),
                needed,
                **node.attrs,
            )
            for name, tensor in zip(op.inputs, node.ins, strict=True):
                grad = found.get(name)
                if grad is None or tensor is None or name not in needed:
                    continue
                if tensor.leaf and tensor.sparse is not None and isinstance(grad, SparseGradient):
                    tensor.sparse.append(grad)
                    continue
                if isinstance(grad, SparseGradient):
                    grad = grad.dense(apply)
                if tensor.leaf:
                    accumulate(tensor, grad)
                else:
                    before = grads.get(id(tensor))
                    grads[id(tensor)] = grad if before is None else apply("add", before, grad)
    if grads:
        raise ValueError("backward: what the loss is made of is not, or no longer, on the tape")


def accumulate(leaf: Tensor, grad: Tensor) -> None:
    """Writes a step's first gradient of a leaf into the leaf's buffer, adds the later ones.

    The buffer is the leaf's own, made here if there is none: `grad` may be another leaf's too.
    """
    if leaf.grad is None:
        leaf.grad = Tensor(executor.current().empty(Spec.of(grad.data)))
        leaf.grad_is_stale = True
    apply("assign" if leaf.grad_is_stale else "add_to", leaf.grad, grad)
    leaf.grad_is_stale = False
