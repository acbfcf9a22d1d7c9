"""Language models: the state goes on from window to window, where the data say so, and is kept."""

import numpy as np
import pytest

from dlcli import nn
from dlcli.data.loader import Batch
from dlcli.engine import tape
from dlcli.engine.tensor import on_device
from dlcli.errors import UsageError
from dlcli.models import catalog, char_lm, word_lm
from dlcli.models.parts.language import OneHot

SMALL = {"hidden": 8, "layers": 2, "dropout": 0.0}
IDS, ROWS, STEPS = 11, 3, 5


def letters(seed=3, **settings):
    config = char_lm.Config(**{"embedding": 6, **SMALL, **settings})
    return char_lm.build(config, (STEPS, IDS), 0, seed=seed)


def words(seed=3, **settings):
    config = word_lm.Config(**{"embedding": 8, **SMALL, **settings})
    return word_lm.build(config, (STEPS, IDS), 0, seed=seed)


def text(windows=4, seed=0):
    """ids (ROWS, windows · STEPS + 1)."""
    return np.random.default_rng(seed).integers(0, IDS, (ROWS, windows * STEPS + 1))


def batches(ids, begin=(0,)):
    """The windows of a text, each of which goes on but those numbered `begin`."""
    for number in range(ids.shape[1] // STEPS):
        part = ids[:, number * STEPS : (number + 1) * STEPS + 1]
        goes_on = np.full(ROWS, number not in begin, np.float32)
        x, y = np.ascontiguousarray(part[:, :-1]), part[:, 1:].reshape(-1)
        yield Batch(x, y, np.arange(ROWS), (goes_on,))


def scores(model, ids, **how):
    """Of all windows, one after the other: (ROWS, T, IDS)."""
    with tape.no_grad():
        found = [model(*map(on_device, batch.inputs)).numpy() for batch in batches(ids, **how)]
    return np.concatenate([s.reshape(ROWS, STEPS, IDS) for s in found], axis=1)


def whole(model, ids):
    """Of the text in one window: (ROWS, T, IDS)."""
    with tape.no_grad():
        found, _ = model.run(on_device(np.ascontiguousarray(ids[:, :-1])), model.initial(ROWS))
    return found.numpy().reshape(ROWS, -1, IDS)


@pytest.mark.parametrize("mode", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("make", [letters, words])
def test_windows_that_go_on_give_what_the_whole_text_gives(make, mode):
    model = make().train(mode)
    np.testing.assert_allclose(scores(model, text()), whole(model, text()), rtol=2e-5, atol=2e-6)


def test_the_data_say_where_a_text_begins():
    model = letters().eval()
    two = scores(model, text(), begin=(0, 2))
    halves = [whole(model, part) for part in (text()[:, :11], text()[:, 10:])]
    np.testing.assert_allclose(two, np.concatenate(halves, axis=1), rtol=2e-5, atol=2e-6)


def test_a_row_may_begin_while_others_go_on():
    model = letters().eval()
    first, second = (b.inputs for b in batches(text(2)))
    model(*map(on_device, first))
    mixed = model(on_device(second[0]), on_device(np.array([1, 0, 1], np.float32))).numpy()
    goes_on, alone = whole(model, text(2))[:, STEPS:], whole(model, text(2)[:, STEPS:])
    found = mixed.reshape(ROWS, STEPS, IDS)
    np.testing.assert_allclose(found[[0, 2]], goes_on[[0, 2]], rtol=2e-5, atol=2e-6)
    np.testing.assert_allclose(found[1], alone[1], rtol=2e-5, atol=2e-6)


def test_measuring_leaves_the_state_of_training_as_it_is():
    model = letters()
    scores(model.train(), text(1))
    before = {name: b.numpy() for name, b in model.named_buffers().items()}
    carried = {f"carried.{s}_l{k}" for s in "hc" for k in (0, 1)}
    assert carried <= set(before)
    assert all(np.abs(before[name]).max() > 0 for name in carried)
    scores(model.eval(), text(2, seed=5))
    for name, buffer in model.named_buffers().items():
        np.testing.assert_array_equal(buffer.numpy(), before[name])


def test_a_model_takes_the_states_of_a_checkpoint_whatever_their_rows():
    model = letters()
    scores(model.train(), text(1))
    kept, other = model.state_dict(), letters(seed=9)
    other.adapt({name: values.shape for name, values in kept.items()})
    other.load_state_dict(kept)
    ids = text(3, seed=7)
    again = [scores(m.train(), ids, begin=()) for m in (model, other)]
    np.testing.assert_array_equal(*again)
    other.adapt({})
    assert other.carried.rows == ROWS


def gradients(model, batch):
    for parameter in model.named_parameters().values():
        parameter.grad, parameter.grad_is_stale = None, True
    loss, _ = model.phases()[0].loss(batch)
    tape.backward(loss)
    return {name: p.grad.numpy() for name, p in model.named_parameters().items()}


def test_gradients_end_where_a_window_begins():
    """They are the same whether the state came from a window before or from a checkpoint."""
    first, second = batches(text(2))
    behind, alone = letters().train(), letters().train()
    gradients(behind, first)
    alone.hold(ROWS)
    alone.load_state_dict(behind.state_dict())
    ours, theirs = gradients(behind, second), gradients(alone, second)
    for name, values in ours.items():
        np.testing.assert_array_equal(values, theirs[name])


@pytest.mark.parametrize("make", [letters, words])
def test_a_single_step_is_a_window_of_one(make):
    model = make().eval()
    ids = text(1)
    state, found = model.initial(ROWS), []
    with tape.no_grad():
        for t in range(STEPS):
            step, state = model.run(on_device(np.ascontiguousarray(ids[:, t : t + 1])), state)
            found.append(step.numpy())
    np.testing.assert_allclose(np.stack(found, 1), whole(model, ids), rtol=2e-5, atol=2e-6)


def test_steps_backwards_in_time_are_refused():
    layer = nn.LSTM(3, 4, bidirectional=True)
    with pytest.raises(ValueError, match="whole sequence"):
        layer.step(on_device(np.zeros((1, 3), np.float32)), layer.initial(1))


def test_one_hot_is_the_identity():
    ids = text(1)
    np.testing.assert_array_equal(OneHot(IDS)(on_device(ids)).numpy(), np.eye(IDS)[ids])
    model = letters(embedding=0)
    assert not any(name.startswith("vectors") for name in model.named_parameters())
    assert model.lstm.weight_ih_l0.shape == (32, IDS)
    assert np.isfinite(scores(model.eval(), ids)).all()


def test_word_vectors_are_the_weights_of_the_scores_where_they_fit():
    tied, free = words(), words(embedding=4)
    assert "head.weight" not in tied.named_parameters()
    assert free.named_parameters()["head.weight"].shape == (IDS, 8)
    loss, _ = tied.train().phases()[0].loss(next(batches(text())))
    tape.backward(loss)
    unread = np.setdiff1d(np.arange(IDS), text()[:, :STEPS])
    assert len(unread)
    assert np.abs(tied.vectors.weight.grad.numpy()[unread]).min() > 0  # as weights of scores


def test_the_loss_is_that_of_the_scores_and_its_sum_is_measured():
    model = letters().train()
    (batch,) = batches(text(1))
    logits = whole(model, text(1)).reshape(-1, IDS).astype(np.float64)
    nats = np.log(np.exp(logits).sum(1)) - logits[np.arange(len(batch.y)), batch.y]
    loss, outputs = model.phases()[0].loss(batch)
    tape.clear()
    assert loss.item() == pytest.approx(nats.mean(), rel=1e-5)
    assert model.measure(outputs, batch)["nats"] == pytest.approx(nats.sum(), rel=1e-5)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("char-lm", {"embedding": -1}),
        ("char-lm", {"hidden": 0}),
        ("char-lm", {"layers": 0}),
        ("char-lm", {"dropout": 1.0}),
        ("word-lm", {"embedding": 0}),
        ("word-lm", {"dropout": float("nan")}),
    ],
)
def test_settings_that_make_no_network_are_usage_errors(name, settings):
    module = catalog.load(name)
    with pytest.raises(UsageError, match=name):
        module.build(module.Config(**settings), (STEPS, IDS), 0)


