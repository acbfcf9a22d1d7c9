"""The task of translating: what is measured, and the same on a device the host cannot touch."""

import itertools
import math

import numpy as np
import pytest

from dlcli.data.dataset import Dataset, fingerprint
from dlcli.data.loader import Loader
from dlcli.data.pair_kind import KIND
from dlcli.data.pair_split import Pair, PairSplit
from dlcli.engine import executor, tape
from dlcli.errors import DataError
from dlcli.models import seq2seq
from dlcli.train import bleu, metrics, translate
from dlcli.train.loop import Interrupted
from dlcli.train.task import Trained
from tests.engine.strict import InOneRange, StrictExecutor
from tests.train import small
from tests.train.outcomes import StopAt, outcome, resumed

LINES = [
    (f"{a} {' very' * n} {b}.".replace("  ", " "), f"{b}\u202f! {a}" + " bien" * n)
    for n, a, b in itertools.product(range(3), ("Tom", "Ann"), ("runs", "sits", "falls"))
]
RECIPE = {"epochs": 2, "batch_size": 4, "clip_norm": 1.0, "monitor": "val_accuracy"}


def dataset(extra=()):
    splits = {}
    for name, rows in (("train", LINES[:12]), ("val", LINES[12:15]), ("test", LINES[15:])):
        pairs = [*rows, *extra] if name == "test" else rows
        splits[name] = PairSplit(name, pairs, [f"{name}/{i}" for i in range(len(pairs))])
    shape = KIND.shape("lines", (9, 99, 9, 99), splits["train"], {})
    return Dataset("lines", [], shape, splits, {}, fingerprint([], shape, splits), "here", KIND)


def build(data, seed=1, **settings):
    given = {"embedding": 6, "hidden": 5, "attention": 4, "dropout": 0.2, **settings}
    return seq2seq.build(seq2seq.Config(**given), data.shape, 0, seed=seed)


def trained_on(data, model):
    return Trained(None, model, KIND.fit(data), KIND, data.shape, [], {"name": "seq2seq"})


def evaluate(data, model, **more):
    return translate.TASK.evaluate(trained_on(data, model), data, "test", batch_size=2, **more)


def test_the_loss_is_nats_per_word_and_bleu_is_of_distinct_sources_with_all_their_references():
    data = dataset(extra=[(LINES[15][0], "autre chose"), (LINES[16][0].upper(), "encore")])
    model, seen = build(data), []
    found = evaluate(data, model, on_batch=lambda done, total: seen.append((done, total)))
    assert seen == [(2, 5), (4, 5), (5, 5)]
    assert found.samples == 5
    assert found.sources == [source for source, _ in LINES[15:]]
    assert found.references[0] == [LINES[15][1], "autre chose"]
    assert found.references[1] == [LINES[16][1], "encore"]
    assert found.bleu == bleu.corpus(found.translations, found.references)
    nats, words = 0.0, 0
    with tape.no_grad():
        model.eval()
        for batch in Loader(data.splits["test"], KIND.fit(data), 1).epoch(0):
            n = int(np.count_nonzero(batch.inputs[3] != seq2seq.NOTHING))
            nats += model.phases()[0].loss(batch)[0].item() * n
            words += n
    assert found.loss == pytest.approx(nats / words, rel=1e-5)
    assert found.figures["perplexity"] == pytest.approx(math.exp(nats / words), rel=1e-4)
    assert set(found.figures) >= {*translate.TASK.least, *translate.TASK.most, "loss", "accuracy"}


def test_the_loss_is_measured_by_plans_to_the_same_bits(plans):
    model, data = build(dataset()), dataset(extra=3 * LINES[6:12])  # of the same lengths
    plain = evaluate(data, model).to_json()
    assert not plans
    model.plan = True
    assert evaluate(data, model).to_json() == plain
    assert plans


