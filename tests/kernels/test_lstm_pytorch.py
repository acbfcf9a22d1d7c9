"""LSTM step, sequence and their gradients against torch.nn.LSTMCell and torch.nn.LSTM."""

import numpy as np
import pytest
from dlcli_kernels import check, registry
from dlcli_kernels.launch import Launch
from dlcli_kernels.spec import Spec

pytestmark = pytest.mark.oracle


@pytest.fixture
def torch():
    """PyTorch, or the test is skipped."""
    return pytest.importorskip("torch")


def run(name, *ins, optional=False, **attrs):
    """The outputs of the variant that runs by default on the CPU; not in a list if it is one."""
    op = registry.op(name)
    ins = [*ins, *[None] * (len(op.inputs) - len(ins))]
    specs = [None if a is None else Spec.of(a) for a in ins]
    launch = Launch(op, registry.resolve(op, "cpu", specs, attrs), specs, attrs, optional=optional)
    outs = launch.allocate(lambda s: np.full(s.shape, np.nan, s.dtype))
    launch.run(outs, ins)
    outs = [o for o in outs if o is not None]
    return outs[0] if len(outs) == 1 else outs


def reference(name, *ins, optional=False, **attrs):
    """The same of the reference: all outputs if the optional ones are wanted."""
    if optional:
        return list(registry.op(name).reference(*ins, **attrs))
    return check.call_references(name, *ins, **attrs)


BOTH = pytest.mark.parametrize("call", [run, reference], ids=["variant", "reference"])


def normals(seed, *shapes):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape) for shape in shapes]


def gradients(call, name, ins, outs, douts, **attrs):
    """What `grad` gives for every operand, through `call`."""
    op = registry.op(name)
    ins = [*ins, *[None] * (len(op.inputs) - len(ins))]
    names = tuple(op.infer(*[None if a is None else Spec.of(a) for a in ins], **attrs))
    douts = op.namespace([*douts, *[None] * (len(names) - len(douts))], names)
    needed = set(op.inputs) - {"lengths"}
    return op.grad(call, op.namespace(ins), op.namespace(outs, names), douts, needed, **attrs)


def assert_same(ours, theirs):
    np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=1e-10, atol=1e-13)


@BOTH
def test_a_step_and_its_gradients_are_those_of_pytorch(torch, call):
    theirs = torch.nn.LSTMCell(5, 3, dtype=torch.float64)
    x, h, c, dh, dc = normals(1, (4, 5), *[(4, 3)] * 4)
    tensors = [torch.tensor(a, requires_grad=True) for a in (x, h, c)]
    states = theirs(tensors[0], tuple(tensors[1:]))
    torch.autograd.backward(states, (torch.tensor(dh), torch.tensor(dc)))
    w_ih, w_hh, b_ih, b_hh = (p.detach().numpy() for p in theirs.parameters())
    ins = (x @ w_ih.T + b_ih + b_hh, h @ w_hh.T, c)
    outs = call("lstm_cell", *ins, optional=True)
    grads = gradients(call, "lstm_cell", ins, outs, (dh, dc))
    assert_same(outs[0], states[0])
    assert_same(outs[1], states[1])
    assert_same(grads["zx"] @ w_ih, tensors[0].grad)
    assert_same(grads["zh"] @ w_hh, tensors[1].grad)
    assert_same(grads["c"], tensors[2].grad)
    assert_same(grads["zx"].T @ x, theirs.weight_ih.grad)


@BOTH
@pytest.mark.parametrize("lengths", [None, [5, 1, 3, 4]], ids=["whole", "lengths"])
def test_a_bidirectional_layer_and_its_gradients_are_those_of_pytorch(torch, call, lengths):
    """Rows of different lengths are packed there, and padded here."""
    n, t, features, units = 4, 5, 6, 3
    theirs = torch.nn.LSTM(features, units, batch_first=True, bidirectional=True).double()
    x, dout = normals(2, (n, t, features), (n, t, 2 * units))
    h0, c0, dh, dc = normals(3, *[(2, n, units)] * 4)
    tensors = [torch.tensor(a, requires_grad=True) for a in (x, h0, c0)]
    if lengths is None:
        out, (h, c) = theirs(tensors[0], tuple(tensors[1:]))
    else:
        pack, pad = torch.nn.utils.rnn.pack_padded_sequence, torch.nn.utils.rnn.pad_packed_sequence
        packed = pack(tensors[0], lengths, batch_first=True, enforce_sorted=False)
        packed, (h, c) = theirs(packed, tuple(tensors[1:]))
        out, _ = pad(packed, batch_first=True)
    torch.autograd.backward((out, h, c), [torch.tensor(a) for a in (dout, dh, dc)])
    array = None if lengths is None else np.array(lengths, np.int32)
    dx = np.zeros_like(x)
    for way, suffix in enumerate(("", "_reverse")):
        names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
        parameters = [getattr(theirs, name + suffix) for name in names]
        w_ih, w_hh, b_ih, b_hh = (p.detach().numpy() for p in parameters)
        ins = (x @ w_ih.T + b_ih + b_hh, h0[way], c0[way], w_hh, array)
        half = slice(way * units, (way + 1) * units)
        attrs = {"reverse": bool(way)}
        outs = call("lstm_sequence", *ins, optional=True, **attrs)
        douts = (np.ascontiguousarray(dout[..., half]), dh[way], dc[way])
        grads = gradients(call, "lstm_sequence", ins, outs, douts, **attrs)
        for ours, wanted in zip(outs, (out[..., half], h[way], c[way]), strict=False):
            assert_same(ours, wanted)
        assert_same(grads["h0"], tensors[1].grad[way])
        assert_same(grads["c0"], tensors[2].grad[way])
        assert_same(grads["w"], parameters[1].grad)
        assert_same(np.einsum("nti,ntj->ij", grads["zx"], x), parameters[0].grad)
        assert_same(grads["zx"].sum(axis=(0, 1)), parameters[2].grad)
        dx += grads["zx"] @ w_ih
    assert_same(dx, tensors[0].grad)
