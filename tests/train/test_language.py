"""The task of a language: exact figures, lines, new text; and a run that is stopped anywhere."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcli.data import catalog, kind
from dlcli.engine import tape
from dlcli.engine.planner import WARM
from dlcli.engine.tensor import on_device
from dlcli.errors import CheckpointError, DataError, NonFiniteError, UsageError
from dlcli.models import char_lm, word_lm
from dlcli.train import checkpoint, language_model, ngrams, task
from dlcli.train.loop import Interrupted
from dlcli.train.run import RunDir
from dlcli.train.task import Trained
from tests.train import small
from tests.train.outcomes import StopAt, outcome, resumed

CHARACTERS, WORDS = kind.of("characters"), kind.of("words")
TASK = task.of(CHARACTERS)
TEXT = "".join(f"{'ab'[i % 2]}{'cde'[i % 3]} {i % 7}\n" for i in range(120))
RECIPE = {"epochs": 2, "batch_size": 4, "monitor": "val_loss", "warmup": 0}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text(TEXT)
    return catalog.load(str(path), kind=CHARACTERS, sequence=16)


def model(data, seed=0, dropout=0.1):
    config = char_lm.Config(embedding=5, hidden=8, layers=2, dropout=dropout)
    return char_lm.build(config, data.shape, 0, seed=seed)


def trained(data, made=None):
    made = made or model(data)
    info = {"name": "char-lm"}
    return Trained(None, made.eval(), data.kind.fit(data), data.kind, data.shape, [], info)


def one_by_one(found, symbols, before="\n"):
    """The nats of each symbol after all before it, step by step."""
    encoder, state = found.encode, found.model.eval().initial(1)
    last, nats = encoder.ids.get(before, 0), []
    with tape.no_grad():
        for i in encoder.encode(symbols):
            scores, state = found.model.run(on_device(np.array([[last]])), state)
            z = scores.numpy()[0].astype(np.float64)
            nats.append(np.log(np.exp(z).sum()) - z[i])
            last = int(i)
    return np.array(nats)


# --- runs that are stopped ------------------------------------------------------------------------


def train(path, data, **more):
    return small.trainer(path, model=model(data), data=data, **{**RECIPE, **more})


def test_stopping_after_any_step_and_resuming_changes_no_bit(tmp_path, data):
    total = train(tmp_path / "whole", data).fit().steps
    want = outcome(tmp_path / "whole")
    tensors = RunDir.open(tmp_path / "whole").load("last").tensors
    assert tensors["carried.c_l1"].shape == (4, 8)
    for step in (1, 6, total - 5):
        path = tmp_path / f"{step}"
        with pytest.raises(Interrupted):
            train(path, data, observer=StopAt(step)).fit()
        resumed(path, model=model(data, seed=5), data=data, **RECIPE).fit()
        assert outcome(path) == want, f"stopped after step {step}"


def test_batches_of_an_accumulated_step_go_on_too(tmp_path, data):
    how = {"accumulate": 3}
    train(tmp_path / "whole", data, **how).fit()
    with pytest.raises(Interrupted):
        train(tmp_path / "cut", data, observer=StopAt(3), **how).fit()
    resumed(tmp_path / "cut", model=model(data, seed=5), data=data, **RECIPE, **how).fit()
    assert outcome(tmp_path / "cut") == outcome(tmp_path / "whole")


def test_a_nan_in_the_first_step_leaves_no_nan_in_the_states(tmp_path, data):
    spoiled = model(data)
    values = spoiled.head.bias.numpy()
    values[0] = np.inf
    trainer = small.trainer(tmp_path / "run", model=spoiled, data=data, **RECIPE)
    spoiled.head.bias.write(values)
    with pytest.raises(NonFiniteError):
        trainer.fit()
    for name, buffer in spoiled.named_buffers().items():
        if name.startswith("carried"):
            np.testing.assert_array_equal(buffer.numpy(), 0)


def test_a_checkpoint_with_states_of_another_model_is_refused(tmp_path, data):
    train(tmp_path / "run", data, epochs=1).fit()
    kept = RunDir.open(tmp_path / "run").load("best")
    kept.tensors["carried.h_l0"] = np.zeros((4, 9), np.float32)
    with pytest.raises(CheckpointError, match="does not fit the model"):
        checkpoint.restore(model(data), kept)


# --- figures --------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["val", "test"])
def test_every_character_of_a_part_counts_once_after_all_before_it(data, part, monkeypatch):
    found, split = trained(data), data.splits[part]
    told = []
    results = [
        TASK.evaluate(found, data, part, batch_size=size, on_batch=lambda *at: told.append(at))
        for size in (1, 64)
    ]
    assert results[0].figures == results[1].figures
    text = "".join(split.symbols[c] for c in split.samples(np.arange(len(split))))
    before = (*split.symbols, "the beginning")[split.codes[split.first]]
    nats = one_by_one(found, text, before).mean()
    assert results[0].samples == len(split) == told[-1][0] == told[-1][1]
    assert results[0].loss == pytest.approx(nats, rel=1e-5)
    figures = results[0].figures
    assert figures["nats"] == figures["loss"]
    assert figures["perplexity"] == pytest.approx(math.exp(nats), rel=1e-5)
    assert figures["bits_per_character"] == pytest.approx(nats / math.log(2), rel=1e-5)


def test_a_part_is_measured_by_plans_to_the_same_bits(data, monkeypatch, plans):
    found = trained(data)
    monkeypatch.setattr("dlcli.data.stream.EVALUATED", 40)
    plain = TASK.evaluate(found, data, "train", batch_size=8)
    assert not plans
    found.model.plan = True
    for _ in range(2):  # the second begins anew, whatever the first has left
        assert TASK.evaluate(found, data, "train", batch_size=8).figures == plain.figures
    assert len(plans) > 2


def test_validation_within_training_gives_the_same_figures(tmp_path, data):
    trainer = train(tmp_path / "run", data)
    best = trainer.fit().best
    made = trainer.model
    checkpoint.restore(made, RunDir.open(tmp_path / "run").load("best"))
    found = TASK.evaluate(trained(data, made), data, "val", batch_size=8)
    assert found.loss == pytest.approx(best["val_loss"], rel=1e-5)
    assert best["val_perplexity"] == pytest.approx(math.exp(best["val_loss"]), rel=1e-9)


def test_bits_of_words_are_those_of_their_characters(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text(TEXT)
    data = catalog.load(str(path), kind=WORDS, sequence=5)
    made = word_lm.build(word_lm.Config(8, 8, 1, 0.0), data.shape, 0)
    found = TASK.evaluate(trained(data, made), data, "test", batch_size=1)
    split = data.splits["test"]
    letters = sum(len(split.symbols[c]) for c in split.samples(np.arange(len(split))))
    assert found.letters == letters > found.samples
    bits = found.loss * found.samples / letters / math.log(2)
    assert found.figures["bits_per_character"] == pytest.approx(bits)
    assert "nats per word" in found.shown("words")[1].header


def test_an_empty_part_cannot_be_measured(data):
    split = SimpleNamespace(splits={"test": np.zeros(0)})
    with pytest.raises(DataError, match="nothing to evaluate"):
        TASK.evaluate(trained(data), split, "test", batch_size=1)


def counted(text, ids):
    known = ngrams.Counts(ids)
    known.add(np.array(text[:-1]), np.array(text[1:]))
    return known


@given(st.lists(st.integers(0, 4), min_size=2, max_size=60), st.integers(0, 5))
def test_ngrams_are_probabilities_and_those_of_the_definition(text, before):
    known, ids = counted(text, 6), 6
    every = [known.nats(np.array([before]), np.array([w])) for w in range(ids)]
    for name in ("unigram", "bigram"):
        assert sum(math.exp(-found[name]) for found in every) == pytest.approx(1)
    after = text[1:]
    pairs = list(zip(text[:-1], after, strict=True))
    for w in range(ids):
        alone = (after.count(w) + 1) / (len(after) + ids)
        assert every[w]["unigram"] == pytest.approx(-math.log(alone))
        if n := sum(a == before for a, _ in pairs):
            different = len({b for a, b in pairs if a == before})
            p = max(pairs.count((before, w)) - 0.75, 0) / n + 0.75 * different / n * alone
            assert every[w]["bigram"] == pytest.approx(-math.log(p))


def test_counting_in_pieces_is_counting_at_once():
    text = np.random.default_rng(0).integers(0, 9, 500)
    whole, parts = counted(text, 9), ngrams.Counts(9)
    for at in range(0, 499, 100):
        parts.add(text[at : at + 100][: 499 - at], text[at + 1 : at + 101])
    for name in ("single", "pairs", "times"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(parts, name))


# --- lines ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("most", [1 << 22, 50])
def test_a_line_gives_the_same_alone_and_in_company(data, monkeypatch, most):
    monkeypatch.setattr(language_model, "MOST_SCORES", most)
    found = trained(data)
    lines = ["ac 3", "", "b", "bd 0" * 9, "x?", "ae 6bc"]
    said = TASK.predict(found, [CHARACTERS.split(line) for line in lines], {})
    for line, answer in zip(lines, said, strict=True):
        assert answer["characters"] == len(line)
        if line:
            assert answer["nats"] == pytest.approx(one_by_one(found, line).mean(), rel=1e-5)
            assert answer["perplexity"] == pytest.approx(math.exp(answer["nats"]))
    assert (said[1]["nats"], said[1]["perplexity"]) == (None, None)
    assert [answer["unknown"] for answer in said] == [0, 0, 0, 0, 2, 0]


# --- new text -------------------------------------------------------------------------------------

OPTIONS = {"prompt": "", "length": 30, "temperature": 1.0, "top_k": None, "top_p": None}


def text_of(found, sample=0, seed=0, **options):
    made = {**OPTIONS, "stop": None, **options}
    return "".join(TASK.generator.generate(found, made, seed=seed, sample=sample))


def test_the_same_seed_and_number_give_the_same_text_and_others_another(data):
    found = trained(data)
    texts = {text_of(found, sample, seed) for sample in (0, 1) for seed in (0, 1)}
    assert len(texts) == 4
    assert text_of(found, 1, 1) in texts
    assert all(len(text) == 30 for text in texts)


def test_a_longer_text_begins_with_the_shorter_one(data):
    found = trained(data)
    assert text_of(found, length=600).startswith(text_of(found))


def test_a_text_and_its_prompt_follow_the_end_of_a_line(data):
    found = trained(data)
    first, state = found.encode.ids["\n"], found.model.initial(1)
    with tape.no_grad():
        ids = np.append(first, found.encode.encode("ac"))
        scores, _ = found.model.run(on_device(ids[np.newaxis]), state)
    best = found.encode.symbols[int(scores.numpy()[-1, 1:].argmax())]
    assert text_of(found, prompt="ac", length=1, temperature=0.0) == best


def test_the_best_is_taken_at_temperature_0_and_of_one(data):
    found = trained(data)
    greedy = text_of(found, temperature=0.0)
    assert greedy == text_of(found, top_k=1) == text_of(found, top_p=1e-9, seed=3)
    last, best = found.encode.ids["\n"], ""
    state = found.model.initial(1)
    with tape.no_grad():
        for _ in greedy:
            scores, state = found.model.run(on_device(np.array([[last]])), state)
            last = int(scores.numpy()[0, 1:].argmax()) + 1
            best += found.encode.symbols[last - 1]
    assert greedy == best


def test_the_prompt_may_be_read_in_parts(data, monkeypatch):
    found = trained(data)
    whole = text_of(found, prompt="ac 3\nbd 4\n" * 3)
    monkeypatch.setattr(language_model, "MOST_SCORES", 70)
    assert text_of(found, prompt="ac 3\nbd 4\n" * 3) == whole


def test_text_by_plans_is_the_same_to_the_letter(data, plans):
    found = trained(data)
    plain = text_of(found, prompt="ac 3", length=200)
    assert not plans
    found.model.plan = True
    assert text_of(found, prompt="ac 3", length=200) == plain
    assert len(plans) == 199 - WARM - 2


def test_what_is_not_known_is_never_written(data):
    found = trained(data)
    bias = found.model.head.bias.numpy()
    bias[0] = 50.0
    found.model.head.bias.write(bias)
    assert len(text_of(found)) == 30


def test_scores_that_are_no_numbers_end_it(data):
    found = trained(data)
    found.model.head.bias.write(np.full(data.shape[1], np.nan))
    with pytest.raises(NonFiniteError):
        text_of(found)


def test_a_prompt_of_unknown_characters_names_them_and_of_unknown_words_too(data, tmp_path):
    with pytest.raises(UsageError, match=r"'é' \(U\+00E9\), '☃' \(U\+2603\)"):
        TASK.generator.check(trained(data), {"prompt": "aéa☃é"})
    assert TASK.generator.check(trained(data), {"prompt": "ac"}) == []
    path = tmp_path / "text.txt"
    path.write_text(TEXT)
    words = catalog.load(str(path), kind=WORDS, sequence=5)
    (said,) = TASK.generator.check(trained(words, model(words)), {"prompt": "xyzzy ac"})
    assert "'xyzzy'" in said


def test_a_task_that_makes_nothing_says_so():
    with pytest.raises(UsageError, match="cnn cannot generate"):
        task.generator(task.of(kind.of("image")), "cnn")


def test_validation_of_one_row_has_a_plan_as_its_batches_come(tmp_path, data, monkeypatch, plans):
    monkeypatch.setattr("dlcli.data.stream.EVALUATED", 4)
    trainer = train(tmp_path / "run", data)
    trainer.model.plan = trainer.stepper.repeater.planner.enabled = True
    assert len(trainer.val_loader) > 5
    trainer.stepper.validate(trainer.val_loader, lambda: False)
    assert plans