def test_ten_translations_are_shown_with_the_reference_that_comes_closest():
    n = 25
    found = translate.Evaluation(
        samples=n,
        loss=1.0,
        accuracy=0.5,
        greedy=1.0,
        bleu=2.0,
        sources=[f"s{i}" for i in range(n)],
        translations=[f"le chat {i}\u202f!" for i in range(n)],
        references=[["un chien", f"chat {i} !", "le"] for i in range(n)],
    )
    figures, table = found.shown("pairs")
    assert "perplexity   2.72" in figures
    assert len(table.rows) == 10
    assert table.rows[0][1:] == ("le chat 1 !", "chat 1 !")
    assert len({row[0] for row in table.rows}) == 10
    assert found.to_json()["translations"][24]["source"] == "s24"


def test_an_empty_part_is_an_error():
    data = dataset()
    data.splits["test"] = PairSplit("test", [], [])
    with pytest.raises(DataError, match="nothing to evaluate"):
        evaluate(data, build(data))


def test_a_sentence_is_translated_the_same_in_any_company_and_order():
    data = dataset()
    model = trained_on(data, build(data, hidden=8))
    samples = [Pair(s.split()) for s in ("Tom runs .", "", "Ann very very falls .", "x", "Tom")]
    together = translate.translate(model, samples, 3)
    assert together[1] == ("", 0.0)
    for sample, (text, score) in zip(samples, together, strict=True):
        ((alone, own),) = translate.translate(model, [sample], 3)
        assert alone == text
        assert own == pytest.approx(score, abs=1e-5)


def test_many_sentences_are_translated_in_several_batches(monkeypatch):
    data = dataset()
    model = trained_on(data, build(data))
    samples = [Pair(["Tom"] * (1 + i % 5)) for i in range(11)]
    want = translate.translate(model, samples, 2)
    monkeypatch.setattr(translate, "MOST_NUMBERS", 4 * 2 * data.shape[3])
    found = translate.translate(model, samples, 2)
    assert [text for text, _ in found] == [text for text, _ in want]


def test_what_is_not_known_is_named_and_what_is_no_number_is_null():
    data = dataset()
    model = build(data)
    model.words.bias.write(np.full(data.shape[3], np.nan, np.float32))
    samples = [Pair(["Tom", "sneezes"])]
    (line,) = translate.TASK.predict(trained_on(data, model), samples, {"beam": 2})
    assert line == {"translation": "", "score": None, "unknown": ["sneezes"]}


def everything(path, data):
    """Trains to the end, and what came of it: files, figures, translations."""
    model = build(data)
    small.trainer(path, model=model, data=data, **RECIPE).fit()
    return {**outcome(path), "found": evaluate(data, model).to_json()}


def test_no_host_code_touches_device_memory_and_the_bits_are_the_cpu_s(tmp_path):
    data = dataset()
    with executor.using(InOneRange(threads=1)) as cpu:
        want = everything(tmp_path / "cpu", data)
        cpu.close()
    with executor.using(StrictExecutor()):
        found = everything(tmp_path / "strict", data)
    assert found == want


def test_a_run_that_is_stopped_and_resumed_on_a_device_is_one_that_never_stopped(tmp_path):
    given = {"data": dataset(), **RECIPE}
    data = given["data"]
    with executor.using(StrictExecutor()):
        small.trainer(tmp_path / "whole", model=build(data), **given).fit()
        cut = small.trainer(tmp_path / "cut", model=build(data), observer=StopAt(4), **given)
        with pytest.raises(Interrupted):
            cut.fit()
        resumed(tmp_path / "cut", model=build(data, seed=2), **given).fit()
    assert outcome(tmp_path / "cut") == outcome(tmp_path / "whole")


def test_figures_of_models_that_count_words_are_means_over_them():
    total = metrics.Sums()
    total.add({"loss": 6.0, "correct": 1, "tokens": 3}, 2)
    total.add({"loss": 1.0, "correct": 1, "tokens": 1}, 2)
    assert total.means("val_") == {"val_loss": 7 / 4, "val_accuracy": 2 / 4}
    again = metrics.Sums(dict(total.sums), total.samples)
    assert again.means() == {"loss": 7 / 4, "accuracy": 2 / 4}
    assert metrics.Sums({"loss": 1.0}, 4).means() == {"loss": 0.25}
