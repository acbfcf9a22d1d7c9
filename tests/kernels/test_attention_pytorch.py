"""Attention, additive attention and products of pairs against PyTorch, with all gradients."""

import numpy as np
import pytest
from dlcli_kernels import registry
from dlcli_kernels.launch import Launch
from dlcli_kernels.spec import Spec

pytestmark = pytest.mark.oracle
LENGTHS = np.array([0, 4, 2], np.int32)


@pytest.fixture
def torch():
    """PyTorch, or the test is skipped."""
    return pytest.importorskip("torch")


def run(name, *ins, **attrs):
    """All outputs of the variant that runs by default on the CPU; not in a list if it is one."""
    op = registry.op(name)
    ins = [*ins, *[None] * (len(op.inputs) - len(ins))]
    specs = [None if a is None else Spec.of(a) for a in ins]
    call = Launch(op, registry.resolve(op, "cpu", specs, attrs), specs, attrs)
    outs = call.allocate(lambda s: np.full(s.shape, np.nan, s.dtype))
    call.run(outs, ins)
    return outs[0] if len(outs) == 1 else outs


def reference(name, *ins, **attrs):
    """All outputs of the reference."""
    return registry.op(name).reference(*ins, **attrs)


def normals(seed, *shapes):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape) for shape in shapes]


BOTH = pytest.mark.parametrize("call", [run, reference], ids=["variant", "reference"])


def gradients(call, name, ins, outs, douts, **attrs):
    """What `grad` gives for every operand, through `call`."""
    op = registry.op(name)
    ins = [*ins, *[None] * (len(op.inputs) - len(ins))]
    names = tuple(op.infer(*[None if a is None else Spec.of(a) for a in ins], **attrs))
    douts = op.namespace([*douts, *[None] * (len(names) - len(douts))], names)
    needed = set(op.inputs) - {"lengths"}
    return op.grad(call, op.namespace(ins), op.namespace(outs, names), douts, needed, **attrs)


def assert_same(ours, theirs):
    np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=1e-9, atol=1e-12)


@BOTH
@pytest.mark.parametrize("causal", [False, True], ids=["whole", "causal"])
@pytest.mark.parametrize("lengths", [None, [7, 3]], ids=["all keys", "lengths"])
@pytest.mark.parametrize("s", [7, 70])
def test_attention_and_its_gradients_are_those_of_pytorch(torch, call, causal, lengths, s):
    rows, columns = (2, 7, 3, 4), (2, s, 3, 4)
    ins = normals(11, rows, columns, columns, rows)
    tensors = [torch.tensor(a, requires_grad=True) for a in ins[:3]]
    counts = None if lengths is None else np.array(lengths, np.int32)
    seen = torch.ones(7, s, dtype=torch.bool)
    seen = seen.tril() if causal else seen
    if lengths is not None:
        seen = seen & (torch.arange(s) < torch.tensor(lengths)[:, None, None, None])
    attend = torch.nn.functional.scaled_dot_product_attention
    want = attend(*[x.transpose(1, 2) for x in tensors], attn_mask=seen).transpose(1, 2)
    want.backward(torch.tensor(ins[3]))
    outs = call("attention", *ins[:3], counts, causal=causal, scale=None)
    assert_same(outs[0], want)
    how = {"causal": causal, "scale": None}
    found = gradients(call, "attention", [*ins[:3], counts], outs, [ins[3]], **how)
    for name, theirs in zip("qkv", tensors, strict=True):
        assert_same(found[name], theirs.grad)


@pytest.mark.parametrize("ta", [False, True])
@pytest.mark.parametrize("tb", [False, True])
def test_products_of_pairs_and_their_gradients_are_those_of_pytorch(torch, ta, tb):
    a, b, dout = normals(
        12, (2, 3, *((5, 4) if ta else (4, 5))), (2, 3, *((6, 5) if tb else (5, 6))), (2, 3, 4, 6)
    )
    left, right = (torch.tensor(x, requires_grad=True) for x in (a, b))
    want = (left.mT if ta else left) @ (right.mT if tb else right)
    want.backward(torch.tensor(dout))
    out = run("bmm", a, b, ta=ta, tb=tb)
    assert_same(out, want)
    found = gradients(run, "bmm", [a, b], [out], [dout], ta=ta, tb=tb)
    assert_same(found["a"], left.grad)
    assert_same(found["b"], right.grad)


@BOTH
def test_weights_of_additive_attention_and_their_gradients_are_those_of_pytorch(torch, call):
    ins = normals(13, (3, 2, 5), (3, 4, 5), (5,))
    (dout,) = normals(14, (3, 2, 4))
    queries, keys, v = (torch.tensor(a, requires_grad=True) for a in ins)
    padding = torch.arange(4) >= torch.tensor(LENGTHS)[:, None, None]
    scores = torch.tanh(queries[:, :, None] + keys[:, None]) @ v
    want = scores.masked_fill(padding, -torch.inf)[1:].softmax(-1)
    want.backward(torch.tensor(dout[1:]))
    found = call("additive_scores", *ins, LENGTHS)
    weights = call("masked_softmax", found, LENGTHS)
    assert_same(weights[1:], want)
    assert not weights[0].any()
    dscores = gradients(call, "masked_softmax", [found, LENGTHS], [weights], [dout])["x"]
    grads = gradients(call, "additive_scores", [*ins, LENGTHS], [found], [dscores])
    for name, theirs in zip(("queries", "keys", "v"), (queries, keys, v), strict=True):
        assert_same(grads[name], theirs.grad)
