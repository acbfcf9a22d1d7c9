"""A language from the shell: train on any text, resume, measure, score lines, generate."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

LINES = [f"KING {n}:\nthe {a} {b} sat.\n" for n in "IV" for a in ("cat", "dog") for b in "xyz"]
TEXT = "".join(LINES) * 9
SMALL = ("--set", "model.hidden=16", "--set", "model.layers=1", "--no-plots")
SHORT = (*SMALL, "--sequence", "20")
LETTERS, WORDS = "characters", "words"


@pytest.fixture(scope="session")
def play(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("play") / "play.txt"
    path.write_text(TEXT)
    return path


@pytest.fixture(scope="session")
def letters(tmp_path_factory, play) -> Path:
    """A run of `char-lm`. Shared: nothing changes it."""
    from tests.cli.conftest import call

    run = tmp_path_factory.mktemp("runs") / "letters"
    given = ("--data", play, "--epochs", "6", "--batch-size", "4", "--lr", "0.02", "--out", run)
    result = call("train", "char-lm", *given, *SHORT)
    assert result.code == 0, result.err
    return run


@pytest.fixture(scope="session")
def words(tmp_path_factory, play) -> Path:
    """A run of `word-lm`. Shared: nothing changes it."""
    from tests.cli.conftest import call

    run = tmp_path_factory.mktemp("runs") / "words"
    given = ("--data", play, "--epochs", "3", "--batch-size", "4", "--lr", "0.02", "--out", run)
    given += ("--set", "model.embedding=16", "--set", "model.dropout=0.1")
    result = call("train", "word-lm", *given, *SHORT)
    assert result.code == 0, result.err
    return run


# --- training and measuring -----------------------------------------------------------------------


def weights(run: Path) -> bytes:
    return (run / "checkpoints" / "last" / "model.safetensors").read_bytes()


@pytest.mark.parametrize("model", ["char-lm", "word-lm"])
def test_a_resumed_run_has_the_same_bits_as_one_that_never_stopped(dlcli, play, model):
    given = ("--data", play, *SHORT, "--batch-size", "4", "--schedule", "constant")
    given += ("--set", "warmup=0")  # of as many steps as there are
    assert dlcli("train", model, *given, "--max-steps", "30", "-o", "whole").code == 0
    assert dlcli("train", model, *given, "--max-steps", "7", "-o", "cut").code == 0
    resumed = dlcli("train", "--resume", "cut", "--max-steps", "30", "--no-plots")
    assert resumed.code == 0, resumed.err
    assert weights(Path("cut")) == weights(Path("whole"))


def test_a_run_that_is_killed_goes_on_as_if_it_had_not_been(dlcli, play, start, environment):
    """At any moment, without a chance to save: from the last checkpoint on, to the same bits."""
    given = ["train", "char-lm", "--data", str(play), *SHORT, "--epochs", "12", "--set"]
    given += ["checkpoint_every=3", "--batch-size", "4"]
    assert dlcli(*given, "-o", "whole").code == 0
    process = subprocess.Popen(
        [*start, *given, "-o", "cut"], env=environment, stderr=subprocess.PIPE
    )
    state = Path("cut/checkpoints/last/state.json")
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        if state.exists() and json.loads(state.read_text() or "{}").get("step", 0) >= 3:
            break
        time.sleep(0.005)
    process.kill()
    process.communicate()
    result = dlcli("train", "--resume", "cut", "--no-plots")
    assert result.code == 0, result.err
    assert weights(Path("cut")) == weights(Path("whole"))


def test_the_number_of_threads_changes_no_bit(dlcli, play):
    for threads in ("1", "3"):
        given = ("--data", play, *SHORT, "--max-steps", "5", "--threads", threads)
        assert dlcli("train", "char-lm", *given, "--batch-size", "4", "-o", threads).code == 0
    assert weights(Path("1")) == weights(Path("3"))


def test_figures_do_not_depend_on_the_batch_size_and_are_gated(dlcli, letters):
    found = [
        dlcli("eval", letters, "--json", "--no-plots", "--batch-size", size).json
        for size in (1, 512)
    ]
    assert found[0] == found[1]
    assert found[0]["samples"] == len(TEXT) // 10
    assert found[0]["nats"] == found[0]["loss"] < found[0]["baselines"]["unigram"]["nats"]
    passed = dlcli("eval", letters, "--no-plots", "--fail-over", "nats=9")
    assert (passed.code, "bits per character" in passed.out) == (0, True)
    failed = dlcli("eval", letters, "--no-plots", "--fail-over", "perplexity=1")
    assert failed.code == 8
    assert "perplexity is" in failed.err


def test_a_language_has_no_accuracy(fails, letters):
    assert "no figure" in fails(2, "eval", letters, "--fail-under", "accuracy=0.5")


def test_words_are_measured_beside_counting(dlcli, words):
    said = dlcli("eval", words, "--no-plots").out
    assert "nats per word" in said
    assert "bigram" in said
    assert "each word foretold once" in said


def test_layers_and_data_are_shown(dlcli, play):
    shown = dlcli("models", "show", "char-lm")
    assert shown.code == 0, shown.err
    assert "windows of 100 characters, 66 ids:" in shown.out
    assert "35 words" in dlcli("models", "show", "word-lm").out
    dry = dlcli("train", "char-lm", "--data", play, *SHORT[:-2], "--dry-run")
    assert dry.code == 0, dry.err
    assert "characters/s" in dry.out
    assert "characters" in dlcli("data", "show", "tinyshakespeare").out


def test_another_text_can_be_measured_and_other_samples_cannot(dlcli, fails, letters, tmp_path):
    other = tmp_path / "other.txt"
    other.write_text("the cat sat.\nQUEEN ☃:\n" * 60)
    found = dlcli("eval", letters, "--data", other, "--json", "--no-plots").json
    assert found["unknown"] > 0
    assert "its samples are images" in fails(3, "eval", letters, "--data", "digits")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "the file is empty"),
        (b"x", "too short, it has 1 character"),
        (b"one\ntwo \xff\n" * 99, "2: is not UTF-8"),
        (b"a" * 999, "there is nothing to predict"),
        (TEXT.encode()[:110], "too short"),
    ],
)
def test_a_text_of_which_nothing_can_be_learned_is_a_data_error(fails, data, said):
    Path("bad.txt").write_bytes(data)
    assert said in fails(3, "train", "char-lm", "--data", "bad.txt", "-o", "run")
    assert not Path("run").exists()


def test_a_language_needs_its_data_named_and_of_its_kind(fails, play):
    assert "--data tinyshakespeare" in fails(2, "train", "char-lm")
    assert "char-lm takes characters" in fails(2, "train", "char-lm", "--data", "digits")
    given = ("--data", play, "--sequence", "0")
    assert "--sequence" in fails(2, "train", "char-lm", *given)
    many = ("--data", play, "--batch-size", "4000", "--sequence", "5")
    assert "can be cut into" in fails(2, "train", "char-lm", *many, "-o", "r")


# --- lines ----------------------------------------------------------------------------------------


def test_each_line_of_a_pipe_has_its_nats(dlcli, letters, monkeypatch):
    data = "the cat x sat.\r\n\nzq☃\n".encode() + b"a" * 2_000_000 + b"\n"
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))
    result = dlcli("predict", letters, "-")
    assert result.code == 3
    usual, empty, strange, long = result.lines
    assert usual["input"] == "-:1"
    assert usual["characters"] == 14
    assert usual["nats"] < strange["nats"]
    assert (empty["nats"], empty["characters"]) == (None, 0)
    assert strange["unknown"] == 2
    assert long == {"input": "-:4", "error": "the line is too long"}


def test_options_of_classifiers_do_not_apply(fails, letters, play):
    assert "--top-k does not apply" in fails(2, "predict", letters, play, "--top-k", "2")


# --- new text -------------------------------------------------------------------------------------


def test_a_text_goes_on_from_its_prompt_the_same_for_the_same_seed(dlcli, letters):
    given = ("generate", letters, "--prompt", "KING I", "--length", "60")
    first, again, other = (dlcli(*given, "--seed", seed) for seed in (1, 1, 2))
    assert first.code == 0, first.err
    assert first.out == again.out != other.out
    assert first.out.startswith("KING I")
    assert len(first.out) == len("KING I") + 60 + 1
    assert first.out.endswith("\n")
    assert "60 characters in" in first.err
    assert set(first.out) <= set(TEXT)


def test_every_option_shapes_the_text(dlcli, letters):
    given = ("generate", letters, "--length", "40")
    plain = dlcli(*given).out
    greedy = [dlcli(*given, *how).out for how in (("--temperature", "0"), ("--top-k", "1"))]
    greedy.append(dlcli(*given, "--top-p", "0.000001", "--seed", "5").out)
    assert len(set(greedy)) == 1
    assert plain != greedy[0]
    hot = dlcli(*given, "--temperature", "50").out
    assert " the " in greedy[0].replace("\n", " ")
    assert " the " not in hot.replace("\n", " ")
    assert dlcli(*given, "--stop", plain[5:8]).out == plain[: plain.index(plain[5:8])] + "\n"


def test_several_samples_are_lines_of_json_and_do_not_depend_on_each_other(dlcli, letters):
    given = ("generate", letters, "--prompt", "K", "--length", "20", "--temperature", "2")
    given += ("--seed", "3")
    three, two = (dlcli(*given, "-n", n).lines for n in (3, 2))
    assert three[:2] == two
    assert [line["sample"] for line in three] == [0, 1, 2]
    assert len({line["text"] for line in three}) == 3
    assert all(line["prompt"] == "K" and line["seed"] == 3 for line in three)
    assert "K" + three[0]["text"] + "\n" == dlcli(*given).out
    document = dlcli(*given, "-n", "2", "--json").json
    assert [sample["text"] for sample in document["samples"]] == [line["text"] for line in two]
    assert document["characters_per_second"] > 0


def test_text_goes_to_a_file_that_must_be_new(dlcli, fails, letters):
    given = ("generate", letters, "--length", "30")
    result = dlcli(*given, "-o", "text.txt")
    assert (result.code, result.out) == (0, "")
    assert Path("text.txt").read_text() == dlcli(*given).out
    assert "exists" in fails(2, *given, "-o", "text.txt")


def test_words_are_joined_to_text_and_unknown_ones_are_named(dlcli, words):
    result = dlcli("generate", words, "--prompt", "the xyzzy", "--length", "30")
    assert result.code == 0, result.err
    assert "'xyzzy'" in result.err
    assert result.out.startswith("the xyzzy")
    assert len(result.out.split()) > 5


def test_a_prompt_of_unknown_characters_is_refused_before_anything_is_written(fails, letters):
    said = fails(2, "generate", letters, "--prompt", "KING é", "-o", "text.txt")
    assert "'é' (U+00E9)" in said
    assert not Path("text.txt").exists()


@pytest.mark.parametrize(
    "given",
    [
        ("--length", "0"),
        ("--temperature", "-1"),
        ("--temperature", "nan"),
        ("--top-k", "0"),
        ("--top-p", "0"),
        ("--top-p", "1.5"),
        ("--stop", ""),
        ("--seed", "-1"),
        ("-n", "0"),
    ],
)
def test_options_out_of_their_range_are_usage_errors(fails, letters, given):
    fails(2, "generate", letters, *given)


def test_a_model_that_makes_nothing_says_so(fails, trained):
    said = fails(2, "generate", trained)
    assert "cnn-small cannot generate" in said
    assert "char-lm" in said


def test_a_reader_that_has_enough_ends_it_quietly(letters, start, environment):
    process = subprocess.Popen(
        [*start, "generate", str(letters), "--length", "1000000", "-q"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    )
    with process:
        assert len(process.stdout.read(100)) == 100  # it streams: the whole would take hours
        process.stdout.close()
        assert process.wait(60) == 0
        assert process.stderr.read() == b""


def test_ctrl_c_ends_it_quietly(letters, start, environment):
    process = subprocess.Popen(
        [*start, "generate", str(letters), "--length", "1000000", "-q"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    with process:
        process.stdout.read(50)
        os.kill(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said == b""


def test_without_plans_the_text_is_the_same(dlcli, letters, plans):
    plain = dlcli("generate", letters, "--length", "20", "--no-plan").out
    assert not plans
    assert dlcli("generate", letters, "--length", "20").out == plain
    assert plans
