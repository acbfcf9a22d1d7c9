"""The eager tape: `apply` runs an op and appends a node, `backward` is one loop back over them.

Append order is a topological order, so nothing recurses: a sequence of any length works. A tape is
consumed by the backward pass that walks it, node by node, so that activations are freed as soon as
they have been used. `grad` with `create_graph` leaves the tape as it is and appends what it runs:
gradients are then tensors like any other, and can be differentiated again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

from dlcli_kernels.registry import op as find_op
from dlcli_kernels.spec import Op, SparseGradient, Spec, as_tuple

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


@contextmanager
def aside() -> Iterator[list[Node]]:
    """Records on a tape of its own, the list that it gives: no pass back consumes it until
    `put_back` has laid it on the tape.
    """
    global _tape
    before, _tape = _tape, []
    try:
        yield _tape
    finally:
        _tape = before


def put_back(nodes: list[Node]) -> None:
    """What was recorded `aside` is, from now on, what was recorded last."""
    _tape.extend(nodes)


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
    required = _required(op, outs, names)
    return required[0] if len(required) == 1 else required


def _reshape_grad(
    call: Any, ins: Any, outs: Any, douts: Any, needed: set[str]
) -> dict[str, Tensor]:
    return {"x": reshape(douts.out, ins.x.shape)}


VIEW = Op("reshape", lambda x: {"out": x}, lambda x: x, _reshape_grad)


def reshape(x: Tensor, shape: Sequence[int]) -> Tensor:
    """A view of x in another shape. Not a kernel: nothing is computed or copied."""
    recorded = _recording and x.requires_grad
    out = Tensor(x.data.reshape(tuple(shape)), recorded, leaf=False)
    if recorded:
        _tape.append(Node(VIEW, (x,), ("out",), (out,), {}))
    return out


def _required(op: Op, outs: Sequence[Any], names: Sequence[str]) -> tuple[Any, ...]:
    return tuple([o for n, o in zip(names, outs, strict=True) if n not in op.optional])


def _pull(node: Node, douts: Sequence[Tensor | None], needed: set[str]) -> dict[str, Tensor]:
    """The gradients of a node's operands from those of its outputs, as the op has them.

    NotImplementedError, which names the op, where it has none.
    """
    op = node.op
    if op.grad is None:
        why = "has no gradient: what it makes cannot be differentiated"
        raise NotImplementedError(f"{op.name} {why}")
    for name, dout in zip(node.names, douts, strict=True):
        if name in op.optional and dout is not None:  # `grad` takes it for a constant
            raise NotImplementedError(f"{op.name} has no gradient through its output {name}")
    return op.grad(
        apply,
        op.namespace(node.ins),
        op.namespace(node.outs, node.names),
        op.namespace(douts, node.names),
        needed,
        **node.attrs,
    )


def _seed(loss: Tensor) -> Tensor:
    """The gradient that a loss begins with: ones."""
    one = Tensor(executor.current().empty(Spec.of(loss.data)), leaf=False)
    apply("fill", one, value=1.0)
    return one


def backward(loss: Tensor) -> None:
    """Adds d loss / d leaf to the `grad` of every leaf that requires it, and consumes the tape. A
    gradient of few rows goes to the leaf's list `sparse` if it has one.

    loss: a scalar, or any shape (its sum is then differentiated). ValueError if it was not
    recorded, or if an earlier pass has consumed what it is made of: where two losses share a part,
    differentiate their sum. NotImplementedError for an op that has no gradient.
    """
    global _tape
    if not loss.requires_grad:
        raise ValueError("backward: the loss does not depend on anything that requires a gradient")
    tape, _tape = _tape, []
    with no_grad():
        grads: dict[int, Tensor] = {id(loss): _seed(loss)}
        while tape:
            node = tape.pop()
            douts = [None if o is None else grads.pop(id(o), None) for o in node.outs]
            if all(d is None for d in douts):
                continue
            needed = {
                n
                for n, t in zip(node.op.inputs, node.ins, strict=True)
                if t is not None and t.requires_grad
            }
            found = _pull(node, douts, needed)
            for name, tensor in zip(node.op.inputs, node.ins, strict=True):
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


def grad(
    output: Tensor, inputs: Sequence[Tensor], *, create_graph: bool = False
) -> tuple[Tensor, ...]:
    """d output / d input for each input, in their order; no leaf's `grad` is touched.

    output: a scalar, or any shape (its sum is then differentiated). inputs: leaves or results that
    require a gradient; only what lies between them and the output is differentiated.

    create_graph: the tape is kept and the gradients are recorded on it, so that a loss made of them
    can be differentiated too (a gradient penalty). Fused ops are differentiated as the plain ops of
    their `decompose`, which run again for it. Otherwise the tape is consumed, as by `backward`.

    ValueError if the output does not depend on an input. NotImplementedError, which names the op,
    for one without a gradient; without a second one, when the gradient's gradient reaches it.
    """
    if create_graph and not _recording:
        raise ValueError("grad: within no_grad no graph can be created")
    walk = _Walk(inputs, list(_tape))
    if not create_graph:
        clear()
    with nullcontext() if create_graph else no_grad():
        walk.run(output, create_graph)
    found = [walk.grads.get(id(x)) for x in inputs]
    if missing := [i for i, g in enumerate(found) if g is None]:
        raise ValueError(f"grad: the output does not depend on input {missing[0]} (by the tape)")
    return tuple(found)  # type: ignore[arg-type]


class _Walk:
    """One pass back from an output to `inputs`. Gradients are kept by the tensor that they are of.

    pending: the nodes that are still to be visited, the last first.
    """

    def __init__(self, inputs: Sequence[Tensor], pending: list[Node]) -> None:
        self.pending, self.grads = pending, dict[int, Tensor]()
        self.wanted = {id(x) for x in inputs}
        self.reached = set(self.wanted)  # what depends on an input; the nodes keep it alive
        self._reach(pending)

    def _reach(self, nodes: Sequence[Node]) -> None:
        for node in nodes:
            if any(t is not None and id(t) in self.reached for t in node.ins):
                self.reached.update(id(o) for o in node.outs if o is not None)

    def _add(self, tensor: Tensor, grad: Tensor) -> None:
        before = self.grads.get(id(tensor))
        self.grads[id(tensor)] = grad if before is None else apply("add", before, grad)

    def run(self, output: Tensor, plain: bool) -> None:
        """Fills `grads`. plain: through the plain ops that fused ones are made of."""
        if id(output) in self.reached:
            self._add(output, _seed(output))
        while self.pending:
            node = self.pending.pop()
            douts = [self._take(out) for out in node.outs]
            if all(d is None for d in douts):
                continue
            if plain and node.op.decompose is not None:
                self._decompose(node, douts)
                continue
            needed = {
                n
                for n, t in zip(node.op.inputs, node.ins, strict=True)
                if t is not None and id(t) in self.reached
            }
            found = _pull(node, douts, needed)
            for name, tensor in zip(node.op.inputs, node.ins, strict=True):
                grad = found.get(name)
                if grad is None or tensor is None or name not in needed:
                    continue
                self._add(tensor, grad.dense(apply) if isinstance(grad, SparseGradient) else grad)

    def _take(self, out: Tensor | None) -> Tensor | None:
        if out is None:
            return None
        return (self.grads.get if id(out) in self.wanted else self.grads.pop)(id(out), None)

    def _decompose(self, node: Node, douts: Sequence[Tensor | None]) -> None:
        """Runs a fused node as plain ops, which are visited next, with its gradients."""
        assert node.op.decompose is not None
        begin = len(_tape)
        made = as_tuple(node.op.decompose(apply, *node.ins, **node.attrs))
        nodes = _tape[begin:]
        self._reach(nodes)
        self.pending += nodes
        for out, dout in zip(made, _required(node.op, douts, node.names), strict=True):
            if dout is not None:
                self._add(out, dout)


def accumulate(leaf: Tensor, grad: Tensor) -> None:
    """Writes a step's first gradient of a leaf into the leaf's buffer, adds the later ones.

    The buffer is the leaf's own, made here if there is none: `grad` may be another leaf's too.
    """
    if leaf.grad is None:
        leaf.grad = Tensor(executor.current().empty(Spec.of(grad.data)))
        leaf.grad_is_stale = True
    apply("assign" if leaf.grad_is_stale else "add_to", leaf.grad, grad)
    leaf.grad_is_stale = False
