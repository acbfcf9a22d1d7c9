"""Recurrent layers: against torch.nn in every combination of their options, and the promises that
need no other library: states handed on, lengths, sequences of a thousand steps.
"""

import itertools

import numpy as np
import pytest

from dlcli import nn
from dlcli.engine.tape import apply, backward, no_grad
from dlcli.engine.tensor import Tensor

INPUTS, HIDDEN = 5, 4
LAYERS = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
KINDS = [("rnn", {"act": "tanh"}), ("rnn", {"act": "relu"}), ("lstm", {}), ("gru", {})]
NAMES = [" ".join([kind, *own.values()]) for kind, own in KINDS]
STACKS = [(1, False), (2, False), (1, True), (3, True)]
STACK_NAMES = ["one layer", "two layers", "both ways", "three layers both ways"]
KIND = pytest.mark.parametrize(("kind", "own"), KINDS, ids=NAMES)
STACK = pytest.mark.parametrize(("layers", "bidirectional"), STACKS, ids=STACK_NAMES)


def make(kind, *, seed=3, dtype="float64", **options):
    layer = LAYERS[kind](INPUTS, HIDDEN, **options)
    layer.initialize(seed)
    return layer.astype(dtype)


def normals(seed, *shapes):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape) for shape in shapes]


def their_layer(torch, kind, own, ours):
    """PyTorch's layer with our weights: bias_ih is our bias, bias_hh 0 but for the GRU's part."""
    own = {"nonlinearity": own["act"]} if own else {}
    theirs = getattr(torch.nn, kind.upper())(
        INPUTS,
        HIDDEN,
        num_layers=ours.layers,
        bidirectional=len(ours.suffixes) == 2,
        batch_first=True,
        **own,
    ).double()
    state = {}
    for name, parameter in ours.named_parameters().items():
        if name.startswith("weight"):
            state[name] = parameter.data
        elif name.startswith("bias_l"):
            state[name.replace("bias_", "bias_ih_")] = parameter.data
            state[name.replace("bias_", "bias_hh_")] = np.zeros_like(parameter.data)
    for name, parameter in ours.named_parameters().items():
        if name.startswith("bias_hn_"):
            state[name.replace("bias_hn_", "bias_hh_")][2 * HIDDEN :] = parameter.data
    theirs.load_state_dict({name: torch.tensor(array) for name, array in state.items()})
    return theirs


def their_gradient(theirs, name):
    """Of our parameter `name`, in PyTorch's layer."""
    if name.startswith("bias_hn_"):
        return getattr(theirs, name.replace("bias_hn_", "bias_hh_")).grad[2 * HIDDEN :]
    return getattr(theirs, name.replace("bias_l", "bias_ih_l")).grad


def assert_as_torch(torch, kind, own, t, lengths, given, layers, bidirectional):
    """Outputs, last states and the gradients of everything, of a random cotangent of each."""
    n = 3 if lengths is None else len(lengths)
    ours = make(kind, layers=layers, bidirectional=bidirectional, **own)
    theirs = their_layer(torch, kind, own, ours)
    count = layers * len(ours.suffixes)
    (x, dout), first, dlast = (
        normals(1, (n, t, INPUTS), (n, t, ours.outputs)),
        normals(2, *[(count, n, HIDDEN)] * ours.states),
        normals(3, *[(count, n, HIDDEN)] * ours.states),
    )

    mine = Tensor(x, requires_grad=True)
    begin = [tuple(Tensor(s[k], requires_grad=True) for s in first) for k in range(count)]
    counts = None if lengths is None else Tensor(np.array(lengths, np.int32))
    out, last = ours(mine, counts, begin if given else None)
    total = apply("sum", apply("mul", out, Tensor(dout)), axes=(0, 1, 2))
    for k, state in enumerate(last):
        for h, d in zip(state, dlast, strict=True):
            part = apply("sum", apply("mul", h, Tensor(d[k])), axes=(0, 1))
            total = apply("add", total, part)
    backward(total)

    other = torch.tensor(x, requires_grad=True)
    states = [torch.tensor(s, requires_grad=True) for s in first]
    pack, pad = torch.nn.utils.rnn.pack_padded_sequence, torch.nn.utils.rnn.pad_packed_sequence
    fed = other if lengths is None else pack(other, lengths, True, enforce_sorted=False)
    passed = (tuple(states) if kind == "lstm" else states[0]) if given else None
    want, their_last = theirs(fed, passed)
    if lengths is not None:
        want, _ = pad(want, batch_first=True, total_length=t)
    their_last = their_last if kind == "lstm" else (their_last,)
    loss = (want * torch.tensor(dout)).sum()
    for h, d in zip(their_last, dlast, strict=True):
        loss = loss + (h * torch.tensor(d)).sum()
    loss.backward()

    def same(got, wanted, what):
        wanted = wanted.detach().numpy()
        np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=1e-11, err_msg=what)

    same(out.data, want, "out")
    same(mine.grad.data, other.grad, "dx")
    for k, state in enumerate(last):
        for h, theirs_h in zip(state, their_last, strict=True):
            same(h.data, theirs_h[k], f"state {k}")
    if given:
        for k, state in enumerate(begin):
            for h, theirs_h in zip(state, states, strict=True):
                same(h.grad.data, theirs_h.grad[k], f"gradient of first state {k}")
    for name, parameter in ours.named_parameters().items():
        same(parameter.grad.data, their_gradient(theirs, name), name)


