"""Sounds of one's own, from the shell: train, resume, evaluate, predict files and a pipe."""

import io
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tests.data.wav_files import FLOAT, tone, wav_bytes, write_tones

SMALL = ("--set", "model.channels=[4,8]", "--set", "model.widths=[17,5]")
SMALL += ("--set", "model.strides=[4,2]", "--no-plots")


@pytest.fixture(scope="session")
def sounds(tmp_path_factory):
    return write_tones(tmp_path_factory.mktemp("audio") / "tones", ("high", "low"), 12)


@pytest.fixture(scope="session")
def trained_sounds(tmp_path_factory, sounds):
    """A run of `audio-cnn` on the folder. Shared: nothing changes it."""
    from tests.cli.conftest import call

    run = tmp_path_factory.mktemp("runs") / "sounds"
    given = ("--data", sounds, "--epochs", "10", "--batch-size", "4", "--lr", "0.01", "--out", run)
    result = call("train", "audio-cnn", *given, *SMALL)
    assert result.code == 0, result.err
    return run


@pytest.fixture
def pipe(monkeypatch):
    """Sets what is on standard input."""

    def give(data: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))

    return give


def test_a_folder_of_sounds_is_learned_and_evaluated(dlcli, trained_sounds):
    result = dlcli("eval", trained_sounds, "--json", "--fail-under", "accuracy=1", "--no-plots")
    assert result.code == 0, result.err
    assert result.json["samples"] == 2
    assert "2 sounds" in dlcli("eval", trained_sounds, "--no-plots").out


def test_files_of_any_rate_width_and_channels_are_predicted(dlcli, trained_sounds, tmp_path):
    high = tone(1550, 0.1, 44100)
    (tmp_path / "cd.wav").write_bytes(wav_bytes(np.stack([high, high], 1), 44100, bits=24))
    low = tone(350, 0.3, 11025)
    (tmp_path / "old.wav").write_bytes(wav_bytes(low, 11025, bits=8))
    (tmp_path / "float.wav").write_bytes(wav_bytes(tone(350), code=FLOAT, bits=32))
    result = dlcli("predict", trained_sounds, "cd.wav", "old.wav", "float.wav", "--top-k", "1")
    assert result.code == 0, result.err
    assert [line["class"] for line in result.lines] == ["high", "low", "low"]
    assert all(0.5 < line["probability"] <= 1 for line in result.lines)


def test_a_folder_a_pipe_and_what_cannot_be_read(dlcli, trained_sounds, sounds, pipe, tmp_path):
    (tmp_path / "bad.wav").write_bytes(wav_bytes(tone(300))[:-5])
    (tmp_path / "none").mkdir()
    pipe(wav_bytes(tone(300), length=0xFFFFFFFF))  # as ffmpeg writes it into a pipe
    given = (trained_sounds, sounds / "high", "-", "bad.wav", "none", "absent.wav", "--top-k", "1")
    result = dlcli("predict", *given)
    assert result.code == 3
    *files, piped, bad, none, absent = result.lines
    assert [(Path(line["input"]).name, line["class"]) for line in files] == [
        (name, "high") for name in sorted(f"{i}.wav" for i in range(12))
    ]
    assert (piped["input"], piped["class"]) == ("-", "low")
    assert bad["error"].startswith("is damaged: it is cut off")
    assert none == {"input": "none", "error": "the folder holds no sounds"}
    assert "No such file" in absent["error"]
    assert dlcli("predict", *given[:-2], "--keep-going").code == 0


def test_a_pipe_without_end_is_refused_when_it_is_too_long(
    dlcli, trained_sounds, pipe, monkeypatch
):
    from dlcli.data import file_inputs

    monkeypatch.setattr(file_inputs, "MOST_STDIN", 1000)
    pipe(wav_bytes(tone(300)))
    result = dlcli("predict", trained_sounds, "-")
    assert result.code == 3
    assert result.lines[0]["error"] == "is too large: at most 1,000 bytes are read"


def test_a_batch_of_sounds_gives_the_same_as_one_by_one(dlcli, trained_sounds, tmp_path):
    names = []
    for i, seconds in enumerate((0.02, 0.12, 0.3)):
        names.append(f"{i}.wav")
        (tmp_path / names[-1]).write_bytes(wav_bytes(tone(600, seconds)))
    together = dlcli("predict", trained_sounds, *names).lines
    for name, line in zip(names, together, strict=True):
        (alone,) = dlcli("predict", trained_sounds, name).lines
        assert alone["probability"] == pytest.approx(line["probability"], abs=1e-5)


def weights(run: Path) -> bytes:
    return (run / "checkpoints" / "last" / "model.safetensors").read_bytes()


def test_a_resumed_run_has_the_same_bits_with_any_number_of_threads(dlcli, sounds):
    given = ("--data", sounds, *SMALL, "--batch-size", "4", "--schedule", "constant")
    assert dlcli("train", "audio-cnn", *given, "--max-steps", "8", "-o", "whole").code == 0
    assert dlcli("train", "audio-cnn", *given, "--max-steps", "3", "-o", "cut").code == 0
    assert weights(Path("cut")) != weights(Path("whole"))
    again = ("--resume", "cut", "--max-steps", "8", "--no-plots", "--threads", "3")
    result = dlcli("train", *again)
    assert result.code == 0, result.err
    assert weights(Path("cut")) == weights(Path("whole"))


def test_options_of_sounds_are_kept_with_the_run(dlcli, fails, sounds, trained_sounds):
    given = ("--data", sounds, *SMALL, "--epochs", "1", "-o", "r")
    result = dlcli("train", "audio-cnn", *given, "--sample-rate", "4000", "--max-seconds", "0.05")
    assert result.code == 0, result.err
    assert "sample_rate = 4000" in Path("r/config.toml").read_text()
    assert dlcli("eval", "r", "--json", "--no-plots").code == 0
    assert dlcli("eval", "r", "--data", sounds, "--json", "--no-plots").code == 0
    assert "classes" in fails(3, "eval", "r", "--data", write_tones(Path("o"), ("a", "b")))


def test_a_model_of_sounds_needs_sounds(fails, sounds, tmp_path):
    assert "audio-cnn takes sounds" in fails(2, "train", "audio-cnn", "--data", "digits")
    assert "--data fsdd" in fails(2, "train", "audio-cnn")
    assert "its samples are" in fails(
        2, "train", "cnn", "--data", "digits", "--sample-rate", "8000"
    )
    broken = write_tones(tmp_path / "broken")
    (broken / "low" / "3.wav").write_bytes(wav_bytes(tone(300), width=3))
    assert "low/3.wav: is damaged" in fails(3, "train", "audio-cnn", "--data", broken)


def test_the_layers_and_the_data_of_sounds_are_shown(dlcli, sounds):
    assert "up to 1 s, 8,000 samples per second" in dlcli("models", "show", "audio-cnn").out
    assert "2,700" in dlcli("data", "show", "fsdd").out
    dry = dlcli("train", "audio-cnn", "--data", sounds, "--dry-run")
    assert dry.code == 0, dry.err
    assert "sounds/s" in dry.out
