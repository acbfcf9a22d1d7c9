"""Attention layers: multi-head against torch.nn.MultiheadAttention, the two that show their weights
against their formulas, and what none of them may look at.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcli import nn
from dlcli.engine.tape import apply, backward, no_grad
from dlcli.engine.tensor import Tensor

LENGTHS = np.array([5, 2, 3], np.int32)
MULTI = [  # options of the layer; whether keys, values or both are others; causal; lengths
    ({}, "", False, None),
    ({}, "", True, None),
    ({}, "", False, [5, 2, 3]),
    ({}, "", True, [4, 1, 3]),
    ({"bias": False}, "", False, None),
    ({}, "keys", False, [6, 1, 4]),
    ({"kdim": 7, "vdim": 5}, "keys and values", False, [3, 6, 2]),
]
MULTI_NAMES = ["self", "causal", "lengths", "both", "no bias", "cross", "other features"]


def normals(seed, *shapes):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape) for shape in shapes]


def make(layer, seed=3):
    layer.initialize(seed)
    return layer.astype("float64")


def weighted(out, cotangent):
    """Σ out · cotangent: a scalar whose gradient by out is the cotangent."""
    axes = tuple(range(len(out.shape)))
    return apply("sum", apply("mul", out, Tensor(cotangent)), axes=axes)


def gradients_of(layer):
    return {name: p.grad.data for name, p in layer.named_parameters().items()}


# --- multi-head -----------------------------------------------------------------------------------


def their_layer(torch, ours, options):
    """PyTorch's layer with our weights, and its gradients under our names."""
    theirs = torch.nn.MultiheadAttention(12, ours.num_heads, batch_first=True, **options).double()
    own = {name: torch.tensor(p.data) for name, p in ours.named_parameters().items()}
    bias = "q_proj.bias" in own
    parts = [f"{x}_proj" for x in "qkv"]
    state = {"out_proj.weight": own["out_proj.weight"]}
    if "kdim" in options:
        state |= {f"{part}_weight": own[f"{part}.weight"] for part in parts}
    else:
        state["in_proj_weight"] = torch.cat([own[f"{part}.weight"] for part in parts])
    if bias:
        state["in_proj_bias"] = torch.cat([own[f"{part}.bias"] for part in parts])
        state["out_proj.bias"] = own["out_proj.bias"]
    theirs.load_state_dict(state)

    def gradients():
        found = {"out_proj.weight": theirs.out_proj.weight.grad}
        weights = (
            [getattr(theirs, f"{part}_weight").grad for part in parts]
            if "kdim" in options
            else theirs.in_proj_weight.grad.chunk(3)
        )
        found |= {f"{part}.weight": w for part, w in zip(parts, weights, strict=True)}
        if bias:
            biases = theirs.in_proj_bias.grad.chunk(3)
            found |= {f"{part}.bias": b for part, b in zip(parts, biases, strict=True)}
            found["out_proj.bias"] = theirs.out_proj.bias.grad
        return found

    return theirs, gradients


@pytest.mark.oracle
@pytest.mark.parametrize(("options", "others", "causal", "lengths"), MULTI, ids=MULTI_NAMES)
def test_multi_head_outputs_and_gradients_are_those_of_torch(options, others, causal, lengths):
    torch = pytest.importorskip("torch")
    ours = make(nn.MultiHeadAttention(12, 3, **options))
    for projection in (ours.q_proj, ours.out_proj):  # biases begin as 0, which would hide them
        if projection.bias is not None:
            projection.bias.data[...] = np.linspace(-1, 1, 12)
    theirs, their_gradients = their_layer(torch, ours, options)
    s = 6 if others else 5
    query, key, value, dout = normals(
        1, (3, 5, 12), (3, s, options.get("kdim", 12)), (3, s, options.get("vdim", 12)), (3, 5, 12)
    )
    given = [query, key, value][: 1 + len(others.split(" and ")) if others else 1]
    mine = [Tensor(array, requires_grad=True) for array in given]
    counts = None if lengths is None else Tensor(np.array(lengths, np.int32))
    out = ours(*mine, lengths=counts, causal=causal)
    backward(weighted(out, dout))

    tensors = [torch.tensor(array, requires_grad=True) for array in given]
    q, k, v = (*tensors, *[tensors[-1]] * 2)[:3]
    padding = None if lengths is None else torch.arange(s)[None] >= torch.tensor(lengths)[:, None]
    above = torch.ones(5, s, dtype=torch.bool).triu(1) if causal else None
    want, _ = theirs(q, k, v, key_padding_mask=padding, attn_mask=above)
    (want * torch.tensor(dout)).sum().backward()

    np.testing.assert_allclose(out.data, want.detach().numpy(), rtol=1e-10, atol=1e-12)
    for ours_in, theirs_in in zip(mine, tensors, strict=True):
        np.testing.assert_allclose(ours_in.grad.data, theirs_in.grad, rtol=1e-9, atol=1e-12)
    found = gradients_of(ours)
    wanted = their_gradients()
    assert found.keys() == wanted.keys()
    for name, gradient in wanted.items():
        np.testing.assert_allclose(found[name], gradient, rtol=1e-9, atol=1e-11, err_msg=name)


