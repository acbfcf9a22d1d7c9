"""The gradient of an op's gradient against differences, in float64: what tests of it share."""

import numpy as np
from dlcli_kernels import check
from dlcli_kernels.spec import Spec

from dlcli.engine import tape
from dlcli.engine.tape import apply
from dlcli.engine.tensor import Tensor

STEP = 1e-6


def total(x):
    """Σ x as a scalar tensor."""
    return apply("sum", x, axes=tuple(range(len(x.shape))), keepdims=False)


def dot(xs, ys):
    """Σ x · y over pairs of tensors, a scalar."""
    parts = [total(apply("mul", x, y)) for x, y in zip(xs, ys, strict=True)]
    whole = parts[0]
    for part in parts[1:]:
        whole = apply("add", whole, part)
    return whole


def floating(arrays):
    return [i for i, a in enumerate(arrays) if a is not None and a.dtype.kind == "f"]


class Twice:
    """h = Σ (∂ Σ out · c / ∂ x) · v for one case of an op: a function of its operands x and of c.

    Its derivative along a direction is the one of the gradient that `tape.grad` records.
    """

    def __init__(self, op, case, seed=0):
        self.op, self.rng = op, np.random.default_rng(seed)
        self.attrs = {k: v for k, v in case.attrs.items() if k in op.attrs}
        self.ins = check.make_inputs(op, case, self.rng, np.dtype(np.float64))
        specs = [None if a is None else Spec.of(a) for a in self.ins]
        outs = {n: s for n, s in op.infer(*specs, **self.attrs).items() if n not in op.optional}
        self.places = [i for i, s in enumerate(outs.values()) if s.dtype.kind == "f"]
        self.shapes = [s.shape for s in outs.values() if s.dtype.kind == "f"]
        self.c = [self.rng.standard_normal(s) for s in self.shapes]
        self.moved = [i for i in floating(self.ins) if self._has_gradient(i)]
        self.v = [self.rng.standard_normal(self.ins[i].shape) for i in self.moved]

    def _has_gradient(self, i):
        """Whether the outputs depend on operand i as the op's `grad` has it."""
        leaves = [None if a is None else Tensor(a, requires_grad=j == i)
                  for j, a in enumerate(self.ins)]  # fmt: skip
        try:
            tape.grad(self._objective(leaves, [Tensor(c) for c in self.c]), [leaves[i]])
        except ValueError:
            return False
        return True

    def _objective(self, leaves, c):
        found = apply(self.op.name, *leaves, **self.attrs)
        found = found if isinstance(found, tuple) else (found,)
        return dot([found[i] for i in self.places], c)

    def value(self, xs, c, graph):
        """h, and the leaves that it is a function of."""
        given = dict(zip(self.moved, xs, strict=True))
        leaves = [
            None if a is None else Tensor(given.get(i, a), requires_grad=i in given)
            for i, a in enumerate(self.ins)
        ]
        weights = [Tensor(a, requires_grad=graph) for a in c]
        inputs = [leaves[i] for i in self.moved]
        slopes = tape.grad(self._objective(leaves, weights), inputs, create_graph=graph)
        return dot(slopes, [Tensor(v) for v in self.v]), inputs + weights

    def error(self):
        """The relative difference of the derivative of h along a direction and its quotient."""
        xs = [self.ins[i] for i in self.moved]
        directions = [self.rng.standard_normal(a.shape) for a in (*xs, *self.c)]
        h, leaves = self.value(xs, self.c, graph=True)
        tape.backward(h)
        analytic = sum(
            float(np.sum(leaf.grad.data * d))
            for leaf, d in zip(leaves, directions, strict=True)
            if leaf.grad is not None
        )
        beside = []
        for step in (STEP, -STEP):
            moved = [a + step * d for a, d in zip((*xs, *self.c), directions, strict=True)]
            beside.append(self.value(moved[: len(xs)], moved[len(xs) :], graph=False)[0].item())
        numeric = (beside[0] - beside[1]) / (2 * STEP)
        return abs(numeric - analytic) / (1 + abs(numeric))