@pytest.mark.oracle
@KIND
@STACK
@pytest.mark.parametrize("lengths", [None, [6, 1, 3, 4]], ids=["whole", "lengths"])
@pytest.mark.parametrize("given", [False, True], ids=["from zeros", "from states"])
def test_outputs_states_and_gradients_are_those_of_torch(
    kind, own, layers, bidirectional, lengths, given
):
    torch = pytest.importorskip("torch")
    assert_as_torch(torch, kind, own, 6, lengths, given, layers, bidirectional)


@pytest.mark.oracle
@KIND
@pytest.mark.parametrize("t", [1, 2, 37, 1000])
def test_sequences_of_one_to_a_thousand_steps_are_those_of_torch(kind, own, t):
    torch = pytest.importorskip("torch")
    assert_as_torch(torch, kind, own, t, None, True, 2, True)


@pytest.mark.oracle
@pytest.mark.parametrize("kind", LAYERS)
def test_first_values_are_distributed_as_torch_s(kind):
    """Their second and fourth moments, of biases as the sum that ours stands for."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    ours, theirs = LAYERS[kind](3, 400), getattr(torch.nn, kind.upper())(3, 400)
    ours.initialize(0)
    state = {name: p.detach().numpy() for name, p in theirs.named_parameters()}
    both = state["bias_ih_l0"] + state["bias_hh_l0"]
    if kind == "gru":
        both[800:] = state["bias_ih_l0"][800:]
        state["bias_hn_l0"] = state["bias_hh_l0"][800:]
    state["bias_l0"] = both
    for name, parameter in ours.named_parameters().items():
        for power in (2, 4):
            got, want = np.mean(parameter.data**power), np.mean(state[name] ** power)
            assert got == pytest.approx(want, rel=0.25), (name, power)


# --- what needs no other library ------------------------------------------------------------------


@KIND
def test_a_sequence_in_two_pieces_with_the_state_handed_on_is_the_whole_sequence(kind, own):
    layer = make(kind, layers=2, **own)
    (x,) = normals(4, (3, 7, INPUTS))
    with no_grad():
        whole, last = layer(Tensor(x))
        first, state = layer(Tensor(x[:, :4]))
        second, state = layer(Tensor(x[:, 4:]), None, state)
    np.testing.assert_allclose(
        np.concatenate((first.data, second.data), axis=1), whole.data, rtol=1e-12
    )
    for a, b in zip(itertools.chain(*last), itertools.chain(*state), strict=True):
        np.testing.assert_allclose(a.data, b.data, rtol=1e-12)


@KIND
def test_a_detached_state_ends_backpropagation_through_time(kind, own):
    """The gradient of the second piece is that of a piece that begins with a constant state."""
    layer = make(kind, **own)
    first, second = normals(5, (2, 3, INPUTS), (2, 4, INPUTS))
    one = Tensor(first, requires_grad=True)
    _, state = layer(one)
    cut = nn.detached(state)
    out, _ = layer(Tensor(second), None, cut)
    backward(out)
    assert one.grad is None
    assert all(t.grad is None for s in cut for t in s)
    through = {name: p.grad.data.copy() for name, p in layer.named_parameters().items()}
    for parameter in layer.named_parameters().values():
        parameter.grad_is_stale = True
    constant = [tuple(Tensor(t.data.copy()) for t in s) for s in state]
    out, _ = layer(Tensor(second), None, constant)
    backward(out)
    for name, parameter in layer.named_parameters().items():
        np.testing.assert_array_equal(parameter.grad.data, through[name])


@KIND
@STACK
def test_what_stands_past_a_length_changes_nothing(kind, own, layers, bidirectional):
    layer = make(kind, layers=layers, bidirectional=bidirectional, **own)
    (x,) = normals(6, (3, 5, INPUTS))
    lengths = Tensor(np.array([5, 2, 3], np.int32))
    spoilt = x.copy()
    spoilt[1, 2:], spoilt[2, 3:] = 1e6, -1e6
    with no_grad():
        out, last = layer(Tensor(x), lengths)
        other, other_last = layer(Tensor(spoilt), lengths)
        alone, alone_last = layer(Tensor(x[1:2, :2]))
    np.testing.assert_array_equal(out.data, other.data)
    for a, b in zip(itertools.chain(*last), itertools.chain(*other_last), strict=True):
        np.testing.assert_array_equal(a.data, b.data)
    assert (out.data[1, 2:] == 0).all()
    np.testing.assert_allclose(out.data[1, :2], alone.data[0], rtol=1e-12, atol=1e-15)
    for a, b in zip(itertools.chain(*last), itertools.chain(*alone_last), strict=True):
        np.testing.assert_allclose(a.data[1], b.data[0], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("kind", LAYERS)
def test_dropout_stands_between_layers_and_only_in_training(kind):
    """A single layer has none to drop; the last one's output is never dropped."""
    (x,) = normals(7, (2, 6, INPUTS))
    single = make(kind, dropout=0.5)
    stacked = make(kind, layers=2, dropout=0.5)
    with no_grad():
        np.testing.assert_array_equal(single(Tensor(x))[0].data, single(Tensor(x))[0].data)
        first, second = (stacked(Tensor(x))[0].data for _ in range(2))
        stacked.eval()
        calm, again = (stacked(Tensor(x))[0].data for _ in range(2))
    assert not np.array_equal(first, second)
    assert np.count_nonzero(first) == first.size
    np.testing.assert_array_equal(calm, again)
    assert list(single.named_buffers()) == []