@pytest.mark.oracle
@pytest.mark.parametrize("make", [letters, words])
def test_two_windows_of_training_are_those_of_pytorch(make):
    """All gradients of each window, the state detached between them, and the state at the end."""
    torch = pytest.importorskip("torch")
    model = make().train()
    named = model.named_parameters()
    values = {k: torch.tensor(p.numpy(), requires_grad=True) for k, p in named.items()}
    own = {k.removeprefix("lstm."): v for k, v in values.items() if k.startswith("lstm.")}
    weights = []
    for k in range(2):
        bias = own[f"bias_l{k}"]
        weights += [own[f"weight_ih_l{k}"], own[f"weight_hh_l{k}"], bias, torch.zeros_like(bias)]
    state = (torch.zeros(2, ROWS, 8), torch.zeros(2, ROWS, 8))
    for batch in batches(text(2)):
        ours = gradients(model, batch)
        x = values["vectors.weight"][torch.tensor(batch.x)]
        args = (True, 2, 0.0, False, False, True)  # biases, layers, no dropout, …, batch first
        out, *state = torch._VF.lstm(x, tuple(state), weights, *args)
        head = values.get("head.weight", values["vectors.weight"])
        logits = out.reshape(-1, 8) @ head.T + values["head.bias"]
        theirs = torch.nn.functional.cross_entropy(logits, torch.tensor(batch.y))
        for value in values.values():
            value.grad = None
        theirs.backward()
        state = [s.detach() for s in state]
        for name, value in values.items():
            np.testing.assert_allclose(ours[name], value.grad.numpy(), rtol=1e-4, atol=1e-6)
    for buffer, theirs in zip(model.carried.read(), zip(*state, strict=True), strict=True):
        for mine, other in zip(buffer, theirs, strict=True):
            np.testing.assert_allclose(mine.numpy(), other.numpy(), rtol=1e-4, atol=1e-6)


def test_numbers_that_are_none_in_one_evaluation_are_gone_in_the_next():
    model = letters().eval()
    want = scores(model, text())
    weights = model.state_dict()
    for tensor in model.named_parameters().values():
        tensor.write(np.full(tensor.shape, np.nan))
    assert np.isnan(scores(model, text())).any()
    model.load_state_dict(weights)
    np.testing.assert_array_equal(scores(model.eval(), text()), want)
