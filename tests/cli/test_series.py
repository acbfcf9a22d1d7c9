"""Series from the shell: train, evaluate, gate, plot, predict from files and a pipe, resume."""

import hashlib
import io
import math
import shutil
import sys
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.cli.conftest import call

DAY = date(2020, 1, 1)
SHORT = ("--window", "14", "--horizon", "3", "--season", "7", "--lr", "0.01", "--no-plots")


def rows(n: int, start: int = 0) -> list[str]:
    """Days with a weekly wave and what looks like noise."""
    days = range(start, start + n)
    waves = (20 + 5 * math.sin(2 * math.pi * i / 7) + math.sin(i * i) for i in days)
    return [f"{DAY + timedelta(days=i)},{w:.3f}" for i, w in zip(days, waves, strict=True)]


def write(path: Path, lines: list[str], header: str = "date,sold") -> Path:
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


@pytest.fixture(scope="session")
def sales(tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp("series") / "sales.csv", rows(200))


@pytest.fixture(scope="session")
def trained_series(tmp_path_factory, sales) -> Path:
    """A run of `forecast` on the table. Shared: nothing changes it."""
    run = tmp_path_factory.mktemp("runs") / "series"
    result = call("train", "forecast", "--data", sales, "--epochs", 15, "--out", run, *SHORT)
    assert result.code == 0, result.err
    return run


@pytest.fixture
def pipe(monkeypatch):
    """Sets what is on standard input."""

    def give(text: str) -> None:
        buffer = io.BytesIO(text.encode())
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=buffer))

    return give


def test_a_weekly_wave_is_learned_and_the_gates_hold(dlcli, trained_series):
    gates = ("--fail-over", "rmse_to_naive=0.5", "--fail-over", "rmse=2.5")
    result = dlcli("eval", trained_series, "--json", *gates, "--no-plots")
    assert result.code == 0, result.err
    assert set(result.json["forecasts"]) == {"model", "naive", "seasonal_naive", "linear"}
    assert result.json["samples"] == 38
    assert len(result.json["forecasts"]["model"]["rmse_by_step"]) == 3


def test_a_gate_that_fails_and_one_that_is_none(dlcli, fails, trained_series):
    result = dlcli("eval", trained_series, "--fail-over", "rmse_to_naive=0.01", "--no-plots")
    assert result.code == 8
    assert "rmse_to_naive is" in result.err
    said = fails(2, "eval", trained_series, "--fail-under", "accuracy=0.5")
    assert "there is no figure 'accuracy'" in said


def test_what_is_shown_speaks_of_windows_and_the_column(dlcli, trained_series):
    said = dlcli("eval", trained_series, "--split", "val", "--no-plots").out
    assert "18 windows" in said
    assert "sold, in its units" in said
    assert "seasonal naive" in said
    assert "images" not in said


def test_eval_draws_the_forecast(dlcli, trained_series, tmp_path):
    run = shutil.copytree(trained_series, tmp_path / "run")
    result = dlcli("eval", run, "--json")
    assert Path(result.json["plot"]) == run / "plots" / "forecast.png"
    assert (run / "plots" / "forecast.png").read_bytes().startswith(b"\x89PNG")


def test_the_days_after_a_file_and_after_a_pipe_are_told(dlcli, trained_series, tmp_path, pipe):
    last = write(tmp_path / "last.csv", rows(14, start=186))
    pipe(last.read_text().replace("\n", "\r\n"))
    result = dlcli("predict", trained_series, last, "-")
    assert result.code == 0, result.err
    first, second = result.lines
    assert (first["input"], second["input"]) == (str(last), "-")
    assert first["forecast"] == second["forecast"]
    assert first["column"] == "sold"
    dates = [step["date"] for step in first["forecast"]]
    assert dates == [str(DAY + timedelta(days=200 + i)) for i in range(3)]
    for step, i in zip(first["forecast"], range(200, 203), strict=True):
        assert step["value"] == pytest.approx(20 + 5 * math.sin(2 * math.pi * i / 7), abs=2.5)