@pytest.mark.oracle
@pytest.mark.parametrize("options", [{}, {"kdim": 300, "vdim": 500}], ids=["one matrix", "three"])
def test_multi_head_first_values_are_distributed_as_torch_s(options):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    ours = nn.MultiHeadAttention(400, 2, **options)
    ours.initialize(0)
    theirs = torch.nn.MultiheadAttention(400, 2, **options)
    state = {name: p.detach().numpy() for name, p in theirs.named_parameters()}
    if not options:
        for i, part in enumerate("qkv"):
            state[f"{part}_proj_weight"] = state["in_proj_weight"][400 * i : 400 * (i + 1)]
    for part in "qkv":
        got, want = (
            ours.named_parameters()[f"{part}_proj.weight"].data,
            state[f"{part}_proj_weight"],
        )
        assert np.abs(got).max() == pytest.approx(np.abs(want).max(), rel=1e-3)
        assert got.var() == pytest.approx(want.var(), rel=0.02)
    got, want = ours.out_proj.weight.data, state["out_proj.weight"]
    assert got.var() == pytest.approx(want.var(), rel=0.02)
    for projection in (ours.q_proj, ours.k_proj, ours.v_proj, ours.out_proj):
        assert not projection.bias.data.any()


# --- what is not looked at ------------------------------------------------------------------------

SIZES = st.integers(1, 9)


@settings(max_examples=25, deadline=None)
@given(t=SIZES, s=SIZES, heads=st.integers(1, 3), causal=st.booleans(), data=st.data())
def test_padding_of_any_length_and_content_changes_nothing(t, s, heads, causal, data):
    """A batch of two: the same as each sequence alone, without its padding."""
    lengths = data.draw(st.lists(st.integers(1, s), min_size=2, max_size=2))
    layer = make(nn.MultiHeadAttention(2 * heads, heads))
    query, keys = normals(t + 10 * s, (2, t, 2 * heads), (2, s, 2 * heads))
    for n, length in enumerate(lengths):
        keys[n, length:] = 1e6
    with no_grad():
        counts = Tensor(np.array(lengths, np.int32))
        together = layer(Tensor(query), Tensor(keys), lengths=counts, causal=causal).data
        for n, length in enumerate(lengths):
            few = Tensor(keys[n : n + 1, :length])
            alone = layer(Tensor(query[n : n + 1]), few, causal=causal).data
            np.testing.assert_allclose(together[n], alone[0], rtol=1e-11, atol=1e-12)


@settings(max_examples=15, deadline=None)
@given(t=st.integers(2, 9), cut=st.integers(1, 8), seed=st.integers(0, 99))
def test_with_causal_no_step_depends_on_the_future(t, cut, seed):
    """Other steps from `cut` on leave all earlier outputs bit for bit as they were."""
    cut = min(cut, t - 1)
    layer = make(nn.MultiHeadAttention(4, 2))
    (x,) = normals(seed, (1, t, 4))
    changed = x.copy()
    changed[:, cut:] = -3 * changed[:, cut:] + 1
    with no_grad():
        before, after = (layer(Tensor(a), causal=True).data for a in (x, changed))
    np.testing.assert_array_equal(before[:, :cut], after[:, :cut])
    assert not np.allclose(before[:, cut:], after[:, cut:])


def shown(kind, *, features=4):
    """A layer that shows its weights, of queries and keys of the same features."""
    if kind == "dot":
        return nn.DotAttention(features**-0.5)
    return make(nn.AdditiveAttention(features, features, 5))


KINDS = pytest.mark.parametrize("kind", ["dot", "additive"])


@KINDS
def test_weights_sum_to_one_over_the_length_and_are_zero_past_it(kind):
    queries, keys = normals(5, (3, 4, 4), (3, 5, 4))
    with no_grad():
        found, weights = shown(kind)(Tensor(queries), Tensor(keys), Tensor(LENGTHS))
    assert weights.shape == (3, 4, 5)
    assert found.shape == (3, 4, 4)
    np.testing.assert_allclose(weights.data.sum(-1), 1, rtol=1e-12)
    for n, length in enumerate(LENGTHS):
        assert (weights.data[n, :, :length] > 0).all()
        assert (weights.data[n, :, length:] == 0).all()
        mean = weights.data[n, :, :length] @ keys[n, :length]
        np.testing.assert_allclose(found.data[n], mean, rtol=1e-12)