@pytest.mark.parametrize("kind", LAYERS)
def test_the_last_state_is_what_each_direction_ends_with(kind):
    layer = make(kind, layers=2, bidirectional=True)
    (x,) = normals(8, (3, 4, INPUTS))
    lengths = Tensor(np.array([4, 1, 2], np.int32))
    with no_grad():
        out, _ = layer(Tensor(x), lengths)
        last = nn.LastState(layer)(Tensor(x), lengths)
    ends = [out.data[n, length - 1, :HIDDEN] for n, length in enumerate([4, 1, 2])]
    np.testing.assert_array_equal(last.data, np.concatenate((ends, out.data[:, 0, HIDDEN:]), 1))


def test_bad_options_and_operands_are_refused():
    with pytest.raises(ValueError, match="LSTM: 0 inputs"):
        nn.LSTM(0, 4)
    with pytest.raises(ValueError, match="act is tanh or relu"):
        make("rnn", act="sigmoid")(Tensor(np.ones((1, 2, INPUTS))))
    layer = make("gru", layers=2)
    with pytest.raises(ValueError, match=r"x must be \(N, T, inputs\)"):
        layer(Tensor(np.ones((2, INPUTS))))
    with pytest.raises(ValueError, match="1 states for 2 layers"):
        layer(Tensor(np.ones((1, 2, INPUTS))), None, layer.initial(1)[:1])
