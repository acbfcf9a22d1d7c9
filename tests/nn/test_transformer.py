"""The transformer's encoder against torch.nn.TransformerEncoderLayer, and positions."""

import math

import numpy as np
import pytest

from dlcli import nn
from dlcli.engine.tape import apply, backward, no_grad
from dlcli.engine.tensor import Tensor
from dlcli.nn.positional import sinusoids

D, HEADS, UNITS = 8, 2, 12


def normals(seed, *shapes):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape) for shape in shapes]


def make(layer, seed=3):
    layer.initialize(seed)
    return layer.astype("float64")


def weighted(out, cotangent):
    axes = tuple(range(len(out.shape)))
    return apply("sum", apply("mul", out, Tensor(cotangent)), axes=axes)


def torch_name(name):
    """PyTorch's name of our parameter, and which of its three parts it is, or None."""
    for i, part in enumerate("qkv"):
        for kind in ("weight", "bias"):
            if name.endswith(f"self_attn.{part}_proj.{kind}"):
                return name.replace(f"{part}_proj.{kind}", f"in_proj_{kind}"), i
    return name, None


def copy_to(torch, ours, theirs):
    """Gives PyTorch's module our parameters."""
    state = theirs.state_dict()
    with torch.no_grad():
        for name, parameter in ours.named_parameters().items():
            theirs_name, part = torch_name(name)
            target = state[theirs_name]
            target = target if part is None else target.chunk(3)[part]
            target.copy_(torch.tensor(parameter.data))


@pytest.mark.oracle
@pytest.mark.parametrize("norm_first", [False, True], ids=["post-norm", "pre-norm"])
@pytest.mark.parametrize("activation", ["gelu", "relu"])
@pytest.mark.parametrize("causal", [False, True], ids=["whole", "causal"])
def test_a_block_and_its_gradients_are_those_of_torch(norm_first, activation, causal):
    torch = pytest.importorskip("torch")
    how = {"activation": activation, "norm_first": norm_first}
    ours = make(nn.TransformerEncoderLayer(D, HEADS, UNITS, 0.0, **how))
    theirs = torch.nn.TransformerEncoderLayer(D, HEADS, UNITS, 0.0, batch_first=True, **how)
    copy_to(torch, ours, theirs.double())
    x, dout = normals(1, (3, 5, D), (3, 5, D))
    lengths = np.array([5, 2, 4], np.int32)
    dout *= np.arange(5)[:, np.newaxis] < lengths[:, np.newaxis, np.newaxis]
    mine = Tensor(x, requires_grad=True)
    out = ours(mine, Tensor(lengths), causal=causal)
    backward(weighted(out, dout))

    other = torch.tensor(x, requires_grad=True)
    padding = torch.arange(5)[None] >= torch.tensor(lengths)[:, None]
    above = torch.ones(5, 5, dtype=torch.bool).triu(1) if causal else None
    want = theirs(other, src_mask=above, src_key_padding_mask=padding)
    (want * torch.tensor(dout)).sum().backward()
    for n, length in enumerate(lengths):
        np.testing.assert_allclose(
            out.data[n, :length], want[n, :length].detach(), rtol=1e-9, atol=1e-11
        )
    np.testing.assert_allclose(mine.grad.data, other.grad, rtol=1e-8, atol=1e-11)
    gradients = {name: p.grad for name, p in theirs.named_parameters()}
    for name, parameter in ours.named_parameters().items():
        theirs_name, part = torch_name(name)
        wanted = gradients[theirs_name]
        wanted = wanted if part is None else wanted.chunk(3)[part]
        np.testing.assert_allclose(parameter.grad.data, wanted, rtol=1e-8, atol=1e-11, err_msg=name)


