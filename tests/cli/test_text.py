"""A table of one's own reviews, from the shell: train, resume, evaluate, predict from a pipe."""

import hashlib
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

GOOD, BAD = "a truly wonderful film , loved it", "an awful boring mess , hated it"
SHORT = ("--set", "model.embedding=8", "--set", "model.hidden=8", "--lr", "0.02", "--no-plots")


def write_table(path: Path, n: int = 60) -> Path:
    rows = [f'"{GOOD if i % 2 else BAD} {i}",{"good" if i % 2 else "bad"}\n' for i in range(n)]
    path.write_text("text,label\n" + "".join(rows))
    return path


@pytest.fixture(scope="session")
def reviews(tmp_path_factory) -> Path:
    return write_table(tmp_path_factory.mktemp("texts") / "reviews.csv")


@pytest.fixture(scope="session")
def trained_texts(tmp_path_factory, reviews) -> Path:
    """A run of `text-attention` on the table. Shared: nothing changes it."""
    from tests.cli.conftest import call

    run = tmp_path_factory.mktemp("runs") / "texts"
    given = ("--data", reviews, "--epochs", "12", "--batch-size", "8", "--out", run)
    result = call("train", "text-attention", *given, *SHORT, "--set", "model.dropout=0.1")
    assert result.code == 0, result.err
    return run


@pytest.fixture
def pipe(monkeypatch):
    """Sets what is on standard input."""

    def give(data: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))

    return give


def test_a_table_of_reviews_is_learned_and_evaluated(dlcli, trained_texts):
    result = dlcli("eval", trained_texts, "--json", "--fail-under", "accuracy=1", "--no-plots")
    assert result.code == 0, result.err
    assert result.json["samples"] == 6
    said = dlcli("eval", trained_texts, "--no-plots").out
    assert "6 texts" in said
    assert "images" not in said


def test_lines_of_a_pipe_are_answered_one_by_one(dlcli, trained_texts, pipe):
    pipe(f"{GOOD}\r\n\n{BAD}\nxyzzy qwert".encode())
    result = dlcli("predict", trained_texts, "-", "--top-k", "1")
    assert result.code == 0, result.err
    assert [line["input"] for line in result.lines] == ["-:1", "-:2", "-:3", "-:4"]
    assert (result.lines[0]["class"], result.lines[2]["class"]) == ("good", "bad")
    assert result.lines[1]["text"] == ""
    assert all(0 < line["probability"] < 1 for line in result.lines)


def test_bytes_that_are_no_text_and_a_line_that_is_too_long_do_not_stop_the_others(
    dlcli, trained_texts, pipe
):
    pipe(b"\xff\xfe\x00 wonderful\n" + b"a " * 1_500_000 + b"\n" + GOOD.encode() + b"\n")
    result = dlcli("predict", trained_texts, "-")
    assert result.code == 3
    first, long, last = result.lines
    assert "class" in first
    assert long == {"input": "-:2", "error": "the line is too long"}
    assert (last["input"], last["class"]) == ("-:3", "good")


