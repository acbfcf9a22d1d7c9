"""The model of translations: what padding must not change, and what is written word by word."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest

from dlcli import optim
from dlcli.engine import tape
from dlcli.errors import UsageError
from dlcli.models import catalog, seq2seq
from dlcli.models.seq2seq import END, NOTHING
from dlcli.train import beam

SOURCES, TARGETS = 9, 7
SHAPE = (8, SOURCES, 8, TARGETS)
CELLS = sorted(seq2seq.CELLS)
PAIRS = [([5, 2, 7], [3, 4, 3, 6]), ([8], [5]), ([3, 3, 2, 6, 4], [6, 6])]


def build(cell="lstm", seed=0, **settings):
    small = {"embedding": 5, "hidden": 4, "attention": 3, "dropout": 0.0, **settings}
    return seq2seq.build(seq2seq.Config(cell=cell, **small), SHAPE, 0, seed=seed)


def batch(pairs=PAIRS, s=6, t=6):
    """As an encoder makes it, padded to s and t."""
    n = len(pairs)
    sources, given = np.zeros((n, s), np.int64), np.zeros((n, t), np.int64)
    wanted = np.full((n, t), NOTHING)
    for i, (source, target) in enumerate(pairs):
        sources[i, : len(source)] = source
        given[i, : len(target) + 1] = [END, *target]
        wanted[i, : len(target) + 1] = [*target, END]
    lengths = np.array([len(source) for source, _ in pairs], np.int32)
    return SimpleNamespace(inputs=(sources, lengths, given, wanted), y=np.zeros(n, np.int64))


def outcome(model, made):
    """The loss, and the log-probabilities (N, T, words)."""
    with tape.no_grad():
        loss, outputs = model.eval().phases()[0].loss(made)
        found = tape.apply("log_softmax", outputs["logits"]).numpy()
    return loss.item(), found.reshape(*made.inputs[2].shape, -1)


@pytest.mark.parametrize("cell", CELLS)
def test_padding_changes_neither_the_words_nor_the_loss(cell):
    model = build(cell)
    loss, together = outcome(model, batch())
    assert outcome(model, batch(s=8, t=8))[0] == pytest.approx(loss, rel=1e-6)
    for i, (_, target) in enumerate(PAIRS):
        for s, t in ((5, 5), (6, 6), (8, 7)):
            _, alone = outcome(model, batch([PAIRS[i]], s, t))
            n = len(target) + 1
            np.testing.assert_allclose(alone[0, :n], together[i, :n], atol=1e-5)


@pytest.mark.parametrize("cell", CELLS)
def test_the_loss_is_the_mean_over_the_words_that_are_wanted(cell):
    model, made = build(cell), batch()
    loss, found = outcome(model, made)
    wanted = [[*target, END] for _, target in PAIRS]
    nats = [-found[i, t, word] for i, line in enumerate(wanted) for t, word in enumerate(line)]
    assert loss == pytest.approx(np.mean(nats), rel=1e-5)
    with tape.no_grad():
        sums = model.measure(model.phases()[0].loss(made)[1], made)
    right = [found[i, t].argmax() == w for i, line in enumerate(wanted) for t, w in enumerate(line)]
    assert sums == {"loss": pytest.approx(np.sum(nats)), "correct": np.sum(right), "tokens": 10}


@pytest.mark.parametrize("cell", CELLS)
def test_every_parameter_has_a_gradient_which_padding_does_not_change(cell):
    gradients = []
    for s, t in ((5, 5), (8, 8)):
        model = build(cell)
        loss, _ = model.phases()[0].loss(batch(s=s, t=t))
        tape.backward(loss)
        gradients.append({n: p.grad.numpy() for n, p in model.named_parameters().items()})
    for name, gradient in gradients[0].items():
        assert gradient.any(), name
        np.testing.assert_allclose(gradient, gradients[1][name], atol=1e-6)
    assert not gradients[0]["source.weight"][0].any()
    assert not gradients[0]["target.weight"][0].any()


@pytest.mark.parametrize("cell", CELLS)
def test_a_word_depends_on_the_whole_source_and_on_the_words_before_it_alone(cell):
    model = build(cell)
    source, target = PAIRS[0]
    _, found = outcome(model, batch([PAIRS[0]]))
    for i in range(len(source)):
        changed = [*source[:i], 1, *source[i + 1 :]]
        assert np.abs(outcome(model, batch([(changed, target)]))[1] - found)[0, 0].max() > 1e-6
    for i in range(len(target)):
        changed = [*target[:i], 1, *target[i + 1 :]]
        other = outcome(model, batch([(source, changed)]))[1]
        np.testing.assert_array_equal(other[0, : i + 1], found[0, : i + 1])
        assert np.abs(other - found)[0, i + 1].max() > 1e-6


@pytest.mark.parametrize("cell", CELLS)
def test_writing_word_by_word_gives_what_reading_all_at_once_gives(cell):
    model = build(cell)
    made = batch()
    _, want = outcome(model, made)
    with tape.no_grad():
        translator = model.translator(*made.inputs[:2], 2)
        for t in range(5):
            last = np.stack([made.inputs[2][:, t], np.full(3, END)], axis=1)  # and another beside
            rows = [i for i, (_, target) in enumerate(PAIRS) if t <= len(target)]
            np.testing.assert_allclose(translator.step(last)[rows, 0], want[rows, t], atol=1e-5)


def test_a_beginning_goes_on_from_the_one_that_was_kept():
    model = build(seed=3)
    made = batch()
    with tape.no_grad():
        one, other = (model.translator(*made.inputs[:2], 2) for _ in range(2))
        words = np.array([[3, 4], [5, 6], [6, 3]])
        for translator in (one, other):
            translator.step(words)
        rows = np.array([[1, 0], [1, 1], [0, 0]])
        other.keep(rows)
        found = other.step(np.full((3, 2), 4))
        want = one.step(np.full((3, 2), 4))
    np.testing.assert_allclose(found, np.take_along_axis(want, rows[:, :, None], 1), atol=1e-6)


@pytest.mark.parametrize("cell", CELLS)
def test_beam_search_finds_the_best_of_all_sentences_and_greed_none_that_is_better(cell):
    longest, words = 2, [3, 4, 5, 6]
    every = [w for n in range(longest + 1) for w in itertools.product(words, repeat=n)]
    for seed in range(4):
        model = build(cell, seed, hidden=6)
        for parameter in model.words.named_parameters().values():
            parameter.write(parameter.numpy() * 6)  # so that words differ in their probability
        _, found = outcome(model, batch([(PAIRS[0][0], list(w)) for w in every]))
        lines = [[*w, END] for w in every]
        scores = [
            np.mean([p[t, x] for t, x in enumerate(w)]) for p, w in zip(found, lines, strict=True)
        ]
        with tape.no_grad():
            sources = batch().inputs[:2]
            written = [
                beam.search(
                    model.translator(*sources, width),
                    len(PAIRS),
                    width=width,
                    longest=longest,
                    end=END,
                    never=(0, 1),
                )[0]
                for width in (1, len(every))
            ]
        greedy, best = written
        assert tuple(best.words) == every[int(np.argmax(scores))]
        assert best.score == pytest.approx(max(scores), abs=1e-4)
        assert greedy.score <= best.score + 1e-6
        assert greedy.score == pytest.approx(scores[every.index(tuple(greedy.words))], abs=1e-4)


@pytest.mark.parametrize("cell", CELLS)
def test_a_few_steps_learn_a_few_sentences(cell):
    model = build(cell, hidden=16, embedding=8)
    (phase,) = model.phases()
    optimizer = optim.make("adam", phase.parameters)
    for _ in range(150):
        optimizer.zero_grad()
        loss, _ = phase.loss(batch())
        tape.backward(loss)
        optimizer.step(0.02)
    with tape.no_grad():
        translator = model.eval().translator(*batch().inputs[:2], 1)
        written = beam.search(translator, 3, width=1, longest=6, end=END)
    assert [one.words for one in written] == [target for _, target in PAIRS]


def test_label_smoothing_is_of_training_alone():
    model = build()
    plain, _ = outcome(model, batch())
    model.label_smoothing = 0.5
    assert outcome(model, batch())[0] == plain
    model.train()
    with tape.no_grad():
        assert model.phases()[0].loss(batch())[0].item() != plain


def test_the_layers_are_shown_for_a_pair_of_sentences():
    model = build()
    rows = catalog.summary(model, SHAPE)
    assert sum(row.parameters for row in rows) == sum(
        p.size for p in model.named_parameters().values()
    )
    assert rows[-1].output == (8, TARGETS)


@pytest.mark.parametrize(
    "settings",
    [{"hidden": 0}, {"embedding": -1}, {"attention": 0}, {"dropout": 1.0}, {"cell": "x"}],
)
def test_settings_that_make_no_network_are_refused(settings):
    with pytest.raises(UsageError, match="seq2seq"):
        build(**settings)


@pytest.mark.oracle
def test_pytorch_gives_the_same_loss_and_gradients():
    torch = pytest.importorskip("torch")
    model, made = build(), batch()
    loss, _ = model.phases()[0].loss(made)
    tape.backward(loss)
    p = {
        n: torch.tensor(t.numpy(), requires_grad=True) for n, t in model.named_parameters().items()
    }
    sources, lengths, given, wanted = map(torch.tensor, made.inputs)

    def lstm(name, x, suffix="", state=None):
        """One direction over (T, F), written out."""
        w, u, b = (p[f"{name}.{kind}_l0{suffix}"] for kind in ("weight_ih", "weight_hh", "bias"))
        h, c = state or (torch.zeros(u.shape[1]), torch.zeros(u.shape[1]))
        outs = []
        for step in x:
            i, f, g, o = (w @ step + u @ h + b).chunk(4)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
            outs.append(h)
        return torch.stack(outs), (h, c)

    nats = []
    for source, n, target, words in zip(sources, lengths, given, wanted, strict=True):
        x = p["source.weight"][source[:n]]
        (forth, ends), (back, begins) = lstm("encoder", x), lstm("encoder", x.flip(0), "_reverse")
        keys = torch.cat((forth, back.flip(0)), 1)
        both = [torch.cat(pair) for pair in zip(ends, begins, strict=True)]
        state = tuple(
            (p[f"bridges.{i}.weight"] @ end + p[f"bridges.{i}.bias"]).tanh()
            for i, end in enumerate(both)
        )
        steps, _ = lstm("decoder", p["target.weight"][target], "", state)
        hidden = steps @ p["attention.query.weight"].T
        scores = (hidden[:, None] + keys @ p["attention.key.weight"].T).tanh() @ p["attention.v"]
        context = scores.softmax(1) @ keys
        features = torch.cat((steps, context), 1) @ p["combine.weight"].T + p["combine.bias"]
        logits = features.tanh() @ p["words.weight"].T + p["words.bias"]
        nats.append(torch.nn.functional.cross_entropy(logits, words, reduction="none"))
    want = torch.cat(nats).sum() / (wanted != NOTHING).sum()
    want.backward()
    assert loss.item() == pytest.approx(want.item(), rel=1e-5)
    for name, parameter in model.named_parameters().items():
        theirs = p[name].grad.numpy()
        if name in ("source.weight", "target.weight"):
            theirs[0] = 0  # padding
        np.testing.assert_allclose(parameter.grad.numpy(), theirs, atol=2e-6, err_msg=name)
