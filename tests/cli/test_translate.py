"""Translations from the shell: a table of pairs trained, resumed, measured, and sentences of a pipe
translated.
"""

import io
import itertools
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.cli.conftest import call

WHO = {"I": "moi", "you": "toi", "Tom": "Tom", "we": "nous", "Ann": "Ann"}
WHAT = {"red": "rouge", "small": "petit", "old": "vieux", "sad": "triste"}
THING = {"cat": "chat", "dog": "chien", "bird": "oiseau", "cow": "vache", "fish": "poisson"}
SMALL = (
    *("--set", "model.embedding=16", "--set", "model.hidden=32", "--set", "model.attention=8"),
    *("--set", "model.dropout=0.1", "--no-plots", "--threads", "1"),
)


def write_pairs(path: Path) -> Path:
    """Sentences whose words stand in another order in the other language."""
    rows = []
    for who, what, thing in itertools.product(WHO, WHAT, THING):
        english = f"The {what} {thing} sees {who}."
        rows.append(f"{english}\tLe {THING[thing]} {WHAT[what]} voit {WHO[who]}\u202f!\tby me\n")
    path.write_text("".join(rows), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def pairs(tmp_path_factory) -> Path:
    return write_pairs(tmp_path_factory.mktemp("pairs") / "pairs.tsv")


@pytest.fixture(scope="session")
def trained_pairs(tmp_path_factory, pairs) -> Path:
    """A run of `seq2seq` on the table. Shared: nothing changes it."""
    run = tmp_path_factory.mktemp("runs") / "pairs"
    given = ("--data", pairs, "--epochs", "32", "--batch-size", "10", "--out", run)
    result = call("train", "seq2seq", *given, "--lr", "0.01", "--schedule", "constant", *SMALL)
    assert result.code == 0, result.err
    assert "pairs to train on" in result.err
    return run


@pytest.fixture
def pipe(monkeypatch):
    """Sets what is on standard input."""

    def give(text: str) -> None:
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(text.encode())))

    return give


def test_sentences_that_were_never_seen_are_translated(dlcli, trained_pairs):
    result = dlcli("eval", trained_pairs, "--json", "--fail-under", "bleu=95", "--no-plots")
    assert result.code == 0, result.err
    found = result.json
    assert found["samples"] == found["sentences"] == len(found["translations"]) == 10
    assert {"source", "translation", "references"} == set(found["translations"][0])
    assert found["perplexity"] < 1.1
    assert found["accuracy"] > 0.95
    assert found["translations"][0]["translation"].startswith("Le ")


def test_figures_and_translations_are_shown_and_gated(dlcli, fails, trained_pairs):
    said = dlcli("eval", trained_pairs, "--split", "train").out
    assert "80 pairs" in said
    assert "a beam of 5" in said
    assert said.count("The ") == 10
    gated = dlcli("eval", trained_pairs, "--fail-over", "perplexity=1")
    assert gated.code == 8
    assert "misses" in gated.err
    assert "no figure 'f1'" in fails(2, "eval", trained_pairs, "--fail-under", "f1=1")


def test_lines_of_a_pipe_are_translated_one_by_one(dlcli, trained_pairs, pipe):
    pipe("The old dog sees you.\r\n\nxyzzy\nthe OLD dog sees you .\n" + "bird " * 5_000 + "\n!")
    result = dlcli("predict", trained_pairs, "-")
    assert result.code == 0, result.err
    first, empty, unknown, same, endless, mark = result.lines
    assert first["translation"] == "Le chien vieux voit toi\u202f!"
    assert first["score"] < 0
    assert "unknown" not in first
    assert (empty["translation"], empty["score"]) == ("", 0)
    assert unknown["unknown"] == ["xyzzy"]
    assert isinstance(unknown["translation"], str)
    assert same["translation"] == first["translation"]
    assert len(endless["translation"].split()) <= 40
    assert endless["note"] == "the first 40 of its 5,000 words are read"
    assert mark["unknown"] == ["!"]


def test_a_beam_finds_translations_that_are_no_worse(dlcli, trained_pairs, pairs):
    scores = {}
    for width in (1, 4):
        result = dlcli("predict", trained_pairs, pairs, "--beam", width)
        assert result.code == 0, result.err
        scores[width] = [line["score"] for line in result.lines]
    assert len(scores[1]) == 100
    assert sum(scores[4]) >= sum(scores[1]) - 1e-4  # where both find the same, batches round