@pytest.mark.oracle
def test_a_stack_with_norms_before_ends_with_a_norm_as_torch_s():
    torch = pytest.importorskip("torch")
    ours = make(nn.TransformerEncoder(2, D, HEADS, UNITS, 0.0, norm_first=True))
    block = torch.nn.TransformerEncoderLayer(
        D, HEADS, UNITS, 0.0, batch_first=True, activation="gelu", norm_first=True
    )
    theirs = torch.nn.TransformerEncoder(
        block, 2, torch.nn.LayerNorm(D), enable_nested_tensor=False
    ).double()
    copy_to(torch, ours, theirs)
    (x,) = normals(2, (2, 6, D))
    with no_grad():
        out = ours(Tensor(x)).data
    np.testing.assert_allclose(out, theirs(torch.tensor(x)).detach(), rtol=1e-9, atol=1e-11)
    assert nn.TransformerEncoder(2, D, HEADS, UNITS).norm is None


@pytest.mark.parametrize("norm_first", [False, True], ids=["post-norm", "pre-norm"])
def test_a_stack_is_causal_and_blind_to_padding(norm_first):
    stack = make(nn.TransformerEncoder(2, D, HEADS, UNITS, 0.0, norm_first=norm_first))
    (x,) = normals(3, (1, 6, D))
    changed = x.copy()
    changed[:, 4:] *= -2  # a constant added would be lost in the norms
    four = Tensor(np.array([4], np.int32))
    with no_grad():
        for how in ({"causal": True}, {"lengths": four}):
            before, after = (stack(Tensor(a), **how).data[:, :4] for a in (x, changed))
            np.testing.assert_array_equal(before, after)
        assert not np.allclose(stack(Tensor(x)).data[:, :4], stack(Tensor(changed)).data[:, :4])


def test_dropout_is_of_training_alone():
    layer = make(nn.TransformerEncoderLayer(D, HEADS, UNITS, 0.5))
    (x,) = normals(4, (2, 3, D))
    with no_grad():
        first, second = (layer(Tensor(x)).data for _ in range(2))
        layer.eval()
        calm, again = (layer(Tensor(x)).data for _ in range(2))
    assert not np.allclose(first, second)
    np.testing.assert_array_equal(calm, again)


# --- positions ------------------------------------------------------------------------------------


def test_sinusoids_are_those_of_the_paper():
    table = sinusoids(50, 6)
    for t in (0, 1, 49):
        for i in range(3):
            angle = t / 10000 ** (2 * i / 6)
            assert table[t, 2 * i] == pytest.approx(math.sin(angle), abs=1e-12)
            assert table[t, 2 * i + 1] == pytest.approx(math.cos(angle), abs=1e-12)


def test_sinusoidal_positions_are_added_to_sequences_of_any_length():
    layer = nn.SinusoidalPositions(6, scale=0.5)
    for length in (3, 11, 2):
        (x,) = normals(5, (2, length, 6))
        with no_grad():
            out = layer(Tensor(x)).data
        np.testing.assert_allclose(out, x + 0.5 * sinusoids(length, 6), rtol=1e-12)
    assert layer.state_dict() == {}


def test_learned_positions_are_added_and_their_gradient_is_the_sum_over_sequences():
    layer = make(nn.LearnedPositions(7, 4))
    x, dout = normals(6, (3, 5, 4), (3, 5, 4))
    mine = Tensor(x, requires_grad=True)
    out = layer(mine)
    backward(weighted(out, dout))
    np.testing.assert_allclose(out.data, x + layer.weight.data[:5], rtol=1e-12)
    np.testing.assert_allclose(layer.weight.grad.data[:5], dout.sum(0), rtol=1e-12)
    assert not layer.weight.grad.data[5:].any()
    np.testing.assert_array_equal(mine.grad.data, dout)
    assert np.std(make(nn.LearnedPositions(100, 50)).weight.data) == pytest.approx(0.02, rel=0.05)


def test_bad_options_and_operands_are_refused():
    with pytest.raises(ValueError, match="8 steps, but 7 positions"):
        make(nn.LearnedPositions(7, 4))(Tensor(np.ones((1, 8, 4))))
    with pytest.raises(ValueError, match="0 positions of 4 features"):
        nn.LearnedPositions(0, 4)
    with pytest.raises(ValueError, match="0 layers"):
        nn.TransformerEncoder(0, 4, 2)