def test_files_that_the_model_does_not_take_are_lines_with_an_error(
    dlcli, trained_series, tmp_path, pipe
):
    good = write(tmp_path / "good.csv", rows(20))
    short = write(tmp_path / "short.csv", rows(5))
    other = write(tmp_path / "other.csv", rows(20), header="date,bought")
    gap = write(tmp_path / "gap.csv", rows(20)[:15] + rows(20)[16:])
    bad = write(tmp_path / "bad.csv", [*rows(20), "2020-02-01,many"])
    pipe("")
    result = dlcli("predict", trained_series, short, other, gap, bad, tmp_path, "no.csv", "-", good)
    assert result.code == 3
    errors = [line.get("error", "") for line in result.lines]
    assert errors[0] == "the series is too short: it has 5 rows, the model looks back on 14"
    assert errors[1] == "there is no column 'sold': there is: bought"
    assert "2020-01-17 does not follow 2020-01-15" in errors[2]
    assert "'many' is no number" in errors[3]
    assert errors[4] == "is a folder: a series is a file"
    assert "cannot be read" in errors[5]
    assert "holds nothing" in errors[6]
    assert errors[7] == ""


def test_options_of_other_tasks_do_not_apply(fails, trained_series, sales):
    assert "--top-k does not apply" in fails(2, "predict", trained_series, sales, "--top-k", "2")


@pytest.mark.parametrize(
    ("code", "arguments", "message"),
    [
        (2, ("--column", "bought"), "there is no column 'bought'"),
        (2, ("--horizon", "2000"), "data.horizon = 2000 is not possible"),
        (2, ("--season", "1"), "data.season = 1 is not possible"),
        (3, ("--window", "150"), "the series is too short"),
        (2, ("--vocabulary", "9"), "data.vocabulary does not apply"),
        (2, ("--set", "monitor=val_accuracy"), "there is no figure 'val_accuracy'"),
        (2, ("--set", "model.loss=mae"), "there is no loss 'mae'"),
    ],
)
def test_what_cannot_be_is_refused_before_a_run_is_made(fails, sales, code, arguments, message):
    assert message in fails(code, "train", "forecast", "--data", sales, "--out", "run", *arguments)
    assert not Path("run").exists()


def test_a_gap_is_refused_with_its_line_unless_it_is_ignored(dlcli, fails, tmp_path):
    lines = rows(120)
    path = write(tmp_path / "gap.csv", lines[:60] + lines[61:])
    given = ("train", "forecast", "--data", path, "--epochs", "1", *SHORT)
    assert f"{path}:62: 2020-03-02 does not follow 2020-02-29" in fails(3, *given)
    result = dlcli(*given, "--ignore-gaps", "--out", "run")
    assert result.code == 0, result.err
    assert dlcli("predict", "run", path).code == 0
    assert dlcli("eval", "run", "--no-plots").code == 0


def digest(run: Path) -> str:
    tensors = sorted((run / "checkpoints" / "last").glob("*.safetensors"))
    assert tensors
    return hashlib.sha256(b"".join(path.read_bytes() for path in tensors)).hexdigest()


def test_a_resumed_run_is_bit_identical_to_one_that_never_stopped(dlcli, sales, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    given = ("train", "forecast", "--data", sales, *SHORT, "--schedule", "constant")
    assert dlcli(*given, "--epochs", "3", "--out", whole).code == 0
    assert dlcli(*given, "--epochs", "1", "--out", parts).code == 0
    result = dlcli("train", "--resume", parts, "--epochs", "3", "--no-plots")
    assert result.code == 0, result.err
    assert digest(parts) == digest(whole)


def test_other_data_is_measured_with_the_window_and_horizon_of_the_model(
    dlcli, fails, trained_series, tmp_path
):
    other = write(tmp_path / "later.csv", rows(120, start=300))
    result = dlcli("eval", trained_series, "--data", other, "--json", "--no-plots")
    assert result.code == 0, result.err
    assert result.json["samples"] == 22
    monthly = [f"{2000 + i // 12}-{1 + i % 12:02},{i % 5}" for i in range(120)]
    monthly = write(tmp_path / "monthly.csv", monthly)
    assert "is no such series" in fails(3, "eval", trained_series, "--data", monthly)


def test_the_run_says_how_its_data_are_read(trained_series):
    config = (trained_series / "config.toml").read_text()
    for line in ("horizon = 3", "window = 14", "season = 7"):
        assert line in config