@KINDS
def test_a_sequence_of_no_keys_gives_zeros_and_no_gradient(kind):
    queries, keys = (Tensor(a, requires_grad=True) for a in normals(6, (2, 3, 4), (2, 5, 4)))
    found, weights = shown(kind)(queries, keys, Tensor(np.array([0, 5], np.int32)))
    assert not found.data[0].any()
    assert not weights.data[0].any()
    backward(weighted(found, np.ones(found.shape)))
    assert not queries.grad.data[0].any()
    assert not keys.grad.data[0].any()
    assert keys.grad.data[1].any()


def test_multi_head_attention_to_no_keys_is_the_last_bias():
    layer = make(nn.MultiHeadAttention(4, 2))
    layer.out_proj.bias.data[...] = [1, 2, 3, 4]
    (x,) = normals(7, (2, 3, 4))
    with no_grad():
        out = layer(Tensor(x), lengths=Tensor(np.array([0, 3], np.int32))).data
    np.testing.assert_array_equal(out[0], np.tile([1, 2, 3, 4], (3, 1)))
    assert not np.allclose(out[1], out[0])


# --- the formulas of those that show their weights ------------------------------------------------


@pytest.mark.oracle
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "lengths"])
@KINDS
def test_outputs_weights_and_gradients_are_those_of_the_formula_in_torch(kind, lengths):
    """Of a random cotangent of both outputs."""
    torch = pytest.importorskip("torch")
    layer = shown(kind)
    queries, keys, dfound, dweights = normals(8, (3, 4, 4), (3, 5, 4), (3, 4, 4), (3, 4, 5))
    mine = [Tensor(a, requires_grad=True) for a in (queries, keys)]
    counts = None if lengths is None else Tensor(lengths)
    found, weights = layer(*mine, counts)
    backward(apply("add", weighted(found, dfound), weighted(weights, dweights)))

    q, k = (torch.tensor(a, requires_grad=True) for a in (queries, keys))
    own = {n: torch.tensor(p.data, requires_grad=True) for n, p in layer.named_parameters().items()}
    if kind == "dot":
        scores = q @ k.mT / 2
    else:
        known = (q @ own["query.weight"].T)[:, :, None] + (k @ own["key.weight"].T)[:, None]
        scores = torch.tanh(known) @ own["v"]
    if lengths is not None:
        padding = torch.arange(5)[None, None] >= torch.tensor(lengths)[:, None, None]
        scores = scores.masked_fill(padding, -torch.inf)
    p = scores.softmax(-1)
    ((p @ k) * torch.tensor(dfound)).sum().add((p * torch.tensor(dweights)).sum()).backward()

    np.testing.assert_allclose(weights.data, p.detach(), rtol=1e-11, atol=1e-14)
    np.testing.assert_allclose(found.data, (p @ k).detach(), rtol=1e-11, atol=1e-13)
    for ours_in, theirs_in in zip(mine, (q, k), strict=True):
        np.testing.assert_allclose(ours_in.grad.data, theirs_in.grad, rtol=1e-9, atol=1e-12)
    for name, gradient in gradients_of(layer).items():
        np.testing.assert_allclose(gradient, own[name].grad, rtol=1e-9, atol=1e-12, err_msg=name)


def test_keys_projected_once_serve_queries_one_after_the_other():
    layer = shown("additive")
    queries, keys = normals(9, (2, 3, 4), (2, 5, 4))
    with no_grad():
        together, _ = layer(Tensor(queries), Tensor(keys))
        projected = layer.project(Tensor(keys))
        each = [layer(Tensor(queries[:, t : t + 1]), Tensor(keys), None, projected)[0].data
                for t in range(3)]  # fmt: skip
    np.testing.assert_allclose(np.concatenate(each, 1), together.data, rtol=1e-12)


def test_bad_options_and_operands_are_refused():
    with pytest.raises(ValueError, match="6 features do not divide among 4 heads"):
        nn.MultiHeadAttention(6, 4)
    with pytest.raises(ValueError, match="0 units must each be 1"):
        nn.AdditiveAttention(3, 3, 0)
    x, other = Tensor(np.ones((2, 3, 4))), Tensor(np.ones((3, 3, 4)))
    for layer in (nn.DotAttention(), make(nn.MultiHeadAttention(4, 2))):
        with pytest.raises(ValueError, match=r"queries \(N, Q, ·\) and keys \(N, S, ·\)"):
            layer(x, other)
    with pytest.raises(ValueError, match="lengths are"):
        make(nn.MultiHeadAttention(4, 2))(x, lengths=Tensor(np.array([3], np.int32)))