def test_a_batch_of_sentences_gives_the_same_as_one_by_one(dlcli, trained_pairs, pipe):
    sentences = ["The red cat sees Tom.", "Tom", "The small bird sees the old dog and the red cat."]
    pipe("\n".join(sentences))
    together = dlcli("predict", trained_pairs, "-", "--beam", "3").lines
    for sentence, line in zip(sentences, together, strict=True):
        pipe(sentence)
        (alone,) = dlcli("predict", trained_pairs, "-", "--beam", "3").lines
        assert alone["translation"] == line["translation"]
        assert alone["score"] == pytest.approx(line["score"], abs=1e-5)


def test_options_of_other_tasks_do_not_apply(fails, trained_pairs, trained, digit, pairs):
    assert "--top-k does not apply" in fails(2, "predict", trained_pairs, pairs, "--top-k", "2")
    assert "--beam does not apply" in fails(2, "predict", trained, digit[0], "--beam", "2")
    assert "--beam" in fails(2, "predict", trained_pairs, pairs, "--beam", "0")


def weights(run: Path) -> bytes:
    return (run / "checkpoints" / "last" / "model.safetensors").read_bytes()


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_a_resumed_run_has_the_same_bits_as_one_that_never_stopped(dlcli, pairs, cell):
    given = ("--data", pairs, "--batch-size", "8", "--schedule", "constant", *SMALL)
    given += ("--set", f"model.cell={cell}", "--set", "checkpoint_every=1")
    assert dlcli("train", "seq2seq", *given, "--max-steps", "9", "-o", "whole").code == 0
    assert dlcli("train", "seq2seq", *given, "--max-steps", "3", "-o", "cut").code == 0
    assert weights(Path("cut")) != weights(Path("whole"))
    resumed = dlcli("train", "--resume", "cut", "--max-steps", "9", "--no-plots")
    assert resumed.code == 0, resumed.err
    assert weights(Path("cut")) == weights(Path("whole"))
    ends = [Path(run, "metrics.jsonl").read_text().splitlines()[-1] for run in ("cut", "whole")]
    cut, whole = ({k: v for k, v in json.loads(e).items() if k != "timing"} for e in ends)
    assert cut == whole


def test_the_number_of_threads_changes_no_bit(dlcli, pairs):
    for threads in ("1", "3"):
        given = ("--data", pairs, *SMALL, "--epochs", "1", "--threads", threads)
        assert dlcli("train", "seq2seq", *given, "-o", threads).code == 0
    assert weights(Path("1")) == weights(Path("3"))


def test_validation_figures_are_means_over_words_whatever_the_batches_are(dlcli, pairs):
    ends = []
    for size in ("4", "7"):
        given = ("--data", pairs, *SMALL, "--epochs", "1", "--batch-size", size, "--lr", "1e-9")
        assert dlcli("train", "seq2seq", *given, "-o", size).code == 0
        ends.append(json.loads(Path(size, "metrics.jsonl").read_text()))
    assert ends[0]["val_loss"] == pytest.approx(ends[1]["val_loss"], rel=1e-5)
    assert ends[0]["val_accuracy"] == ends[1]["val_accuracy"]


def test_what_is_no_table_of_pairs_is_refused(fails, tmp_path, trained_pairs):
    bad = tmp_path / "bad.tsv"
    bad.write_text("one\ttwo\nthree\n")
    assert "bad.tsv:2: has no tab" in fails(3, "train", "seq2seq", "--data", bad)
    assert "seq2seq takes pairs" in fails(2, "train", "seq2seq", "--data", "digits")
    assert "--data tatoeba-eng-fra" in fails(2, "train", "seq2seq")
    assert "its samples are images" in fails(3, "eval", trained_pairs, "--data", "digits")
    assert "is not possible" in fails(
        2, "train", "seq2seq", "--data", write_pairs(tmp_path / "p.tsv"), "--vocabulary", "2"
    )


def test_the_layers_and_the_data_are_shown(dlcli, pairs):
    shown = dlcli("models", "show", "seq2seq").out
    assert "up to 40 words, a vocabulary of 25,000" in shown
    dry = dlcli("train", "seq2seq", "--data", pairs, "--dry-run")
    assert dry.code == 0, dry.err
    assert "pairs/s" in dry.out
    assert "pairs" in dlcli("data", "show", "tatoeba-eng-fra").out
