"""The steps of the vanilla recurrent layer and of the GRU, and their gradients, against
torch.nn.RNNCell and torch.nn.GRUCell.
"""

import numpy as np
import pytest
from dlcli_kernels import registry

from tests.kernels.test_recurrent import BOTH, normals

pytestmark = pytest.mark.oracle
INPUTS, UNITS, ROWS = 5, 3, 4


@pytest.fixture
def torch():
    """PyTorch, or the test is skipped."""
    return pytest.importorskip("torch")


def step(call, name, ins, dout, **attrs):
    """The state after a step, and the gradients of all its operands for that of the state."""
    op = registry.op(name)
    outs = call(name, *ins, **attrs)

    def through(other, *operands, **given):
        found = list(call(other, *operands, **given).values())
        return found[0] if len(found) == 1 else found

    names = tuple(outs)
    douts = op.namespace([dout, *[None] * (len(names) - 1)], names)
    saved = op.namespace(list(outs.values()), names)
    grads = op.grad(through, op.namespace(ins), saved, douts, set(op.inputs), **attrs)
    return outs[names[0]], grads


def theirs(torch, cell, x, h, dh):
    """The state after PyTorch's step; the gradients of x, h and its four parameters."""
    tensors = [torch.tensor(a, requires_grad=True) for a in (x, h)]
    after = cell(*tensors)
    after.backward(torch.tensor(dh))
    grads = [t.grad.numpy() for t in (*tensors, *cell.parameters())]
    return after.detach().numpy(), grads


def same(ours, wanted):
    np.testing.assert_allclose(ours, wanted, rtol=1e-10, atol=1e-13)


def assert_as_pytorch(torch, call, name, cell, with_state, **attrs):
    """Everything that a step gives, from inputs and parameters alike."""
    x, h, dh = normals(1, (ROWS, INPUTS), (ROWS, UNITS), (ROWS, UNITS))
    after, (dx, dh0, dw_ih, dw_hh, db_ih, db_hh) = theirs(torch, cell, x, h, dh)
    w_ih, w_hh, b_ih, b_hh = (p.detach().numpy() for p in cell.parameters())
    ins = (x @ w_ih.T + b_ih, h @ w_hh.T + b_hh, *([h] if with_state else []))
    found, grads = step(call, name, ins, dh, **attrs)
    same(found, after)
    same(grads["zx"] @ w_ih, dx)
    same(grads["zh"] @ w_hh + grads.get("h", 0), dh0)
    same(grads["zx"].T @ x, dw_ih)
    same(grads["zh"].T @ h, dw_hh)
    same(grads["zx"].sum(0), db_ih)
    same(grads["zh"].sum(0), db_hh)


@BOTH
@pytest.mark.parametrize("act", ["tanh", "relu"])
def test_a_vanilla_step_and_its_gradients_are_those_of_pytorch(torch, call, act):
    cell = torch.nn.RNNCell(INPUTS, UNITS, nonlinearity=act, dtype=torch.float64)
    assert_as_pytorch(torch, call, "rnn_cell", cell, with_state=False, act=act)


@BOTH
def test_a_gru_step_and_its_gradients_are_those_of_pytorch(torch, call):
    cell = torch.nn.GRUCell(INPUTS, UNITS, dtype=torch.float64)
    assert_as_pytorch(torch, call, "gru_cell", cell, with_state=True)