def test_a_pipe_that_stays_open_is_answered_at_once(trained_texts, start, environment):
    process = subprocess.Popen(
        [*start, "predict", str(trained_texts), "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
    )
    with process:
        for text in (GOOD, BAD):
            process.stdin.write(text.encode() + b"\n")
            process.stdin.flush()
            assert text.encode() in process.stdout.readline()  # would wait for ever otherwise
        process.stdin.close()
    assert process.returncode == 0


def test_a_line_without_end_is_answered_as_soon_as_it_is_too_long(
    trained_texts, start, environment
):
    process = subprocess.Popen(
        [*start, "predict", str(trained_texts), "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
    )
    with process:
        for _ in range(5):
            process.stdin.write(b"endless " * (1 << 18))
        process.stdin.flush()
        assert b"too long" in process.stdout.readline()  # the line has not ended
        process.stdin.write(b"\n" + GOOD.encode() + b"\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["class"] == "good"
        process.stdin.close()
    assert process.returncode == 3


def test_nobody_reading_any_more_ends_an_endless_pipe_quietly(trained_texts, start, environment):
    command = f"{shlex.join([*start, 'predict', str(trained_texts), '-'])} | head -n 1"
    endless = f"yes {shlex.quote(GOOD)} | {command}; echo ${{PIPESTATUS[*]}}"
    done = subprocess.run(
        ["bash", "-c", endless], capture_output=True, text=True, env=environment, check=True
    )
    line, codes = done.stdout.splitlines()
    assert json.loads(line)["input"] == "-:1"
    assert codes.split()[1] == "141"  # a broken pipe, as the help says
    assert not any(word in done.stderr for word in ("Fatal", "Aborted", "Traceback"))


def test_files_are_read_by_line_and_tables_by_their_column(dlcli, trained_texts, reviews, tmp_path):
    lines = tmp_path / "new.txt"
    lines.write_text(f"{GOOD}\n{BAD}\n")
    result = dlcli("predict", trained_texts, lines, reviews, "absent.txt", tmp_path)
    assert result.code == 3
    names = [line["input"] for line in result.lines]
    assert names[:3] == [f"{lines}:1", f"{lines}:2", f"{reviews}:2"]
    assert len(names) == 2 + 60 + 2
    assert all("error" in line for line in result.lines[-2:])


def test_a_batch_of_texts_gives_the_same_as_one_by_one(dlcli, trained_texts, pipe):
    texts = [GOOD, BAD + " very" * 40, "film"]
    pipe("\n".join(texts).encode())
    together = dlcli("predict", trained_texts, "-").lines
    for text, line in zip(texts, together, strict=True):
        pipe(text.encode())
        (alone,) = dlcli("predict", trained_texts, "-").lines
        assert alone["probability"] == pytest.approx(line["probability"], abs=1e-5)


def test_explain_gives_each_word_its_weight(dlcli, trained_texts, pipe):
    pipe(b"A wonderful film!\n\n")
    first, empty = dlcli("predict", trained_texts, "-", "--explain").lines
    assert [word for word, _ in first["weights"]] == ["a", "wonderful", "film", "!"]
    assert sum(weight for _, weight in first["weights"]) == pytest.approx(1)
    assert empty["weights"] == []


def test_a_text_of_unknown_words_alone_is_remarked_upon(dlcli, trained_texts, pipe):
    pipe(b"xyzzy qwert\nxyzzy wonderful\n\n")
    unknown, partly, empty = dlcli("predict", trained_texts, "-").lines
    assert unknown["note"] == "none of its words is in the vocabulary"
    assert 0 < unknown["probability"] < 1
    assert "note" not in partly
    assert "note" not in empty


@pytest.mark.parametrize(
    ("weights", "shades"),
    [
        ([0.25, 0.25, 0.25, 0.25], [0, 0, 0, 0]),
        ([0.1, 0.1, 0.1, 0.7], [0, 0, 0, 160]),
        ([0.1, 0.2, 0.3, 0.4], [0, 0, 0, 88]),
        ([1.0], [0]),
        ([], []),
        ([0.0, 0.0], [0, 0]),
    ],
)
def test_words_are_coloured_by_how_much_more_they_weigh_than_the_mean(
    capsys, monkeypatch, weights, shades
):
    from dlcli.cli import output

    monkeypatch.setattr(output, "interactive", lambda: True)
    monkeypatch.setattr(output, "_colours", lambda stream: True)
    output.weighted("good", [("film", weight) for weight in weights])
    said = capsys.readouterr().err
    coloured = [f"\x1b[97;48;5;{shade}mfilm\x1b[0m" if shade else "film" for shade in shades]
    assert said == f"good: {' '.join(coloured)}\n"


def test_explanations_are_coloured_on_a_terminal_and_results_stay_json(
    trained_texts, start, environment
):
    import pty

    ours, theirs = pty.openpty()
    done = subprocess.run(
        [*start, "predict", str(trained_texts), "-", "--explain"],
        input=GOOD.encode(),
        stdout=subprocess.PIPE,
        stderr=theirs,
        env={**environment, "TERM": "xterm-256color"} | {"NO_COLOR": ""},
        check=True,
    )
    os.close(theirs)
    said = os.read(ours, 1 << 16).decode()
    os.close(ours)
    assert json.loads(done.stdout)["class"] == "good"
    words = re.sub(r"\x1b\[[0-9;]*m", "", said).split()
    assert words == ["good:", *GOOD.split()]
    assert "\x1b[97;48;5;" in said


def test_a_model_of_images_cannot_explain_words(fails, trained, digit):
    assert "cannot explain itself" in fails(2, "predict", trained, digit[0], "--explain")


def weights(run: Path) -> bytes:
    return (run / "checkpoints" / "last" / "model.safetensors").read_bytes()


@pytest.mark.parametrize("model", ["text-lstm", "text-cnn", "text-attention"])
def test_a_resumed_run_has_the_same_bits_as_one_that_never_stopped(dlcli, reviews, model):
    small = ("--set", "model.embedding=8", "--batch-size", "8", "--schedule", "constant")
    given = ("--data", reviews, *small, "--no-plots")
    assert dlcli("train", model, *given, "--max-steps", "10", "-o", "whole").code == 0
    assert dlcli("train", model, *given, "--max-steps", "3", "-o", "cut").code == 0
    assert weights(Path("cut")) != weights(Path("whole"))
    resumed = dlcli("train", "--resume", "cut", "--max-steps", "10", "--no-plots")
    assert resumed.code == 0, resumed.err
    assert weights(Path("cut")) == weights(Path("whole"))


def test_the_number_of_threads_changes_no_bit(dlcli, reviews):
    for threads in ("1", "3"):
        given = ("--data", reviews, *SHORT, "--epochs", "1", "--threads", threads)
        assert dlcli("train", "text-lstm", *given, "-o", threads).code == 0
    assert weights(Path("1")) == weights(Path("3"))


def test_a_model_needs_samples_of_its_kind(fails, reviews):
    assert "for a model of images" in fails(3, "train", "cnn", "--data", reviews)
    assert "text-lstm takes texts" in fails(2, "train", "text-lstm", "--data", "digits")
    assert "text-cnn takes texts" in fails(2, "models", "show", "text-cnn", "--data", "digits")
    assert "--data sst2" in fails(2, "train", "text-lstm")


def test_a_run_of_texts_takes_other_texts_and_no_images(dlcli, fails, trained_texts, tmp_path):
    other = write_table(tmp_path / "other.csv", 30)
    result = dlcli("eval", trained_texts, "--data", other, "--json", "--no-plots")
    assert result.json["accuracy"] == 1
    assert "its samples are images" in fails(3, "eval", trained_texts, "--data", "digits")


@pytest.mark.parametrize("model", ["text-lstm", "text-cnn", "text-attention"])
@pytest.mark.parametrize("words", [["same"], [f"word{i}" for i in range(24)]])
def test_a_vocabulary_of_one_word_or_none_is_trained_and_predicts(dlcli, pipe, model, words):
    rows = [f"{words[i % len(words)]},{i % 2}" for i in range(24)]
    Path("t.csv").write_text("\n".join(["text,label", *rows]))
    small = ("--set", "model.embedding=4", "--epochs", "1", "--no-plots")
    result = dlcli("train", model, "--data", "t.csv", *small, "-o", "r")
    assert result.code == 0, result.err
    pipe(b"same\nother\n\n" + b"same " * 10_000)
    result = dlcli("predict", "r", "-")
    assert [line["class"] in ("0", "1") for line in result.lines] == [True] * 4


def test_a_table_that_has_moved_is_named_and_taken_from_where_it_is(dlcli, fails, tmp_path):
    table = write_table(tmp_path / "mine.csv")
    assert (
        dlcli("train", "text-lstm", "--data", table, *SHORT, "--epochs", "1", "-o", "r").code == 0
    )
    moved = table.rename(tmp_path / "moved.csv")
    assert "are not where they were" in fails(3, "eval", "r")
    result = dlcli("train", "--resume", "r", "--data", moved, "--epochs", "2", "--no-plots")
    assert result.code == 0, result.err


def test_a_vocabulary_that_was_tampered_with_is_a_checkpoint_error(fails, trained_texts, tmp_path):
    run = Path(shutil.copytree(trained_texts, tmp_path / "copy"))
    best = run / "checkpoints" / "best"
    info = json.loads((best / "model.json").read_text())
    info["normalize"]["words"].append("one-more")
    data = json.dumps(info).encode()
    (best / "model.json").write_bytes(data)
    manifest = json.loads((best / "manifest.json").read_text())
    manifest["files"]["model.json"] = {
        "sha256": hashlib.sha256(data).hexdigest(),
        "bytes": len(data),
    }
    (best / "manifest.json").write_text(json.dumps(manifest))
    assert "vocabulary" in fails(4, "eval", run)


def test_the_layers_and_data_of_texts_are_shown(dlcli, reviews):
    shown = dlcli("models", "show", "text-lstm").out
    assert "up to 64 words, a vocabulary of 25,000" in shown
    dry = dlcli("train", "text-lstm", "--data", reviews, "--dry-run")
    assert dry.code == 0, dry.err
    assert "texts/s" in dry.out
    assert "texts" in dlcli("data", "show", "imdb").out


def test_options_of_the_data_are_kept_with_the_run(dlcli, reviews):
    given = ("--data", reviews, *SHORT, "--epochs", "1", "-o", "r")
    options = ("--set", "data.max_length=5", "--set", "data.vocabulary=7")
    assert dlcli("train", "text-lstm", *given, *options).code == 0
    assert "max_length = 5" in Path("r/config.toml").read_text()
    assert dlcli("eval", "r", "--json", "--no-plots").code == 0
