"""Classifiers of texts: padding and company change nothing, and PyTorch agrees."""

from types import SimpleNamespace

import numpy as np
import pytest

from dlcli.engine import tape
from dlcli.engine.tensor import Tensor
from dlcli.errors import UsageError
from dlcli.models import catalog

WORDS, CLASSES = 30, 3
SMALL = {
    "text-lstm": {"embedding": 6, "hidden": 5},
    "text-cnn": {"embedding": 6, "filters": 4},
    "text-attention": {"embedding": 6, "hidden": 5, "attention": 3},
}
NAMES = sorted(SMALL)
TEXTS = [[5, 9, 2, 7, 7, 1, 11], [4], [3, 8, 6]]


def build(name, seed=0, **settings):
    module = catalog.load(name)
    config = module.Config(**{**SMALL[name], **settings})
    return module.build(config, (64, WORDS), CLASSES, seed=seed)


def inputs(texts, width=8):
    ids = np.zeros((len(texts), width), np.int64)
    for row, text in zip(ids, texts, strict=True):
        row[: len(text)] = text
    return ids, np.array([len(text) for text in texts], np.int32)


def batch(texts=TEXTS):
    x, lengths = inputs(texts)
    return SimpleNamespace(inputs=(x, lengths), y=np.arange(len(texts)) % CLASSES)


def logits(model, texts, width=8):
    with tape.no_grad():
        return model.eval()(*map(Tensor, inputs(texts, width))).numpy()


@pytest.mark.parametrize("name", NAMES)
def test_a_text_gives_the_same_alone_in_company_and_with_more_padding(name):
    model = build(name)
    together = logits(model, TEXTS)
    assert together.shape == (len(TEXTS), CLASSES)
    for i, text in enumerate(TEXTS):
        for width in (8, 13, 32):
            np.testing.assert_allclose(logits(model, [text], width), together[i : i + 1], atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_words_matters(name):
    model = build(name)
    assert not np.allclose(logits(model, [[2, 3, 4, 5]]), logits(model, [[5, 4, 3, 2]]), atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_has_a_gradient_and_padding_has_none(name):
    model = build(name, dropout=0.0)
    loss, _ = model.phases()[0].loss(batch())
    tape.backward(loss)
    grads = {path: p.grad.numpy() for path, p in model.named_parameters().items()}
    assert [path for path, grad in grads.items() if not grad.any()] == []
    used = {word for text in TEXTS for word in text}
    assert {int(i) for i in np.flatnonzero(grads["embedding.weight"].any(axis=1))} == used


@pytest.mark.parametrize("name", NAMES)
def test_a_few_steps_learn_a_few_texts(name):
    from dlcli import optim

    model = build(name, dropout=0.0)
    phase = model.phases()[0]
    optimizer = optim.make("adam", phase.parameters)
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        loss, _ = phase.loss(batch())
        losses.append(loss.item())
        tape.backward(loss)
        optimizer.step(0.02)
    assert losses[-1] < 0.2 * losses[0]


@pytest.mark.parametrize("name", NAMES)
def test_the_summary_of_the_layers_has_all_parameters(name):
    model = build(name)
    rows = catalog.summary(model, (64, WORDS))
    assert rows[0].layer == "Embedding"
    assert rows[0].output == (64, 6)
    assert sum(r.parameters for r in rows) == sum(p.size for p in model.named_parameters().values())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("bad", [{"embedding": 0}, {"dropout": 1.0}, {"dropout": -0.1}])
def test_settings_that_make_no_network_are_usage_errors(name, bad):
    with pytest.raises(UsageError, match=name):
        build(name, **bad)


@pytest.mark.parametrize("widths", [(), (0,), (3, -1)])
def test_filters_need_a_width(widths):
    with pytest.raises(UsageError, match="text-cnn"):
        build("text-cnn", widths=widths)


def test_attention_weighs_the_words_and_no_padding():
    model = build("text-attention").eval()
    ids, lengths = inputs(TEXTS)
    with tape.no_grad():
        weights = model.explain(Tensor(ids), Tensor(lengths)).numpy()
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-6)
    assert (weights[ids == 0] == 0).all()
    assert (weights[ids != 0] > 0).all()


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


def weights_of(model):
    return {path: p.numpy() for path, p in model.named_parameters().items()}


def fill(torch, module, weights):
    """Gives a PyTorch recurrent layer the weights of ours, whose one bias is the sum of two."""
    for name, parameter in module.named_parameters():
        kind, _, rest = name.partition("_l")
        if kind == "bias_hh":
            parameter.data.zero_()
        else:
            key = f"bias_l{rest}" if kind == "bias_ih" else name
            parameter.data = torch.tensor(weights[f"lstm.{key}"])


@pytest.mark.oracle
def test_text_lstm_is_pytorchs_packed_lstm(torch):
    model = build("text-lstm")
    w = weights_of(model)
    ids, lengths = inputs(TEXTS)
    lstm = torch.nn.LSTM(6, 5, num_layers=2, batch_first=True)
    fill(torch, lstm, w)
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        torch.tensor(w["embedding.weight"][ids]),
        torch.tensor(lengths),
        batch_first=True,
        enforce_sorted=False,
    )
    _, (h, _) = lstm(packed)
    expected = h[-1].detach().numpy() @ w["head.weight"].T + w["head.bias"]
    np.testing.assert_allclose(logits(model, TEXTS), expected, atol=1e-5)


@pytest.mark.oracle
def test_text_attention_is_what_its_formula_says(torch):
    model = build("text-attention")
    w = weights_of(model)
    lstm = torch.nn.LSTM(6, 5, bidirectional=True, batch_first=True)
    fill(torch, lstm, w)
    for text, got in zip(TEXTS, logits(model, TEXTS), strict=True):
        h = lstm(torch.tensor(w["embedding.weight"][None, text]))[0][0].detach().numpy()
        hidden = np.tanh(h @ w["attention.hidden.weight"].T + w["attention.hidden.bias"])
        e = np.exp(hidden @ w["attention.score.weight"][0])
        expected = w["head.weight"] @ ((e / e.sum()) @ h) + w["head.bias"]
        np.testing.assert_allclose(got, expected, atol=1e-5)


def test_text_cnn_takes_the_largest_answer_of_each_filter():
    model = build("text-cnn", widths=(3,))
    w = weights_of(model)
    filters = w["convolutions.0.weight"]  # (4, 3, 6)
    for text, got in zip(TEXTS, logits(model, TEXTS), strict=True):
        padded = np.pad(w["embedding.weight"][text], ((1, 1), (0, 0)))
        answers = [
            np.tensordot(filters, padded[t : t + 3], 2) + w["convolutions.0.bias"]
            for t in range(len(text))
        ]
        found = np.maximum(np.max(answers, axis=0), 0)
        np.testing.assert_allclose(got, w["head.weight"] @ found + w["head.bias"], atol=1e-5)
